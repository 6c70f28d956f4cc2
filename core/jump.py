"""Which fixes of a truck to believe.

A receiver that loses its satellites reports places where the truck cannot be: far off for a minute, or the point 0°, 0°. A fix is
masked while the truck could not have come there from the last believed one; a truck that keeps reporting from a far place has moved
there, however it did.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from core.columns import MISSING, Bools, Columns, Floats, Int32s, Ints
from core.geo import distances_m
from core.groups import Groups
from core.rules import Rules

NEVER_MS = -1
"""The time of what never happened."""


@dataclass(frozen=True, eq=False, slots=True)
class Anchors(Columns):
    """The last believed fix before the rows at hand, one per truck; ``t_ms`` is NEVER_MS where there was none."""

    t_ms: Ints
    lat_e7: Int32s
    lon_e7: Int32s


@dataclass(frozen=True, eq=False, slots=True)
class Fixes(Columns):
    """Fixes of many trucks in the order of their rows, with the way from the fix before (the anchor, for a truck's first)."""

    row: Ints
    truck: Ints  # number of the truck's group of rows
    t_ms: Ints
    lat_e7: Int32s
    lon_e7: Int32s
    leg_m: Floats  # NaN where no fix was before
    leg_ms: Ints

    @classmethod
    def at(cls, row: Ints, trucks: Groups, t_ms: Ints, lat_e7: Int32s, lon_e7: Int32s, anchors: Anchors) -> Self:
        truck = trucks.holding(row)
        t_ms, lat_e7, lon_e7 = t_ms[row], lat_e7[row], lon_e7[row]
        own = Groups.of(truck)
        anchor = anchors.take(truck[own.first])
        leg_m = distances_m(own.before(lat_e7, anchor.lat_e7), own.before(lon_e7, anchor.lon_e7), lat_e7, lon_e7)
        return cls(row, truck, t_ms, lat_e7, lon_e7, leg_m, t_ms - own.before(t_ms, anchor.t_ms))

    def newest(self, anchors: Anchors, truck: Ints, row: Ints) -> Anchors:
        """Each truck's newest fix up to this row (the anchor, where its rows have none)."""
        fix = np.searchsorted(self.row, row, side="right") - 1
        own = fix >= 0
        own[own] = self.truck[fix[own]] == truck[own]
        newest = anchors.take(truck)
        newest.t_ms[own], newest.lat_e7[own], newest.lon_e7[own] = self.t_ms[fix[own]], self.lat_e7[fix[own]], self.lon_e7[fix[own]]
        return newest


@dataclass(frozen=True, eq=False, slots=True)
class Excursions(Columns):
    """Spans of masked fixes that have ended: ``first`` masked row, ``end`` the row that is believed again."""

    first: Ints
    end: Ints
    distance_m: Floats  # from the last believed fix to the first masked one
    reach_m: Floats  # how far the truck could have come by then
    fixes: Ints


@dataclass(frozen=True, eq=False, slots=True)
class Doubts(Columns):
    """Ranges of rows [first, end) at which it was not yet known what to believe."""

    first: Ints
    end: Ints


def valid(lat_e7: Int32s, lon_e7: Int32s) -> Bools:
    """Whether there is a fix at all: measured, and not the point 0°, 0° that a receiver without satellites reports."""
    there: Bools = (lat_e7 != MISSING) & (lon_e7 != MISSING) & ((lat_e7 != 0) | (lon_e7 != 0))
    return there


def reach_m(leg_ms: npt.NDArray[Any], rules: Rules) -> Floats:
    """How far a truck may come in this time [m]."""
    reach: Floats = rules.jump_slack_m + leg_ms * (rules.jump_speed_kmh / 3600.0)
    return reach


def believe(trucks: Groups, t_ms: Ints, lat_e7: Int32s, lon_e7: Int32s, anchors: Anchors, rules: Rules) -> tuple[Fixes, Excursions, Doubts]:
    """The believed fixes, the excursions that ended, and the rows in doubt.

    Parameters
    ----------
    trucks
        Each truck's rows, in time order.
    t_ms, lat_e7, lon_e7 : shape (rows,)
        Device time and reported fix; MISSING where there was none.
    anchors : shape (trucks,)
        The last believed fix before the first row.

    Notes
    -----
    Fixes form segments, split at legs faster than ``rules.jump_speed_kmh`` beyond ``rules.jump_slack_m``. A segment whose first fix
    can be reached from the last believed one is believed; any other is masked, until it has lasted ``rules.jump_settle_ms``: then it
    is believed from its start. The first fix of all is believed.
    """
    fixes = Fixes.at(np.flatnonzero(valid(lat_e7, lon_e7)), trucks, t_ms, lat_e7, lon_e7, anchors)
    fast = fixes.leg_m > reach_m(fixes.leg_ms, rules)
    if not fast.any():
        return fixes, Excursions.empty(), Doubts.empty()
    walk = _Walk(fixes, rules, anchors)
    own = Groups.of(fixes.truck)
    for group in np.unique(own.holding(np.flatnonzero(fast))).tolist():
        walk.through(slice(int(own.first[group]), int(own.end[group])), fast, int(trucks.end[fixes.truck[own.first[group]]]))
    kept = Fixes.at(fixes.row[~walk.masked], trucks, t_ms, lat_e7, lon_e7, anchors)
    return kept, _excursions(walk.excursions, fixes.row), Doubts.of(first=[a for a, _ in walk.doubts], end=[b for _, b in walk.doubts])


class _Walk:
    """Walks the segments of single trucks, which is rare: only where a leg was too fast."""

    def __init__(self, fixes: Fixes, rules: Rules, anchors: Anchors) -> None:
        self.fixes, self.rules, self.anchors = fixes, rules, anchors
        self.masked = np.zeros(len(fixes), dtype=np.bool_)
        self.excursions: list[tuple[int, int, float, float, int]] = []
        self.doubts: list[tuple[int, int]] = []

    def through(self, span: slice, fast: Bools, end_row: int) -> None:
        """Walk one truck's fixes; doubt that is left lasts to its ``end_row``."""
        starts = [span.start, *(np.flatnonzero(fast[span.start + 1 : span.stop]) + span.start + 1).tolist()]
        last, pending = -1, -1  # the last believed fix (-1: the anchor), the first fix of the excursion
        for start, stop in zip(starts, [*starts[1:], span.stop], strict=True):
            settled = self._settled(start, stop)
            if self._reached(last, start):
                self._end(pending, last, start)
                last, pending = stop - 1, -1
            elif settled >= 0:
                self._end(pending, last, start)
                self.doubts.append((self._row(start), self._row(settled)))
                last, pending = stop - 1, -1
            else:
                self.masked[start:stop] = True
                pending = start if pending < 0 else pending
        if pending >= 0:
            self.doubts.append((self._row(pending), end_row))

    def _row(self, fix: int) -> int:
        return int(self.fixes.row[fix])

    def _settled(self, start: int, stop: int) -> int:
        """The fix at which a segment has lasted long enough; -1 when it never did."""
        t_ms = self.fixes.t_ms[start:stop]
        late = int(np.searchsorted(t_ms, t_ms[0] + self.rules.jump_settle_ms))
        return start + late if late < len(t_ms) else -1

    def _leg(self, last: int, fix: int) -> tuple[float, float]:
        """Distance from the last believed fix, and how far the truck could have come [m]; NaN where there is none."""
        fixes = self.fixes
        origin: Anchors | Fixes = fixes if last >= 0 else self.anchors
        at = [last] if last >= 0 else [int(fixes.truck[fix])]
        if origin.t_ms[at[0]] == NEVER_MS:
            return np.nan, np.nan
        distance_m = distances_m(origin.lat_e7[at], origin.lon_e7[at], fixes.lat_e7[[fix]], fixes.lon_e7[[fix]])
        return float(distance_m[0]), float(reach_m(fixes.t_ms[fix] - origin.t_ms[at], self.rules)[0])

    def _reached(self, last: int, fix: int) -> bool:
        distance_m, reach = self._leg(last, fix)
        return not distance_m > reach

    def _end(self, pending: int, last: int, fix: int) -> None:
        """An excursion, if there was one, ends where this fix is believed."""
        if pending >= 0:
            self.doubts.append((self._row(pending), self._row(fix)))
            self.excursions.append((pending, self._row(fix), *self._leg(last, pending), int(self.masked[pending:fix].sum())))


def _excursions(found: list[tuple[int, int, float, float, int]], rows: Ints) -> Excursions:
    if not found:
        return Excursions.empty()
    first, end, distance, reach, fixes = zip(*found, strict=True)
    return Excursions.of(first=rows[list(first)], end=end, distance_m=distance, reach_m=reach, fixes=fixes)
