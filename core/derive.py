"""From a truck's readings to its events: a pure fold, run over whole blocks of many trucks at once.

`derive` looks at the readings after each truck's checkpoint, and at the little that was carried over it; never at a clock, at another
truck, or at how the readings came. A checkpoint is a reading at which nothing was open or in doubt, judged by the readings up to it
alone, so that whatever is derived after it is the same with and without it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

from core.columns import MISSING, OPEN_MS, Bools, Columns, Int32s, Ints, States
from core.cycles import (
    DUMPING_ROLES,
    LOADING_ROLES,
    Hauls,
    changes,
    fits,
    haul_m,
    hauls,
    near,
    payloads,
    signs,
    site_at,
)
from core.events import Cycles, FlagKind, Flags, Latest, Severity, Sign
from core.geofence import Sites
from core.groups import Groups, spans
from core.jump import NEVER_MS, Anchors, Doubts, Excursions, Fixes, believe
from core.lateness import Hearing, Lateness, hear
from core.limits import Limits
from core.loads import LADEN, Loads, levels, loads
from core.motion import STANDING, motion, silences_ms, speeds_kmh
from core.overload import overloads
from core.readings import TruckReadings
from core.rules import Rules, TruckSpecs
from core.spillage import spillages


@dataclass(frozen=True, eq=False, slots=True)
class TruckStates(Columns):
    """All that the step knows of a truck after its reading at ``t_ms``: one checkpoint. NEVER_MS stands for what never happened."""

    asset: Ints
    t_ms: Ints  # readings after this are still to be derived
    fix_ms: Ints  # the last believed fix
    lat_e7: Int32s
    lon_e7: Int32s
    moving: States
    loaded: States  # UNLADEN, or negative: not known yet
    cover_open: States  # as last reported
    cover_ms: Ints  # when the cover last changed
    heard_ms: Ints  # this and the rest as in core.lateness
    late_ms: Ints
    steady_ms: Ints
    steady_late_ms: Ints

    @classmethod
    def initial(cls, assets: Ints) -> Self:
        """The states of trucks that have not reported yet."""
        count = len(assets)
        never, unknown, missing = np.full(count, NEVER_MS), np.full(count, -1), np.full(count, MISSING)
        return cls.of(
            asset=assets,
            t_ms=never,
            fix_ms=never,
            lat_e7=missing,
            lon_e7=missing,
            moving=unknown,
            loaded=unknown,
            cover_open=unknown,
            cover_ms=never,
            heard_ms=never,
            late_ms=np.zeros(count),
            steady_ms=never,
            steady_late_ms=np.zeros(count),
        )

    @property
    def lateness(self) -> Lateness:
        return Lateness(self.heard_ms, self.late_ms, self.steady_ms, self.steady_late_ms)


BLOCK_ROWS = 1 << 17
"""Trucks are derived in blocks of about this many readings, whose columns stay in the processor's cache: twice as fast as all at once."""

Checkpoints = TruckStates
"""States to which derivation may return, as `derive` finds them: several per truck, ascending in (asset, t_ms)."""


@dataclass(frozen=True, slots=True)
class Derived:
    """What the readings say, from each truck's checkpoint on. Every event's ``start_ms`` lies after its truck's checkpoint."""

    cycles: Cycles
    flags: Flags
    latest: Latest
    checkpoints: Checkpoints


def derive(readings: TruckReadings, states: TruckStates, specs: TruckSpecs, sites: Sites, rules: Rules) -> Derived:
    """Events of the readings.

    Parameters
    ----------
    readings
        All readings after each truck's checkpoint: one row per identity, sorted by (asset, t_ms, seq).
    states
        The checkpoint of each truck that has readings (others may be there too), ascending in asset.
    specs
        Sorted by (asset, from_ms).

    Raises
    ------
    ValueError
        When a truck has readings but no state.
    """
    first = Groups.of(readings.asset).first
    blocks = first[Groups.of(first // BLOCK_ROWS).first]
    parts = [
        _derive_block(readings.take(slice(begin, end)), states, specs, sites, rules)
        for begin, end in zip(blocks.tolist(), [*blocks[1:].tolist(), len(readings)], strict=False)
    ]
    return Derived(
        Cycles.concat([part.cycles for part in parts]),
        Flags.concat([part.flags for part in parts]),
        Latest.concat([part.latest for part in parts]),
        Checkpoints.concat([part.checkpoints for part in parts]),
    )


def _derive_block(readings: TruckReadings, states: TruckStates, specs: TruckSpecs, sites: Sites, rules: Rules) -> Derived:
    work = Work(readings, states, specs, sites, rules)
    for stage in STAGES:
        stage(work)
    flags = Flags.concat(work.flags)
    order = np.lexsort((flags.start_ms, flags.kind, flags.asset))
    return Derived(work.cycles, _first_of_each_key(flags.take(order)), work.latest, work.checkpoints)


@dataclass(slots=True)
class Work:
    """What the stages hand to each other. Arrays have one value per reading, per truck (a group of readings), or per haul."""

    readings: TruckReadings
    states: TruckStates  # one per truck in the readings
    specs: TruckSpecs
    sites: Sites
    rules: Rules
    trucks: Groups = field(init=False)
    anchors: Anchors = field(init=False)
    fixes: Fixes = field(init=False)
    excursions: Excursions = field(init=False)
    doubts: Doubts = field(init=False)
    silence_ms: Ints = field(init=False)
    hearing: Hearing = field(init=False)
    moving: States = field(init=False)
    limits: Limits = field(init=False)
    loads: Loads = field(init=False)
    covers: Ints = field(init=False)  # rows at which the cover changed
    hauls: Hauls = field(init=False)
    cycles: Cycles = field(init=False)
    flags: list[Flags] = field(default_factory=list)
    latest: Latest = field(init=False)
    checkpoints: Checkpoints = field(init=False)

    def __post_init__(self) -> None:
        self.trucks = Groups.of(self.readings.asset)
        assets = self.readings.asset[self.trucks.first]
        at = np.searchsorted(self.states.asset, assets)
        stateless = ~np.isin(assets, self.states.asset)
        if stateless.any():
            raise ValueError(
                f"assets {assets[stateless].tolist()} have readings but no state; every truck needs one, initially TruckStates.initial"
            )
        self.states = self.states.take(at)
        self.anchors = Anchors(self.states.fix_ms, self.states.lat_e7, self.states.lon_e7)


def believe_fixes(work: Work) -> None:
    """Sort the fixes that a truck can have had from those that it cannot."""
    rows = work.readings
    found = believe(work.trucks, rows.t_ms, rows.lat_e7, rows.lon_e7, work.anchors, work.rules)
    work.fixes, work.excursions, work.doubts = found


def tell_lateness(work: Work) -> None:
    """Tell the readings that show how late the truck's readings come."""
    rows = work.readings
    work.hearing = hear(work.trucks, rows.t_ms, rows.received_ms, rows.hist, work.states.lateness)


def tell_motion(work: Work) -> None:
    """Tell moving from standing, anew after each gap."""
    work.silence_ms = silences_ms(work.trucks, work.readings.t_ms, work.states.t_ms)
    speed_kmh = speeds_kmh(work.readings.speed_kmh, work.fixes, work.rules)
    work.moving = motion(work.trucks, work.silence_ms, speed_kmh, work.states.moving, work.rules)


def tell_load(work: Work) -> None:
    """Tell laden from empty, by the limits in force at each reading."""
    rows = work.readings
    work.limits = Limits.of(work.specs, work.trucks, rows.asset[work.trucks.first], rows.t_ms)
    level, told = levels(rows.load_kg, rows.load_state, work.limits, work.rules)
    work.loads = loads(work.trucks, rows.t_ms, level, told, work.states.loaded)


def find_cycles(work: Work) -> None:
    """Put the changes of the load together to cycles, with what speaks for each edge."""
    rows, of = work.readings, hauls(work.trucks, work.loads.turns, work.moving)
    limits = work.limits.at(of.start)
    payload = payloads(of, rows.load_kg, work.moving, limits.tare_kg, limits.rated_kg, work.rules)
    work.covers = changes(work.trucks, rows.cover_open, work.states.cover_open)
    load_signs, load_site = _loading(work, of)
    dump_signs, dump_site = _dumping(work, of)
    work.hauls = of
    work.cycles = Cycles(
        asset=rows.asset[of.start],
        start_ms=rows.t_ms[of.start],
        depart_ms=_times(rows.t_ms, of.depart, of.depart < of.end),
        arrive_ms=_times(rows.t_ms, of.arrive, of.arrive < of.end),
        end_ms=_times(rows.t_ms, of.end, of.closed),
        load_site=work.sites.ids_at(load_site),
        dump_site=work.sites.ids_at(dump_site),
        payload_kg=payload.kg,
        payload_u_kg=payload.u_kg,
        plateau_rows=payload.rows,
        haul_m=haul_m(of, work.fixes, work.moving),
        load_signs=load_signs,
        dump_signs=dump_signs,
        rules=np.full(len(of), work.rules.version),
    )


def _loading(work: Work, of: Hauls) -> tuple[Ints, Ints]:
    """Evidence and site of each loading that was seen."""
    first, window_ms = work.trucks.first[of.truck], work.rules.sign_window_ms
    cover = near(work.readings.t_ms, work.covers, of.start, first, of.end, work.states.cover_ms[of.truck], window_ms)
    site = site_at(work.sites, work.fixes, work.anchors, of.truck, of.start)
    seen = signs(
        {
            Sign.LOAD: of.seen,
            Sign.COVER: cover,
            Sign.SITE: fits(work.sites, site, LOADING_ROLES),
            Sign.STOP: _stood(work, of.start),
            Sign.GAP: work.silence_ms[of.start] >= work.rules.gap_ms,
        }
    )
    return np.where(of.seen, seen, int(Sign.RESTART)), np.where(of.seen, site, -1)


def _dumping(work: Work, of: Hauls) -> tuple[Ints, Ints]:
    """Evidence and site of each dumping; none where the cycle is still open."""
    t_ms, window_ms = work.readings.t_ms, work.rules.sign_window_ms
    edge = np.where(of.closed, of.end, of.start)
    last, never = work.trucks.end[of.truck], np.full(len(of), NEVER_MS)
    lifts = np.flatnonzero(work.readings.body_up == 1)
    site = site_at(work.sites, work.fixes, work.anchors, of.truck, edge)
    seen = signs(
        {
            Sign.LOAD: of.closed,
            Sign.LIFT: near(t_ms, lifts, edge, of.start, last, never, window_ms),
            Sign.COVER: near(t_ms, work.covers, edge, of.start, last, never, window_ms),
            Sign.SITE: fits(work.sites, site, DUMPING_ROLES),
            Sign.STOP: _stood(work, edge),
            Sign.GAP: work.silence_ms[edge] >= work.rules.gap_ms,
        }
    )
    return np.where(of.closed, seen, 0), np.where(of.closed, site, -1)


def _stood(work: Work, edge: Ints) -> Bools:
    """Whether the truck stood at this row or the one before."""
    before = work.trucks.before(work.moving, work.states.moving)
    stood: Bools = (work.moving[edge] == STANDING) | (before[edge] == STANDING)
    return stood


def _times(t_ms: Ints, row: Ints, known: Bools) -> Ints:
    """Times of these rows; OPEN_MS where they are not known."""
    return np.where(known, np.append(t_ms, OPEN_MS)[row], OPEN_MS)


def flag_jumps(work: Work) -> None:
    """The flag spans the masked fixes; its place is the last believed one."""
    found, t_ms = work.excursions, work.readings.t_ms
    truck = work.trucks.holding(found.first)
    work.flags.append(
        _remark(
            FlagKind.GPS_JUMP,
            work,
            found.first,
            end_ms=t_ms[found.end],
            fix=work.fixes.newest(work.anchors, truck, found.first),
            value=found.distance_m,
            limit=found.reach_m,
            rows=found.fixes,
        )
    )


def flag_gaps(work: Work) -> None:
    """A gap is named by the reading that ends it; its value is how long the silence before that was."""
    ends = np.flatnonzero(work.silence_ms >= work.rules.gap_ms)
    work.flags.append(
        _remark(
            FlagKind.GAP,
            work,
            ends,
            end_ms=work.readings.t_ms[ends],
            fix=work.fixes.newest(work.anchors, work.trucks.holding(ends), ends),
            value=work.silence_ms[ends],
            limit=np.full(len(ends), work.rules.gap_ms),
            rows=np.ones_like(ends),
        )
    )


def _remark(
    kind: FlagKind, work: Work, first: Ints, *, end_ms: Ints, fix: Anchors, value: npt.ArrayLike, limit: npt.ArrayLike, rows: Ints
) -> Flags:
    """Flags about the data, not about the truck: they accuse nobody."""
    return Flags.of(
        asset=work.readings.asset[first],
        kind=np.full(len(first), kind),
        start_ms=work.readings.t_ms[first],
        end_ms=end_ms,
        severity=np.full(len(first), Severity.INFO),
        at_ms=work.readings.t_ms[first],
        lat_e7=fix.lat_e7,
        lon_e7=fix.lon_e7,
        value=value,
        limit=limit,
        u=np.full(len(first), np.nan),
        rows=rows,
        rules=np.full(len(first), work.rules.version),
    )


def flag_overload(work: Work) -> None:
    """Judge the payload of each cycle."""
    of = work.hauls
    departures = work.fixes.newest(work.anchors, of.truck, np.where(of.depart < of.end, of.depart, of.start))
    work.flags.append(overloads(work.cycles, work.limits.at(of.start), departures, work.rules))


def flag_spillage(work: Work) -> None:
    """Seek load that was lost on the way."""
    work.flags.append(spillages(work.cycles, work.hauls, work.readings, work.moving, work.fixes, work.anchors, work.sites, work.rules))


def show_latest(work: Work) -> None:
    """Show where each truck is now, and how late that is known."""
    rows, last = work.readings, work.trucks.end - 1
    fix = work.fixes.newest(work.anchors, np.arange(len(last)), last)
    lateness = work.hearing.at(work.trucks, work.states.lateness, last)
    work.latest = Latest(
        asset=rows.asset[last],
        t_ms=rows.t_ms[last],
        heard_ms=lateness.heard_ms,
        late_ms=lateness.late_ms,
        steady_ms=lateness.steady_ms,
        steady_late_ms=lateness.steady_late_ms,
        fix_ms=fix.t_ms,
        lat_e7=fix.lat_e7,
        lon_e7=fix.lon_e7,
        speed_kmh=rows.speed_kmh[last],
        heading_deg=rows.heading_deg[last],
        load_kg=rows.load_kg[last],
        loaded=work.loads.loaded[last],
        moving=work.moving[last],
        site=work.sites.ids_at(work.sites.locate(fix.lat_e7, fix.lon_e7)),
    )


def find_checkpoints(work: Work) -> None:
    """The last permitted reading of each truck in each ``rules.checkpoint_ms`` of device time."""
    rows, trucks = work.readings, work.trucks
    permitted = np.flatnonzero(_permitted(work))
    truck = trucks.holding(permitted)
    last = permitted[Groups.of(truck, rows.t_ms[permitted] // work.rules.checkpoint_ms).end - 1]
    truck = trucks.holding(last)
    fix = work.fixes.newest(work.anchors, truck, last)
    cover_told = trucks.newest(np.flatnonzero(rows.cover_open >= 0), last)
    cover_changed = trucks.newest(work.covers, last)
    lateness = work.hearing.at(trucks, work.states.lateness, last)
    work.checkpoints = TruckStates(
        asset=rows.asset[last],
        t_ms=rows.t_ms[last],
        fix_ms=fix.t_ms,
        lat_e7=fix.lat_e7,
        lon_e7=fix.lon_e7,
        moving=work.moving[last],
        loaded=work.loads.loaded[last],
        cover_open=np.where(cover_told >= 0, rows.cover_open[cover_told], work.states.cover_open[truck]),
        cover_ms=np.where(cover_changed >= 0, rows.t_ms[cover_changed], work.states.cover_ms[truck]),
        heard_ms=lateness.heard_ms,
        late_ms=lateness.late_ms,
        steady_ms=lateness.steady_ms,
        steady_late_ms=lateness.steady_late_ms,
    )


def _permitted(work: Work) -> Bools:
    """Readings at which nothing is open or in doubt by what was known then, and which no later reading can share the instant of."""
    t_ms, trucks, turns, rules = work.readings.t_ms, work.trucks, work.loads.turns, work.rules
    # What follows a tipping within the window is still evidence for it.
    fallen_ms = np.where(turns.before == LADEN, t_ms[turns.row], NEVER_MS)
    settled = t_ms - turns.spread(trucks, np.full(len(trucks), NEVER_MS), fallen_ms, len(t_ms)) >= rules.sign_window_ms
    newest_ms = np.repeat(t_ms[trucks.end - 1], trucks.end - trucks.first)
    alone = np.append(t_ms[1:] != t_ms[:-1], False)
    alone[trucks.end - 1] = False  # a reading of the same instant may still come
    in_doubt = spans(work.doubts.first, work.doubts.end, len(t_ms)) | work.loads.doubt
    permitted: Bools = (work.loads.loaded != LADEN) & settled & ~in_doubt & alone & (t_ms <= newest_ms - rules.hold_ms)
    return permitted


def _first_of_each_key(flags: Flags) -> Flags:
    """Of flags of one kind that begin at one instant (two excursions among readings of the same time) the first speaks."""
    new = np.ones(len(flags), dtype=np.bool_)
    new[1:] = (flags.asset[1:] != flags.asset[:-1]) | (flags.kind[1:] != flags.kind[:-1]) | (flags.start_ms[1:] != flags.start_ms[:-1])
    return flags.take(new)


STAGES: tuple[Callable[[Work], None], ...] = (
    believe_fixes,
    tell_lateness,
    tell_motion,
    tell_load,
    find_cycles,
    flag_jumps,
    flag_gaps,
    flag_overload,
    flag_spillage,
    show_latest,
    find_checkpoints,
)
