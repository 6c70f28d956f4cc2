"""From load changes to cycles: one load → haul → dump of one truck, with its payload, how sure that is, and the evidence for each edge."""

from dataclasses import dataclass

import numpy as np

from core.columns import OPEN_MS, Bools, Columns, Floats, Ints, States
from core.events import Sign
from core.geofence import Role, Sites
from core.groups import Groups, Turns, expand, totals, twice_median
from core.jump import NEVER_MS, Anchors, Fixes
from core.loads import LADEN, UNLADEN
from core.motion import MOVING
from core.rules import Rules

LOADING_ROLES = (Role.CONSTRUCTION, Role.TRANSFER)
DUMPING_ROLES = (Role.DISPOSAL, Role.LANDFILL, Role.INCINERATOR, Role.TRANSFER)

MAD_TO_SD = 1.4826
"""Standard deviation of a normal law over its median absolute deviation."""
MEDIAN_TO_MEAN = 1.2533
"""Standard error of a normal sample's median over that of its mean: sqrt(pi / 2)."""


@dataclass(frozen=True, eq=False, slots=True)
class Hauls(Columns):
    """Row ranges of cycles: laden rows are [start, end), the last of an open one being its truck's newest."""

    truck: Ints  # number of the truck's group of rows
    start: Ints  # the row at which the load rose
    end: Ints  # the row at which it had fallen, or the end of the truck's rows
    depart: Ints  # first moving row, or `end` where there is none
    arrive: Ints  # last moving row, or `end` where there is none
    closed: Bools
    seen: Bools  # the load was seen to rise; else the truck's first measurement found it laden


def hauls(trucks: Groups, turns: Turns, moving: States) -> Hauls:
    """Pair each rise of the load with the fall that follows it.

    Parameters
    ----------
    turns
        Of the load state; no truck begins its rows laden.
    moving : shape (rows,)
        Motion after each row.
    """
    rise = np.flatnonzero(turns.after == LADEN)
    start, truck = turns.row[rise], trucks.holding(turns.row[rise])
    next_turn = np.append(turns.row, len(moving))[rise + 1]
    closed = next_turn < trucks.end[truck]
    end = np.minimum(next_turn, trucks.end[truck])
    rolling = np.flatnonzero(moving == MOVING)
    begin, stop = np.searchsorted(rolling, start), np.searchsorted(rolling, end)
    moved = begin < stop
    depart, arrive = end.copy(), end.copy()
    depart[moved], arrive[moved] = rolling[begin[moved]], rolling[stop[moved] - 1]
    return Hauls(truck, start, end, depart, arrive, closed, turns.before[rise] == UNLADEN)


def haul_m(of: Hauls, fixes: Fixes, moving: States) -> Ints:
    """Length of each haul [m]: the legs that end at its moving readings, summed in whole centimetres."""
    leg_cm = np.rint(100.0 * np.nan_to_num(fixes.leg_m)).astype(np.int64)
    leg_cm[moving[fixes.row] != MOVING] = 0
    way_cm = np.append(0, np.cumsum(leg_cm))
    after, before = np.searchsorted(fixes.row, of.arrive, side="right"), np.searchsorted(fixes.row, of.depart)
    # From the row of departure on; hauls without motion begin and end at `end`, whose leg is no part of them.
    return np.where(of.depart < of.end, (way_cm[after] - way_cm[before] + 50) // 100, 0)


@dataclass(frozen=True, eq=False, slots=True)
class Payloads(Columns):
    """The plateau of each haul's load."""

    kg: Floats  # NaN where no weight was measured
    u_kg: Floats
    rows: Ints


def payloads(of: Hauls, load_kg: Floats, moving: States, tare_kg: Floats, rated_kg: Floats, rules: Rules) -> Payloads:
    """Median load of each haul's rolling rows, with its standard uncertainty.

    Parameters
    ----------
    load_kg, moving : shape (rows,)
        Net load by the on-board sensor [kg], NaN where not measured; motion.
    tare_kg, rated_kg : shape (hauls,)
        NaN where not known. The rated payload stands in for an unknown tare.

    Notes
    -----
    Standing rows of the loading and the tipping stop are no part of it. A closed haul with fewer than ``rules.plateau_rows`` rolling
    rows is judged by all its rows without the ramps. The uncertainty joins that of the sensor, a share of gross, with that of the
    median: normal scatter from the median absolute deviation, over an effective sample size for first-order autocorrelation.

    References
    ----------
    N. F. Zhang, "Calculation of the uncertainty of the mean of autocorrelated measurements", Metrologia 43, S276, 2006.
    """
    row, haul = _plateau_rows(of, load_kg, moving, rules)
    kg, u_kg = np.full(len(of), np.nan), np.full(len(of), np.nan)
    value, groups = np.rint(load_kg[row]).astype(np.int64), Groups.of(haul)
    judged = haul[groups.first]
    middle = twice_median(value, groups)
    residual = 2 * value - np.repeat(middle, groups.end - groups.first)
    scatter_kg = MAD_TO_SD * twice_median(np.abs(residual), groups) / 4.0
    sampling_kg = MEDIAN_TO_MEAN * scatter_kg / np.sqrt(_effective_rows(residual, groups))
    kg[judged] = middle / 2.0
    gross_kg = kg + np.nan_to_num(np.where(np.isnan(tare_kg), rated_kg, tare_kg))
    u_kg[judged] = np.sqrt(sampling_kg**2 + (rules.load_u_share * gross_kg[judged]) ** 2)
    return Payloads(kg, u_kg, np.bincount(haul, minlength=len(of)))


def _plateau_rows(of: Hauls, load_kg: Floats, moving: States, rules: Rules) -> tuple[Ints, Ints]:
    """The rows that speak for each haul, and the haul of each."""
    row, haul = expand(of.start, of.end)
    weighed = ~np.isnan(load_kg[row])
    row, haul = row[weighed], haul[weighed]
    rolling = moving[row] == MOVING
    few = of.closed & (np.bincount(haul[rolling], minlength=len(of)) < rules.plateau_rows)
    if not few.any():
        return row[rolling], haul[rolling]
    speaks = np.where(few[haul], _between_ramps(load_kg[row], haul), rolling)
    return row[speaks], haul[speaks]


def _between_ramps(load_kg: Floats, haul: Ints) -> Bools:
    """The rows between the first and the last that reach the median of their haul: what lies outside rises or falls."""
    value, groups = np.rint(load_kg).astype(np.int64), Groups.of(haul)
    reaches = np.flatnonzero(2 * value >= np.repeat(twice_median(value, groups), groups.end - groups.first))
    first = reaches[np.searchsorted(reaches, groups.first)]
    last = reaches[np.searchsorted(reaches, groups.end) - 1]
    number = np.arange(len(value))
    sizes = groups.end - groups.first
    return (number >= np.repeat(first, sizes)) & (number <= np.repeat(last, sizes))


def _effective_rows(residual: Ints, groups: Groups) -> Floats:
    """How many independent rows each group is worth: n (1 - r) / (1 + r) for lag-one autocorrelation r, at least one."""
    product = np.append(residual[:-1] * residual[1:], 0)
    product[groups.end - 1] = 0
    square = totals(residual * residual, groups)
    r = np.clip(totals(product, groups) / np.maximum(square, 1), 0.0, 1.0)
    rows = groups.end - groups.first
    effective: Floats = np.maximum(rows * (1.0 - r) / (1.0 + r), 1.0)
    return effective


def changes(trucks: Groups, state: States, carried: States) -> Ints:
    """Rows at which a reported state differs from the last one reported; the first report of all is no change."""
    known = np.flatnonzero(state >= 0)
    own = Groups.of(trucks.holding(known))
    before = own.before(state[known], carried[trucks.holding(known[own.first])])
    changed: Ints = known[(before >= 0) & (before != state[known])]
    return changed


def near(t_ms: Ints, marked: Ints, edge: Ints, lowest: Ints, highest: Ints, carried_ms: Ints, window_ms: int) -> Bools:
    """Whether something happened within the window on either side of each edge.

    Parameters
    ----------
    t_ms : shape (rows,)
    marked : shape (marks,)
        Rows at which it happened, ascending.
    edge, lowest, highest : shape (edges,)
        Rows: the edge, and the range [lowest, highest) in which a mark counts.
    carried_ms : shape (edges,)
        When it last happened before ``lowest``; NEVER_MS where it did not, or does not count.
    """
    rows, at_ms = np.append(marked, len(t_ms)), np.append(t_ms, OPEN_MS)
    after = np.searchsorted(marked, edge, side="right")
    next_row, last_row = rows[after], rows[after - 1]
    follows = (next_row < highest) & (at_ms[next_row] - t_ms[edge] <= window_ms)
    last_ms = np.where((after > 0) & (last_row >= lowest), at_ms[last_row], carried_ms)
    near_by: Bools = follows | ((last_ms != NEVER_MS) & (t_ms[edge] - last_ms <= window_ms))
    return near_by


def site_at(sites: Sites, fixes: Fixes, anchors: Anchors, truck: Ints, row: Ints) -> Ints:
    """The site in which each truck was at this row: by its newest fix, else (outside of all) by the one before this row; -1 for none."""
    here, before = fixes.newest(anchors, truck, row), fixes.newest(anchors, truck, row - 1)
    site = sites.locate(here.lat_e7, here.lon_e7)
    return np.where(site >= 0, site, sites.locate(before.lat_e7, before.lon_e7))


def fits(sites: Sites, site: Ints, roles: tuple[Role, ...]) -> Bools:
    """Whether the site has one of these roles."""
    return np.isin(sites.roles_at(site), [int(role) for role in roles])


def signs(evidence: dict[Sign, Bools]) -> Ints:
    """The evidence for each edge as bits."""
    bits: Ints = np.sum([np.where(holds, int(sign), 0) for sign, holds in evidence.items()], axis=0, dtype=np.int64)
    return bits
