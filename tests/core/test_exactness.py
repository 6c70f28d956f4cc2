"""The contract of the numbers: however a stream was cut, shuffled, repeated or late, the events are the same to the last bit.

A small live deriver holds open rows in memory, advances over checkpoints and goes back for late rows, as the collector does; its books
must end equal to one call over everything.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.random import Generator

from core.columns import MISSING, Columns
from core.derive import Checkpoints, Derived, TruckStates, derive
from core.events import Cycles, FlagKind, Flags, Latest
from core.geofence import Role, Sites
from core.order import order_dedupe
from core.readings import TruckReadings
from core.rules import Rules, TruckSpecs

NOON_MS = 1_650_000_000_000
FROM_THE_FIRST = np.iinfo(np.int64).min


def square(lon_deg: float, lat_deg: float, half_deg: float = 0.002) -> list[list[tuple[float, float]]]:
    west, east, south, north = lon_deg - half_deg, lon_deg + half_deg, lat_deg - half_deg, lat_deg + half_deg
    return [[(west, south), (east, south), (east, north), (west, north)]]


LOADING = ((119.90, 31.70), (119.95, 31.75))
DUMPING = ((120.00, 31.65), (120.05, 31.72))
SITES = Sites.of(
    ["build-1", "build-2", "fill", "landfill"],
    [Role.CONSTRUCTION, Role.CONSTRUCTION, Role.DISPOSAL, Role.LANDFILL],
    [square(*place) for place in (*LOADING, *DUMPING)],
)
EAGER = Rules(hold_ms=0, checkpoint_ms=1)
"""Every permitted reading is a checkpoint, up to the newest."""


def specs_for(assets: int) -> TruckSpecs:
    """Trucks of 15 t; the last one was registered for 12 t at noon plus two hours."""
    return TruckSpecs.of(
        asset=[*range(1, assets + 1), assets],
        from_ms=[FROM_THE_FIRST] * assets + [NOON_MS + 7_200_000],
        rated_kg=[15_000.0] * assets + [12_000.0],
        tare_kg=[13_000.0] * assets + [13_500.0],
        gross_limit_kg=[31_000.0] * assets + [np.nan],
    )


# A realistic day ---------------------------------------------------------------------------------------------------------------------


def truck_day(rng: Generator, asset: int, hours: float, step_ms: int) -> TruckReadings:
    """Cycles between random sites, with the faults of the field: lost and wild fixes, wild loads, gaps, spillage, silent sensors."""
    count = int(hours * 3_600_000 / step_ms)
    row = {name: np.full(count, np.nan) for name in ("lon", "lat", "speed", "load")}
    row |= {name: np.zeros(count) for name in ("up", "cover")}
    at = 0
    while at < count:
        full_kg = rng.uniform(9_000.0, 17_500.0)
        site, fill = (np.array(places[rng.integers(2)]) for places in (LOADING, DUMPING))
        for phase, minutes in enumerate(rng.uniform([4, 10, 2, 10], [10, 25, 5, 25])):
            span = slice(at, min(at + max(2, int(minutes * 60_000 / step_ms)), count))
            at = span.stop
            _play(rng, row, span, phase, full_kg, site, fill)
    t_ms = NOON_MS + np.arange(count) * step_ms + rng.integers(0, step_ms // 2, count)
    readings = TruckReadings.of(
        asset=np.full(count, asset),
        t_ms=t_ms,
        seq=np.zeros(count),
        received_ms=t_ms + 500,
        hist=np.zeros(count),
        lat_e7=np.rint((row["lat"] + rng.normal(0, 2e-5, count)) * 1e7),
        lon_e7=np.rint((row["lon"] + rng.normal(0, 2e-5, count)) * 1e7),
        speed_kmh=np.round(row["speed"], 1),
        heading_deg=rng.integers(0, 360, count),
        load_kg=np.rint(row["load"] + rng.normal(0, 250, count)),
        load_state=np.full(count, -1),
        body_up=row["up"],
        cover_open=row["cover"],
    )
    return _with_faults(rng, readings)


def _play(
    rng: Generator, row: dict[str, Any], span: slice, phase: int, full_kg: float, site: np.ndarray[Any, Any], fill: np.ndarray[Any, Any]
) -> None:
    size = span.stop - span.start
    part = (np.arange(size) + 1) / max(size, 1)
    rolling = np.where(rng.random(size) < 0.1, 0.0, rng.uniform(20, 60, size))
    start, end = [(site, site), (site, fill), (fill, fill), (fill, site)][phase]
    row["lon"][span], row["lat"][span] = (start[axis] + (end - start)[axis] * part for axis in (0, 1))
    row["speed"][span] = rolling if phase in (1, 3) else rng.uniform(0, 1.5, size)
    row["load"][span] = full_kg * [np.clip(part * 1.3 - 0.1, 0, 1), np.ones(size), np.clip(1 - part * 1.5, 0, 1), np.zeros(size)][phase]
    row["up"][span] = phase == 2
    row["cover"][span] = phase in (0, 2)
    if phase == 1 and rng.random() < 0.3:
        row["load"][span][size // 2 :] -= 2_500.0


def _with_faults(rng: Generator, readings: TruckReadings) -> TruckReadings:
    count = len(readings)
    lost = rng.random(count)
    readings.lat_e7[lost < 0.03] = readings.lon_e7[lost < 0.03] = MISSING
    readings.lat_e7[lost > 0.99] = readings.lon_e7[lost > 0.99] = 0
    for at in rng.integers(0, count, 3):
        readings.lat_e7[at : at + rng.integers(1, 14)] += np.int32(3_000_000)
    readings.speed_kmh[rng.random(count) < 0.05] = np.nan
    readings.load_kg[rng.random(count) < 0.05] = np.nan
    readings.load_kg[rng.random(count) < 0.005] = 60_000.0
    readings.body_up[rng.random(count) < 0.1] = -1
    readings.cover_open[rng.random(count) < 0.1] = -1
    keep = np.ones(count, dtype=np.bool_)
    for at in rng.integers(0, count, 2):
        keep[at : at + 30] = False
    return readings.take(keep)


# A live deriver ----------------------------------------------------------------------------------------------------------------------


@dataclass
class Books:
    """What a live deriver keeps of one truck."""

    checkpoints: list[TruckStates]
    rows: list[TruckReadings] = field(default_factory=list)
    cycles: Cycles = field(default_factory=Cycles.empty)
    flags: Flags = field(default_factory=Flags.empty)
    latest: Latest = field(default_factory=Latest.empty)


class Live:
    """Takes batches as they come; the smallest thing that does what the collector's deriver does."""

    def __init__(self, assets: int, rules: Rules) -> None:
        self.rules, self.specs = rules, specs_for(assets)
        self.books = {asset: Books([TruckStates.initial(np.array([asset]))]) for asset in range(1, assets + 1)}

    def tick(self, batch: TruckReadings) -> None:
        touched = np.unique(batch.asset).tolist()
        for asset in touched:
            self._take(asset, batch.take(batch.asset == asset))
        readings = TruckReadings.concat([self._open_rows(asset) for asset in touched])
        states = TruckStates.concat([self.books[asset].checkpoints[-1] for asset in touched])
        derived = derive(order_dedupe(readings).winners, states, self.specs, SITES, self.rules)
        for asset in touched:
            self._write(asset, derived)

    def _take(self, asset: int, rows: TruckReadings) -> None:
        books = self.books[asset]
        while books.checkpoints[-1].t_ms[0] >= rows.t_ms.min():
            books.checkpoints.pop()
        books.rows.append(rows)

    def _open_rows(self, asset: int) -> TruckReadings:
        rows = TruckReadings.concat(self.books[asset].rows)
        return rows.take(rows.t_ms > self.books[asset].checkpoints[-1].t_ms[0])

    def _write(self, asset: int, derived: Derived) -> None:
        books = self.books[asset]
        since_ms = books.checkpoints[-1].t_ms[0]
        books.cycles = _replaced(books.cycles, derived.cycles, asset, since_ms)
        books.flags = _replaced(books.flags, derived.flags, asset, since_ms)
        books.latest = derived.latest.take(derived.latest.asset == asset)
        found: Checkpoints = derived.checkpoints.take(derived.checkpoints.asset == asset)
        books.checkpoints += [found.take(slice(row, row + 1)) for row in range(len(found))]

    def results(self) -> tuple[Cycles, Flags, Latest]:
        books = list(self.books.values())
        flags = Flags.concat([book.flags for book in books])
        return (
            Cycles.concat([book.cycles for book in books]),
            flags.take(np.lexsort((flags.start_ms, flags.kind, flags.asset))),
            Latest.concat([book.latest for book in books]),
        )


def _replaced(old: Any, new: Any, asset: int, since_ms: int) -> Any:
    new = new.take(new.asset == asset)
    assert (new.start_ms > since_ms).all()
    return type(old).concat([old.take(old.start_ms <= since_ms), new])


def batch_results(readings: TruckReadings, assets: int, rules: Rules) -> tuple[Cycles, Flags, Latest]:
    derived = derive(order_dedupe(readings).winners, TruckStates.initial(np.arange(1, assets + 1)), specs_for(assets), SITES, rules)
    return derived.cycles, derived.flags, derived.latest


def assert_same_bits(got: Columns, expected: Columns) -> None:
    for name in expected.names():
        left, right = getattr(got, name), getattr(expected, name)
        if right.dtype.kind == "f":
            left, right = left.view(np.int64), right.view(np.int64)
        np.testing.assert_array_equal(left, right, err_msg=f"{type(expected).__name__}.{name}")


def assert_live_equals_batch(arrivals: list[TruckReadings], assets: int, rules: Rules) -> None:
    live = Live(assets, rules)
    for batch in arrivals:
        live.tick(batch)
    for got, expected in zip(live.results(), batch_results(TruckReadings.concat(arrivals), assets, rules), strict=True):
        assert_same_bits(got, expected)


# How streams arrive ------------------------------------------------------------------------------------------------------------------


def cut(rows: TruckReadings, order: Any, pieces: int, rng: Generator) -> list[TruckReadings]:
    cuts = np.sort(rng.integers(0, len(rows) + 1, max(pieces - 1, 0)))
    return [rows.take(part) for part in np.split(order, cuts) if len(part)]


def arrival_order(rows: TruckReadings, rng: Generator, late_share: float, late_ms: float) -> Any:
    late = rng.random(len(rows)) < late_share
    return np.argsort(rows.t_ms + late * rng.exponential(late_ms, len(rows)), kind="stable")


def with_repeats(rows: TruckReadings, rng: Generator) -> TruckReadings:
    """Some rows come twice; some come again under the same identity with other content."""
    again = rows.take(rng.random(len(rows)) < 0.03)
    other = rows.take(rng.random(len(rows)) < 0.03)
    other.load_kg[:] = np.where(rng.random(len(other)) < 0.5, np.nan, other.load_kg + 700.0)
    other.received_ms[:] += 90_000
    return TruckReadings.concat([rows, again, other])


def a_day(rng: Generator, trucks: int = 2, hours: float = 3.0, step_ms: int = 30_000) -> TruckReadings:
    return TruckReadings.concat([truck_day(rng, asset, hours, step_ms) for asset in range(1, trucks + 1)])


BOUNDED = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
seeds = st.integers(0, 2**32 - 1)


def test_the_realistic_day_has_something_of_everything() -> None:
    cycles, flags, latest = batch_results(a_day(np.random.default_rng(3), trucks=6, hours=8), 6, EAGER)
    assert len(cycles) > 20
    assert len(latest) == 6
    assert {FlagKind.OVERLOAD_PAYLOAD, FlagKind.SPILLAGE, FlagKind.GPS_JUMP, FlagKind.GAP} <= {FlagKind(kind) for kind in flags.kind}


@BOUNDED
@given(seed=seeds, pieces=st.integers(1, 60), late_share=st.sampled_from([0.0, 0.05, 0.5]), late_ms=st.sampled_from([6e4, 3e6]))
def test_cuts_late_rows_and_repeats_change_no_event(seed: int, pieces: int, late_share: float, late_ms: float) -> None:
    rng = np.random.default_rng(seed)
    rows = with_repeats(a_day(rng), rng)
    assert_live_equals_batch(cut(rows, arrival_order(rows, rng, late_share, late_ms), pieces, rng), 2, EAGER)


@BOUNDED
@given(seed=seeds)
def test_a_shuffled_stream_changes_no_event(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = with_repeats(a_day(rng), rng)
    assert_live_equals_batch(cut(rows, rng.permutation(len(rows)), 12, rng), 2, EAGER)


@settings(BOUNDED, max_examples=3)
@given(seed=seeds)
def test_row_by_row_is_the_same_as_all_at_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = a_day(rng, trucks=1, hours=1.5)
    assert_live_equals_batch([rows.take(slice(row, row + 1)) for row in range(len(rows))], 1, EAGER)


@settings(BOUNDED, max_examples=5)
@given(seed=seeds)
def test_ordinary_checkpoints_half_an_hour_apart_are_as_good(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = with_repeats(a_day(rng, hours=8), rng)
    assert_live_equals_batch(cut(rows, arrival_order(rows, rng, 0.02, 3e5), 40, rng), 2, Rules())


@settings(BOUNDED, max_examples=5)
@given(seed=seeds)
def test_a_truck_that_was_offline_uploads_hours_later(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = a_day(rng, hours=5)
    offline = (rows.asset == 1) & (rows.t_ms > NOON_MS + 3_600_000) & (rows.t_ms < NOON_MS + 10_800_000)
    order = np.argsort(np.where(offline, rows.t_ms + 9_000_000, rows.t_ms), kind="stable")
    assert_live_equals_batch(cut(rows, order, 50, rng), 2, EAGER)


def test_derivation_in_blocks_of_trucks_equals_each_truck_alone() -> None:
    rows = order_dedupe(a_day(np.random.default_rng(9), trucks=5)).winners
    together = derive(rows, TruckStates.initial(np.arange(1, 6)), specs_for(5), SITES, EAGER)
    alone = [
        derive(rows.take(rows.asset == asset), TruckStates.initial(np.array([asset])), specs_for(5), SITES, EAGER) for asset in range(1, 6)
    ]
    assert_same_bits(together.cycles, Cycles.concat([part.cycles for part in alone]))
    assert_same_bits(together.flags, Flags.concat([part.flags for part in alone]))
    assert_same_bits(together.checkpoints, TruckStates.concat([part.checkpoints for part in alone]))


# Hostile streams ---------------------------------------------------------------------------------------------------------------------

TIGHT = Rules(
    hold_ms=0,
    checkpoint_ms=1,
    gap_ms=120_000,
    jump_settle_ms=60_000,
    sign_window_ms=60_000,
    plateau_rows=2,
    spill_blocks=1,
    spill_z=0.0,
    spill_block_ms=20_000,
)
"""Thresholds so small that few rows already bring about everything."""
PLACES = (
    (MISSING, MISSING),
    (0, 0),
    *((round(lat * 1e7), round(lon * 1e7)) for lon, lat in (LOADING[0], DUMPING[0], (119.91, 31.7), (121.0, 30.0))),
)

hostile_rows = st.lists(
    st.tuples(
        st.integers(0, 60),
        st.integers(0, 1),
        st.sampled_from(PLACES),
        st.sampled_from([np.nan, 0.0, 3.0, 30.0]),
        st.sampled_from([np.nan, 0.0, 5_000.0, 8_000.0, 14_000.0, 16_000.0]),
        st.sampled_from([-1, 0, 2]),
        st.sampled_from([-1, 0, 1]),
        st.sampled_from([-1, 0, 1]),
    ),
    min_size=1,
    max_size=40,
)


def hostile(rows: list[Any]) -> TruckReadings:
    slot, seq, place, speed, load, state, up, cover = zip(*rows, strict=True)
    t_ms = NOON_MS + 7_000_000 + 10_000 * np.array(slot)
    lat_e7, lon_e7 = zip(*place, strict=True)
    return TruckReadings.of(
        asset=np.ones(len(rows)),
        t_ms=t_ms,
        seq=seq,
        received_ms=t_ms,
        hist=np.zeros(len(rows)),
        lat_e7=lat_e7,
        lon_e7=lon_e7,
        speed_kmh=speed,
        heading_deg=np.full(len(rows), np.nan),
        load_kg=load,
        load_state=state,
        body_up=up,
        cover_open=cover,
    )


def hostile_stream(rng: Generator) -> list[Any]:
    """Rows that hang together more than single draws do: loads last, places last, instants are shared, silences fall in between."""
    slot, load, place, rows = 0, np.nan, PLACES[2], []
    for _ in range(int(rng.integers(2, 60))):
        slot += int(rng.choice([0, 1, 1, 1, 1, 3, 13]))
        load = rng.choice([np.nan, 0.0, 5_000.0, 8_000.0, 14_000.0, 16_000.0]) if rng.random() < 0.25 else load
        place = PLACES[rng.integers(len(PLACES))] if rng.random() < 0.2 else place
        wild = rng.choice([np.nan, 0.0, 60_000.0]) if rng.random() < 0.1 else load
        states = rng.choice([-1, -1, 0, 2]), rng.choice([-1, 0, 0, 0, 1]), rng.choice([-1, 0, 1])
        rows.append((slot, int(rng.integers(0, 6) == 0), place, rng.choice([np.nan, 0.0, 3.0, 30.0, 30.0]), wild, *states))
    return rows


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=seeds, shuffled=st.booleans(), pieces=st.integers(1, 40))
def test_hostile_streams_in_any_order_and_cut_change_no_event(seed: int, shuffled: bool, pieces: int) -> None:
    rng = np.random.default_rng(seed)
    readings = hostile(hostile_stream(rng))
    order = rng.permutation(len(readings)) if shuffled else np.arange(len(readings))
    assert_live_equals_batch(cut(readings, order, pieces, rng), 1, TIGHT)


def test_a_late_fix_that_breaks_up_a_stay_takes_back_what_was_believed() -> None:
    near, far = PLACES[2], PLACES[5]
    stay = [(slot, 0, near if slot < 3 else far, 0.0, 0.0, -1, 0, 0) for slot in range(25)]
    back_for_once = [(5, 1, near, 0.0, 0.0, -1, 0, 0)]
    arrivals = [hostile(stay), hostile(back_for_once)]
    assert_live_equals_batch(arrivals, 1, TIGHT)
    assert FlagKind.GPS_JUMP in batch_results(TruckReadings.concat(arrivals), 1, TIGHT)[1].kind
    assert FlagKind.GPS_JUMP not in batch_results(arrivals[0], 1, TIGHT)[1].kind


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(rows=hostile_rows)
def test_hostile_rows_in_order_one_by_one_change_no_event(rows: list[Any]) -> None:
    readings = order_dedupe(hostile(rows)).winners
    assert_live_equals_batch([readings.take(slice(row, row + 1)) for row in range(len(readings))], 1, TIGHT)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(rows=hostile_rows)
def test_no_two_events_of_a_kind_begin_at_one_instant(rows: list[Any]) -> None:
    cycles, flags, _ = batch_results(hostile(rows), 1, TIGHT)
    assert len(np.unique(cycles.start_ms)) == len(cycles)
    assert len(np.unique(np.stack([flags.kind.astype(np.int64), flags.start_ms]), axis=1).T) == len(flags)
