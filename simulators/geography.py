"""Where things lie: a local plane in metres, a warped grid of streets, and the polylines that trucks drive.

The plane is tangent at `ORIGIN_DEG`; within the 25 km of the scenario its scale is right to 0.2 %. Streets are a
grid of about one kilometre whose crossings are displaced at random, so that no two blocks are alike; every site lies inside a
block of its own, and a drive follows streets from one site's access road to another's.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.columns import Bools, Floats, Ints

ORIGIN_DEG = (119.95, 31.65)
"""Longitude and latitude of the plane's origin, in the south of Wujin [WGS-84]."""
_M_PER_DEG_LAT = 6_371_008.8 * np.pi / 180
_M_PER_DEG_LON = _M_PER_DEG_LAT * np.cos(np.radians(ORIGIN_DEG[1]))

_BLOCK_M = 1_000.0
_WARP_M = 110.0
_HALF_GRID = 26
_TURN_RAD = np.radians(40.0)

Path = npt.NDArray[np.float64]
"""A polyline in the plane, shape (n, 2) [m]."""
Block = tuple[int, int]


def to_deg(xy_m: Path) -> Path:
    """Longitude and latitude of points of the plane, shape (n, 2)."""
    return xy_m / (_M_PER_DEG_LON, _M_PER_DEG_LAT) + ORIGIN_DEG


def to_m(lon_deg: float, lat_deg: float) -> Path:
    """The point of the plane at a WGS-84 position, shape (2,)."""
    return (np.array((lon_deg, lat_deg)) - ORIGIN_DEG) * (_M_PER_DEG_LON, _M_PER_DEG_LAT)


def along(path: Path) -> Floats:
    """Distance of each vertex from the start of the polyline [m]."""
    steps = np.diff(path, axis=0)
    return np.concatenate(([0.0], np.cumsum(np.hypot(steps[:, 0], steps[:, 1]))))


def turns(path: Path) -> Bools:
    """Which vertices are sharp enough that a truck slows down; the two ends are not."""
    steps = np.diff(path, axis=0)
    course = np.arctan2(steps[:, 1], steps[:, 0])
    bend = np.abs((np.diff(course) + np.pi) % (2 * np.pi) - np.pi)
    return np.concatenate(([False], bend > _TURN_RAD, [False]))


def distance_m(points: Path, path: Path) -> Floats:
    """Distance of each point from the nearest place of a polyline [m]."""
    start, step = path[:-1], np.diff(path, axis=0)
    offset = points[:, None, :] - start
    share = np.clip((offset * step).sum(axis=2) / (step * step).sum(axis=1), 0.0, 1.0)
    gap = offset - share[:, :, None] * step
    nearest: Floats = np.hypot(gap[:, :, 0], gap[:, :, 1]).min(axis=1)
    return nearest


def rectangle(centre: Path, width_m: float, height_m: float, turn_rad: float) -> Path:
    """A closed, counter-clockwise ring, shape (5, 2)."""
    corners = np.array(((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))) * (width_m / 2, height_m / 2)
    cos, sin = np.cos(turn_rad), np.sin(turn_rad)
    ring: Path = corners @ np.array(((cos, sin), (-sin, cos))) + centre
    return ring


@dataclass(frozen=True, slots=True)
class Streets:
    """The crossings of a warped grid."""

    crossings: npt.NDArray[np.float64]

    @classmethod
    def laid(cls, rng: np.random.Generator) -> "Streets":
        ticks = np.arange(-_HALF_GRID, _HALF_GRID + 1) * _BLOCK_M
        grid = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1)
        return cls(grid + rng.uniform(-_WARP_M, _WARP_M, grid.shape))

    def block(self, lon_deg: float, lat_deg: float) -> Block:
        """The block that holds a position."""
        column, row = np.floor(to_m(lon_deg, lat_deg) / _BLOCK_M).astype(int)
        return int(column), int(row)

    def centre(self, block: Block) -> Path:
        """The middle of a block, shape (2,)."""
        column, row = block[0] + _HALF_GRID, block[1] + _HALF_GRID
        middle: Path = self.crossings[column : column + 2, row : row + 2].mean(axis=(0, 1))
        return middle

    def route(self, start: Path, from_block: Block, end: Path, to_block: Block, via: float, detour: int = 0) -> Path:
        """Drive from a point in one block to a point in another along the streets.

        Parameters
        ----------
        via : 0…1
            Where between the two blocks the drive changes from one street to the parallel one.
        detour : blocks
            Leave the straight way by this many blocks to the side.
        """
        first, last = _corner(from_block, to_block), _corner(to_block, from_block)
        nodes = _lattice(first, last, via) if detour == 0 else _around(first, last, detour)
        return np.vstack((start, self.crossings[nodes[:, 0] + _HALF_GRID, nodes[:, 1] + _HALF_GRID], end))


def _corner(block: Block, towards: Block) -> Ints:
    """The crossing of a block that lies towards another block."""
    return np.array([here + int(there > here) for here, there in zip(block, towards, strict=True)])


def _lattice(first: Ints, last: Ints, via: float) -> Ints:
    """Crossings of a Z-shaped way: across, along, across."""
    middle = int(first[0] + round(via * float(last[0] - first[0])))
    return _through(first, np.array((middle, first[1])), np.array((middle, last[1])), last)


def _around(first: Ints, last: Ints, blocks: int) -> Ints:
    """Crossings of a way that runs `blocks` outside the rectangle between its ends."""
    row = max(first[1], last[1]) + blocks if blocks > 0 else min(first[1], last[1]) + blocks
    return _through(first, np.array((first[0], row)), np.array((last[0], row)), last)


def _through(*corners: Ints) -> Ints:
    """Every crossing on the straight streets between corners, each once."""
    nodes = [corners[0]]
    for corner in corners[1:]:
        while (step := np.sign(corner - nodes[-1])).any():
            nodes.append(nodes[-1] + step)
    return np.array(nodes)
