"""Which site contains a fix: exact polygons in whole 1e-7 degree, at the price of three table look-ups for most fixes."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

import numpy as np

from core.columns import UNKNOWN, Int32s, Ints, States, Texts
from core.geo import E7
from core.raster import Edges, Raster

Ring = Sequence[tuple[float, float]]
"""Vertices (longitude, latitude) in degrees; the last may repeat the first."""

_BLOCK_ROWS = 1 << 16
"""Fixes are located in blocks whose intermediate columns stay in the processor's cache."""


class Role(IntEnum):
    """What a site is for."""

    CONSTRUCTION = 0
    DISPOSAL = 1
    LANDFILL = 2
    TRANSFER = 3
    INCINERATOR = 4
    DEPOT = 5
    FORBIDDEN = 6


@dataclass(frozen=True, eq=False, slots=True)
class Sites:
    """Polygons with roles; row numbers follow the order in which they were given.

    Attributes
    ----------
    ids, roles : shape (sites,)
        The sites' names and `Role`.
    """

    ids: Texts
    roles: States
    _raster: Raster

    @classmethod
    def of(cls, ids: Sequence[str], roles: Sequence[int], polygons_deg: Sequence[Sequence[Ring]]) -> Self:
        """Index these sites.

        Parameters
        ----------
        ids, roles
            One per site; ids are unique.
        polygons_deg
            Per site its rings as in GeoJSON: the outer one, then its holes. WGS-84, rounded to 1e-7 degree.

        Raises
        ------
        ValueError
            When a ring has fewer than three corners or leaves the range of degrees, when a polygon spans more than 180 degrees of
            longitude (it crosses the antimeridian), when two sites share an id, or when the lengths differ.
        """
        if not len(ids) == len(roles) == len(polygons_deg):
            raise ValueError(f"{len(ids)} ids, {len(roles)} roles and {len(polygons_deg)} polygons; every site needs one of each")
        repeated = {name for name in ids if list(ids).count(name) > 1}
        if repeated:
            raise ValueError(f"site ids {sorted(repeated)} are given more than once; an id names one site")
        polygons = [_polygon(name, rings) for name, rings in zip(ids, polygons_deg, strict=True)]
        return cls(np.array(ids, dtype=np.str_), np.array([Role(role) for role in roles], dtype=np.int8), Raster.of(polygons))

    def locate(self, lat_e7: Int32s, lon_e7: Int32s) -> Ints:
        """The site that contains each fix.

        Parameters
        ----------
        lat_e7, lon_e7 : shape (n,)
            Fixes [1e-7 degree]; MISSING where there was none.

        Returns
        -------
        shape (n,)
            Row number of the site; -1 outside of all, or where there was no fix. The boundary (of holes too) is inside; of
            overlapping sites the first given speaks.

        Notes
        -----
        Exact on the polygons as rounded to 1e-7 degree. Of a ring that crosses itself, even-odd parity decides.

        References
        ----------
        E. Haines, "Point in Polygon Strategies", Graphics Gems IV, 1994: crossings test, and the grid method that it is combined with.
        """
        site = np.empty(len(lat_e7), dtype=np.int64)
        for begin in range(0, len(site), _BLOCK_ROWS):
            block = slice(begin, begin + _BLOCK_ROWS)
            site[block] = self._raster.locate(lon_e7[block], lat_e7[block])
        return site

    def ids_at(self, site: Ints) -> Texts:
        """The ids of these row numbers; the empty string for -1."""
        return np.append(self.ids, "")[site]

    def roles_at(self, site: Ints) -> States:
        """The roles of these row numbers; UNKNOWN for -1."""
        return np.append(self.roles, UNKNOWN)[site]


def _polygon(name: str, rings_deg: Sequence[Ring]) -> Edges:
    if not rings_deg:
        raise ValueError(f"site {name!r} has no ring; a polygon needs an outer ring of three corners or more")
    ends = np.concatenate([_ring(name, ring) for ring in rings_deg])
    if np.ptp(ends[:, ::2]) > 180 * E7:
        raise ValueError(f"site {name!r} spans more than 180 degrees of longitude; cut it in two sites where it crosses the antimeridian")
    return Edges.between(ends)


def _ring(name: str, ring_deg: Ring) -> Ints:
    """Edges of one ring, shape (corners, 4): x, y of one end and of the other."""
    corners = np.array(ring_deg, dtype=np.float64)
    if corners.ndim != 2 or corners.shape[1] != 2 or not (np.abs(corners) <= (180.0, 90.0)).all():
        raise ValueError(f"site {name!r} has a corner that is not (longitude, latitude) within 180 and 90 degrees")
    corners_e7 = np.rint(corners * E7).astype(np.int64)
    edges: Ints = np.hstack([corners_e7, np.roll(corners_e7, -1, axis=0)])
    edges = edges[(edges[:, :2] != edges[:, 2:]).any(axis=1)]
    if len(edges) < 3:
        raise ValueError(f"site {name!r} has a ring of {len(edges)} corners; a ring needs three or more different ones")
    return edges
