"""Suspected spillage (疑似抛撒): load that a truck lost on the way, outside every facility and without raising its body.

A step in the means of one-minute blocks, against the scatter of those means; slow losses and single wild values are not sought here.
"""

from dataclasses import dataclass

import numpy as np

from core.columns import MISSING, Bools, Columns, Floats, Ints, States
from core.cycles import MAD_TO_SD, Hauls
from core.events import Cycles, FlagKind, Flags, Severity
from core.geofence import Role, Sites
from core.groups import Groups, expand, totals, twice_median
from core.jump import Anchors, Fixes
from core.readings import TruckReadings
from core.rules import Rules

LEAST_SD_KG = 1.0
"""No block mean scatters less than this: the resolution of a reading."""


@dataclass(frozen=True, eq=False, slots=True)
class Steps(Columns):
    """The strongest fall of each haul's load, where it is large enough."""

    haul: Ints
    row: Ints  # the first reading after it
    around: Ints  # first row of the last block before it
    beyond: Ints  # one past the last row of the first block after it
    drop_kg: Floats
    u_kg: Floats
    rows: Ints


def spillages(
    cycles: Cycles, of: Hauls, rows: TruckReadings, moving: States, fixes: Fixes, anchors: Anchors, sites: Sites, rules: Rules
) -> Flags:
    """Flags of the hauls that lost load outside every facility; suspicions while the cycle is open.

    Parameters
    ----------
    cycles, of : one row per cycle
    rows, moving : one row per reading
    """
    steps = steps_down(of, rows, moving, rules)
    truck = of.truck[steps.haul]
    on_the_way = ~_in_facility(steps, truck, fixes, anchors, sites)
    place = fixes.newest(anchors, truck, steps.row)
    found = np.flatnonzero(on_the_way & (place.lat_e7 != MISSING))
    steps, place = steps.take(found), place.take(found)
    cycles = cycles.take(steps.haul)
    sure = of.closed[steps.haul] & (steps.drop_kg > rules.spill_kg + rules.guard_k * steps.u_kg)
    return Flags.of(
        asset=cycles.asset,
        kind=np.full(len(steps), FlagKind.SPILLAGE),
        start_ms=cycles.start_ms,
        end_ms=cycles.end_ms,
        severity=np.where(sure, Severity.FAIL, Severity.CONDITIONAL),
        at_ms=rows.t_ms[steps.row],
        lat_e7=place.lat_e7,
        lon_e7=place.lon_e7,
        value=steps.drop_kg,
        limit=np.full(len(steps), rules.spill_kg),
        u=steps.u_kg,
        rows=steps.rows,
        rules=np.full(len(steps), rules.version),
    )


def steps_down(of: Hauls, rows: TruckReadings, moving: States, rules: Rules) -> Steps:
    """The strongest step of each haul: a generalised likelihood ratio over all splits of its block means.

    Notes
    -----
    Blocks are minutes of event time over rolling readings, from the departure up to the first raising of the body; each reading counts
    as the median of itself and its two neighbours, so that one wild value weighs nothing. At each split with
    ``rules.spill_blocks`` blocks on both sides, z = (mean before - mean after) / (s sqrt(1/m + 1/n)), with s from the median
    difference of neighbouring blocks, which a single step hardly moves. Kept: the largest z, where it reaches ``rules.spill_z`` and the
    fall ``rules.spill_kg``. Block means are whole grams, so that no sum depends on what else is in the table.

    References
    ----------
    M. Basseville and I. V. Nikiforov, "Detection of Abrupt Changes", 1993, section 2.4.3: GLR for an unknown change time.
    """
    row, haul = _rolling(of, rows, moving)
    blocks = Groups.of(haul, rows.t_ms[row] // rules.spill_block_ms)
    load_kg = _without_wild_values(np.rint(rows.load_kg[row]).astype(np.int64), Groups.of(haul))
    mean_g = 1000 * totals(load_kg, blocks) // (blocks.end - blocks.first)
    block_haul = haul[blocks.first]
    of_haul = Groups.of(block_haul)
    enough = of_haul.end - of_haul.first >= 2 * rules.spill_blocks
    if not enough.any():
        return Steps.empty()
    block, drop_kg, spread = _best_splits(mean_g, of_haul, enough, rules)
    sd_kg = _scatter_kg(mean_g, of_haul)[enough]
    u_kg = sd_kg * spread
    found = np.flatnonzero((drop_kg >= rules.spill_kg) & (drop_kg >= rules.spill_z * u_kg))
    block = block[found]
    rolled = np.bincount(haul, minlength=len(of))
    return Steps(
        haul=block_haul[block],
        row=row[blocks.first[block]],
        around=row[blocks.first[block - 1]],
        beyond=row[blocks.end[block] - 1] + 1,
        drop_kg=drop_kg[found],
        u_kg=u_kg[found],
        rows=rolled[block_haul[block]],
    )


def _rolling(of: Hauls, rows: TruckReadings, moving: States) -> tuple[Ints, Ints]:
    """Rolling, weighed rows of each haul up to the first raising of the body, and the haul of each."""
    lifts = np.append(np.flatnonzero(rows.body_up == 1), len(moving))
    lift = lifts[np.searchsorted(lifts, of.depart)]
    moved = of.depart < of.end
    stop = np.where(moved, np.minimum(of.arrive + 1, lift), of.depart)
    row, haul = expand(of.depart, stop)
    speaks = (moving[row] == 1) & ~np.isnan(rows.load_kg[row])
    return row[speaks], haul[speaks]


def _without_wild_values(load_kg: Ints, hauls: Groups) -> Ints:
    """Running median of three within each haul; its first and last take their neighbour's value (a haul of one row is never judged)."""
    before, after = np.roll(load_kg, 1), np.roll(load_kg, -1)
    before[hauls.first], after[hauls.end - 1] = after[hauls.first], before[hauls.end - 1]
    return np.maximum(np.minimum(before, after), np.minimum(np.maximum(before, after), load_kg))


def _best_splits(mean_g: Ints, of_haul: Groups, enough: Bools, rules: Rules) -> tuple[Ints, Floats, Floats]:
    """Of each haul with enough blocks: the block before which its mean falls most, by how much, and sqrt(1/m + 1/n) there."""
    split, haul = expand(of_haul.first[enough] + rules.spill_blocks, of_haul.end[enough] - rules.spill_blocks + 1)
    first, end = of_haul.first[enough][haul], of_haul.end[enough][haul]
    sums_g = np.append(0, np.cumsum(mean_g))
    drop_kg = ((sums_g[split] - sums_g[first]) / (split - first) - (sums_g[end] - sums_g[split]) / (end - split)) / 1000.0
    spread = np.sqrt(1.0 / (split - first) + 1.0 / (end - split))
    per_haul = Groups.of(haul)
    strength = drop_kg / spread
    largest = np.flatnonzero(strength == np.repeat(np.maximum.reduceat(strength, per_haul.first), per_haul.end - per_haul.first))
    best = largest[np.searchsorted(largest, per_haul.first)]
    return split[best], drop_kg[best], spread[best]


def _scatter_kg(mean_g: Ints, of_haul: Groups) -> Floats:
    """Standard deviation of the block means of each haul, from the median difference of neighbours; NaN for a single block."""
    step_g = np.abs(np.diff(mean_g))
    inside = np.ones(len(step_g), dtype=np.bool_)
    inside[of_haul.first[1:] - 1] = False
    haul = np.repeat(np.arange(len(of_haul)), of_haul.end - of_haul.first)[1:][inside]
    steps = Groups.of(haul)
    scatter_kg = np.full(len(of_haul), np.nan)
    scatter_kg[haul[steps.first]] = MAD_TO_SD * twice_median(step_g[inside], steps) / 2000.0 / np.sqrt(2.0)
    floored: Floats = np.maximum(scatter_kg, LEAST_SD_KG)
    return floored


def _in_facility(steps: Steps, truck: Ints, fixes: Fixes, anchors: Anchors, sites: Sites) -> Bools:
    """Whether the truck was in any facility between the blocks around each step; a forbidden area is none."""
    row, step = expand(steps.around, steps.beyond)
    fix = fixes.newest(anchors, truck[step], row)
    site = sites.locate(fix.lat_e7, fix.lon_e7)
    facility = (site >= 0) & (sites.roles_at(site) != Role.FORBIDDEN)
    return np.bincount(step[facility], minlength=len(steps)) > 0
