"""Whether a truck moves or stands, from its reported speed or from its fixes; and where its readings fell silent."""

import numpy as np

from core.columns import Floats, Ints, States
from core.groups import Groups, hysteresis
from core.jump import NEVER_MS, Fixes
from core.rules import Rules

STANDING, MOVING = 0, 1
"""Values of ``moving``; negative is unknown."""


def silences_ms(trucks: Groups, t_ms: Ints, last_ms: Ints) -> Ints:
    """How long each truck was silent before each reading.

    Parameters
    ----------
    t_ms : shape (rows,)
        Device times, ascending within each truck.
    last_ms : shape (trucks,)
        The reading before the first row; NEVER_MS where there was none.

    Returns
    -------
    shape (rows,)
        [ms]; 0 before the first reading of all.
    """
    before_ms = trucks.before(t_ms, last_ms)
    silence_ms: Ints = np.where(before_ms == NEVER_MS, 0, t_ms - before_ms)
    return silence_ms


def speeds_kmh(speed_kmh: Floats, fixes: Fixes, rules: Rules) -> Floats:
    """The reported speed, and where none was, the speed over the leg between believed fixes.

    Parameters
    ----------
    speed_kmh : shape (rows,)
        As reported; NaN where not measured.

    Returns
    -------
    shape (rows,)
        [km/h]; NaN where neither is known: no believed fix, no time between two fixes, or silence between them.
    """
    legs = np.flatnonzero((fixes.leg_ms > 0) & (fixes.leg_ms < rules.gap_ms) & np.isnan(speed_kmh[fixes.row]))
    if not len(legs):
        return speed_kmh
    speed_kmh = speed_kmh.copy()
    speed_kmh[fixes.row[legs]] = 3600.0 * fixes.leg_m[legs] / fixes.leg_ms[legs]
    return speed_kmh


def motion(trucks: Groups, silence_ms: Ints, speed_kmh: Floats, carried: States, rules: Rules) -> States:
    """Whether the truck moves after each reading, with hysteresis; it is unknown again after a gap.

    Parameters
    ----------
    silence_ms, speed_kmh : shape (rows,)
        Silence before each reading, and speed; NaN where not known.
    carried : shape (trucks,)
        Motion before the first row.

    Returns
    -------
    shape (rows,)
        MOVING above ``rules.move_kmh``, STANDING below ``rules.stop_kmh``, as before in between; -1 until the first of these.
    """
    gap = silence_ms >= rules.gap_ms
    carried = np.where(gap[trucks.first], np.int8(-1), carried)
    starts = np.union1d(trucks.first, np.flatnonzero(gap))
    memories = Groups(starts, np.append(starts, len(speed_kmh))[1:])
    initial = np.full(len(starts), -1, dtype=np.int8)
    initial[np.searchsorted(starts, trucks.first)] = carried
    level = np.full(len(speed_kmh), -1, dtype=np.int8)
    level[speed_kmh > rules.move_kmh] = MOVING
    level[speed_kmh < rules.stop_kmh] = STANDING
    return hysteresis(level, memories, initial).along(memories, initial, len(speed_kmh))
