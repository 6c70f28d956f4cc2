from collections.abc import Callable

import numpy as np
import pytest

from core.columns import MISSING
from core.derive import STAGES, Derived, TruckStates, derive
from core.events import FlagKind, Flags, Severity
from core.geofence import Sites
from core.readings import TruckReadings
from core.rules import Rules, TruckSpecs

Play = Callable[..., TruckReadings]
Derive = Callable[..., Derived]

START_MS, STEP_MS = 1_650_000_000_000, 10_000
PIT, FILL, ROAD = (119.90, 31.70), (120.00, 31.70), (119.95, 31.70)
EMPTY = {"rows": 60, "at": ROAD, "speed_kmh": 0.0, "load_kg": 0.0, "cover_open": 0}
FULL = {"rows": 60, "at": (PIT, FILL), "speed_kmh": 40.0, "load_kg": 14_000.0, "cover_open": 0}
EAGER = Rules(hold_ms=0, checkpoint_ms=1)


def ms(row: int) -> int:
    return START_MS + STEP_MS * row


def of_kind(flags: Flags, kind: FlagKind) -> Flags:
    return flags.take(flags.kind == kind)


def test_no_readings_say_nothing(sites: Sites, specs: TruckSpecs) -> None:
    found = derive(TruckReadings.empty(), TruckStates.initial(np.array([1])), specs, sites, Rules())
    assert len(found.cycles) == len(found.flags) == len(found.latest) == len(found.checkpoints) == 0


def test_readings_of_a_truck_without_state_are_refused(play: Play, sites: Sites, specs: TruckSpecs) -> None:
    with pytest.raises(ValueError, match=r"assets \[1\] have readings but no state"):
        derive(play(EMPTY), TruckStates.initial(np.array([2])), specs, sites, Rules())


def test_the_stages_are_a_list_that_one_can_read() -> None:
    assert all(stage.__doc__ for stage in STAGES)


def test_the_newest_reading_shows_where_the_truck_is(play: Play, derived: Derive) -> None:
    latest = derived(play(EMPTY, FULL)).latest
    assert latest.t_ms.tolist() == latest.fix_ms.tolist() == [ms(119)]
    assert (latest.loaded.tolist(), latest.moving.tolist(), latest.site.tolist()) == ([1], [1], ["fill"])
    assert (latest.load_kg.tolist(), latest.speed_kmh.tolist()) == ([14_000.0], [40.0])


def test_a_jump_moves_no_truck_on_the_map(play: Play, derived: Derive) -> None:
    rows = play(EMPTY)
    rows.lat_e7[-2:] += np.int32(5_000_000)
    latest = derived(rows).latest
    assert latest.fix_ms.tolist() == [ms(57)]
    assert latest.lat_e7.tolist() == [317_000_000]


def test_a_truck_that_never_had_a_fix_is_nowhere(play: Play, derived: Derive) -> None:
    rows = play(EMPTY)
    rows.lat_e7[:] = rows.lon_e7[:] = MISSING
    latest = derived(rows).latest
    assert (latest.fix_ms.tolist(), latest.lat_e7.tolist(), latest.site.tolist()) == ([-1], [MISSING], [""])


def test_a_gap_is_named_by_the_reading_that_ends_it(play: Play, derived: Derive) -> None:
    gap = of_kind(derived(play(EMPTY, EMPTY | {"skip_ms": 600_000})).flags, FlagKind.GAP)
    assert gap.start_ms.tolist() == gap.end_ms.tolist() == [ms(60) + 600_000]
    assert (gap.value.tolist(), gap.severity.tolist()) == ([610_000.0], [Severity.INFO])


def test_silence_below_the_limit_is_no_gap(play: Play, derived: Derive) -> None:
    assert len(of_kind(derived(play(EMPTY, EMPTY | {"skip_ms": 580_000})).flags, FlagKind.GAP)) == 0


def test_an_excursion_is_one_flag_at_the_last_believed_place(play: Play, derived: Derive) -> None:
    rows = play(EMPTY)
    rows.lat_e7[20:25] += np.int32(5_000_000)
    jump = of_kind(derived(rows).flags, FlagKind.GPS_JUMP)
    assert (jump.start_ms.tolist(), jump.end_ms.tolist(), jump.rows.tolist()) == ([ms(20)], [ms(25)], [5])
    assert jump.lat_e7.tolist() == [317_000_000]
    assert jump.value[0] == pytest.approx(55_430, abs=50)


def test_checkpoints_stay_behind_the_newest_reading_and_apart(play: Play, derived: Derive) -> None:
    checkpoints = derived(play(EMPTY | {"rows": 1_000})).checkpoints
    assert (checkpoints.t_ms <= ms(999) - Rules().hold_ms).all()
    buckets = checkpoints.t_ms // Rules().checkpoint_ms
    assert len(np.unique(buckets)) == len(buckets) > 3


def test_no_checkpoint_while_a_load_is_on_the_way_or_a_tipping_fresh(play: Play, derived: Derive) -> None:
    checkpoints = derived(play(EMPTY, FULL, EMPTY), EAGER).checkpoints
    rows = (checkpoints.t_ms - START_MS) // STEP_MS
    fresh = 120 + Rules().sign_window_ms // STEP_MS
    assert rows.tolist() == [*range(1, 60), *range(fresh, 179)]


def test_no_checkpoint_while_a_place_is_in_doubt(play: Play, derived: Derive) -> None:
    rows = play(EMPTY)
    rows.lat_e7[20:25] += np.int32(5_000_000)
    found = (derived(rows, EAGER).checkpoints.t_ms - START_MS) // STEP_MS
    assert found.tolist() == [*range(1, 20), *range(25, 59)]


def test_no_checkpoint_at_a_reading_whose_instant_may_come_again(play: Play, derived: Derive) -> None:
    rows = play(EMPTY)
    rows.t_ms[30], rows.seq[30] = rows.t_ms[29], 1
    found = (derived(rows, EAGER).checkpoints.t_ms - START_MS) // STEP_MS
    assert found.tolist() == [*range(1, 30), *range(31, 59)]
    assert derived(rows, EAGER).checkpoints.t_ms.tolist().count(ms(29)) == 1


def test_derivation_goes_on_from_any_checkpoint(play: Play, derived: Derive, sites: Sites, specs: TruckSpecs) -> None:
    rows = play(EMPTY, FULL, EMPTY, FULL | {"load_kg": 18_000.0}, EMPTY | {"skip_ms": 700_000})
    whole = derived(rows, EAGER)
    for number in range(len(whole.checkpoints)):
        state = whole.checkpoints.take(slice(number, number + 1))
        rest = derive(rows.take(rows.t_ms > state.t_ms[0]), state, specs, sites, EAGER)
        assert rest.cycles.start_ms.tolist() == [start for start in whole.cycles.start_ms.tolist() if start > state.t_ms[0]]
        assert rest.flags.start_ms.tolist() == [start for start in whole.flags.start_ms.tolist() if start > state.t_ms[0]]
