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

    def without(self, masked: Bools, anchors: Anchors) -> Self:
        """The other fixes, with new legs where the fix before was masked."""
        rest = np.flatnonzero(~masked)
        kept = self.take(rest)
        bridge = np.flatnonzero(masked[rest - 1])
        origin = kept.newest(anchors, kept.truck[bridge], kept.row[bridge] - 1)
        kept.leg_m[bridge] = distances_m(origin.lat_e7, origin.lon_e7, kept.lat_e7[bridge], kept.lon_e7[bridge])
        kept.leg_ms[bridge] = kept.t_ms[bridge] - origin.t_ms
        return kept


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
    segments = _Segments.split(fixes, fast, anchors, rules)
    kept, moved = _walk(segments, fixes, anchors, rules)
    excursions, doubts = _reckon(segments, kept, moved, fixes, trucks, rules)
    return fixes.without(np.repeat(~kept, segments.end - segments.first), anchors), excursions, doubts


@dataclass(frozen=True, eq=False, slots=True)
class _Segments(Columns):
    """Runs [first, end) of fixes without a fast leg."""

    first: Ints
    end: Ints
    truck: Ints
    far: Bools  # out of reach from the segment before (the anchor, for a truck's first)
    far_over: Bools  # the same, were the segment before masked
    lasting: Bools  # long enough to be believed wherever it is

    @classmethod
    def split(cls, fixes: Fixes, fast: Bools, anchors: Anchors, rules: Rules) -> Self:
        first = np.union1d(Groups.of(fixes.truck).first, np.flatnonzero(fast))
        end = np.append(first, len(fixes))[1:]
        previous = np.append(first[:1], first[:-1])
        return cls(
            first,
            end,
            fixes.truck[first],
            fast[first],
            _out_of_reach(previous, first, fixes, anchors, rules),
            fixes.t_ms[end - 1] - fixes.t_ms[first] >= rules.jump_settle_ms,
        )


def _out_of_reach(since: Ints, fix: Ints, fixes: Fixes, anchors: Anchors, rules: Rules) -> Bools:
    """Whether each of these fixes is out of reach from the last fix before ``since``; from nowhere, everything is in reach."""
    origin = fixes.newest(anchors, fixes.truck[fix], fixes.row[since] - 1)
    distance_m = distances_m(origin.lat_e7, origin.lon_e7, fixes.lat_e7[fix], fixes.lon_e7[fix])
    out: Bools = distance_m > reach_m(fixes.t_ms[fix] - origin.t_ms, rules)
    return out


def _walk(segments: _Segments, fixes: Fixes, anchors: Anchors, rules: Rules) -> tuple[Bools, Bools]:
    """Decide one segment after another which to keep, and which of these only because the truck stayed there.

    A loop, because each decision rests on the last; there are as few segments as trucks and fast legs.
    """
    truck, far, far_over, lasting = (getattr(segments, name).tolist() for name in ("truck", "far", "far_over", "lasting"))
    kept, moved = np.zeros(len(segments), dtype=np.bool_), np.zeros(len(segments), dtype=np.bool_)
    since = 0  # the first segment after the last one kept
    for segment in range(len(segments)):
        if segment and truck[segment] != truck[segment - 1]:
            since = segment
        masked = segment - since
        if masked < 2:
            out = (far, far_over)[masked][segment]
        else:
            out = bool(_out_of_reach(segments.first[[since]], segments.first[[segment]], fixes, anchors, rules)[0])
        if not out or lasting[segment]:
            kept[segment], moved[segment] = True, out
            since = segment + 1
    return kept, moved


def _reckon(segments: _Segments, kept: Bools, moved: Bools, fixes: Fixes, trucks: Groups, rules: Rules) -> tuple[Excursions, Doubts]:
    """Put masked segments together to excursions, and say which rows were in doubt for how long."""
    runs = Groups.of(segments.truck, kept)
    away = ~kept[runs.first]
    first, back = segments.first[runs.first[away]], runs.end[away]
    truck = fixes.truck[first]
    ended = np.append(segments.truck, -1)[back] == truck
    believed = np.append(segments.first, len(fixes))[back]
    again = np.where(ended, np.append(fixes.row, 0)[believed], trucks.end[truck])
    excursions = Excursions(
        fixes.row[first[ended]],
        again[ended],
        fixes.leg_m[first[ended]],
        reach_m(fixes.leg_ms[first[ended]], rules),
        (believed - first)[ended],
    )
    stayed = segments.take(moved)
    settled = [_settled(fixes, *span, rules) for span in zip(stayed.first.tolist(), stayed.end.tolist(), strict=True)]
    doubts = Doubts.of(
        first=fixes.row[np.concatenate([first, stayed.first])],
        end=np.concatenate([again, fixes.row[np.array(settled, dtype=np.int64)]]),
    )
    return excursions, doubts


def _settled(fixes: Fixes, first: int, end: int, rules: Rules) -> int:
    """The fix at which a segment had lasted long enough."""
    return first + int(np.searchsorted(fixes.t_ms[first:end], fixes.t_ms[first] + rules.jump_settle_ms))
