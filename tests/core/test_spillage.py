from collections.abc import Callable
from typing import Any

import numpy as np

from core.columns import MISSING, OPEN_MS
from core.derive import Derived
from core.events import FlagKind, Flags, Severity
from core.readings import TruckReadings

Play = Callable[..., TruckReadings]
Derive = Callable[..., Derived]

START_MS, STEP_MS = 1_650_000_000_000, 10_000
PIT, FILL, ROAD, SHED, NO_GO = (119.90, 31.70), (120.00, 31.70), (119.95, 31.70), (119.93, 31.70), (119.96, 31.70)

COME = {"rows": 20, "at": PIT, "speed_kmh": 0.0, "load_kg": 0.0, "body_up": 0}
LOAD = {"rows": 20, "at": PIT, "speed_kmh": 0.0, "load_kg": [9_000.0, 14_000.0], "body_up": 0}
DUMP = {"rows": 10, "at": FILL, "speed_kmh": 0.0, "load_kg": [8_000.0, 200.0], "body_up": 1}
FIRST_ROLLING = 40


def haul(rng_seed: int = 1, lost_kg: float = 2_000.0, rows: int = 120, sd_kg: float = 100.0, **columns: Any) -> dict[str, Any]:
    noise = np.rint(np.random.default_rng(rng_seed).normal(14_000, sd_kg, rows))
    noise[rows // 2 :] -= lost_kg
    return {"rows": rows, "at": (PIT, FILL), "speed_kmh": 40.0, "load_kg": noise.tolist(), "body_up": 0} | columns


def spilt(found: Derived) -> Flags:
    return found.flags.take(found.flags.kind == FlagKind.SPILLAGE)


def test_a_step_down_on_the_way_is_flagged_where_and_when_it_happened(play: Play, derived: Derive) -> None:
    found = derived(play(COME, LOAD, haul(), DUMP))
    flags = spilt(found)
    assert flags.start_ms.tolist() == found.cycles.start_ms.tolist()
    assert flags.end_ms.tolist() == found.cycles.end_ms.tolist()
    assert flags.severity.tolist() == [Severity.FAIL]
    assert abs(flags.value[0] - 2_000.0) < 100.0
    assert abs(flags.at_ms[0] - (START_MS + STEP_MS * (FIRST_ROLLING + 60))) <= 60_000
    assert abs(flags.lon_e7[0] / 1e7 - 119.95) < 0.006
    assert flags.rows.tolist() == [120]


def test_a_steady_load_is_no_spillage(play: Play, derived: Derive) -> None:
    for seed in range(20):
        assert len(spilt(derived(play(COME, LOAD, haul(seed, lost_kg=0.0, sd_kg=500.0), DUMP)))) == 0


def test_a_small_loss_is_no_spillage(play: Play, derived: Derive) -> None:
    assert len(spilt(derived(play(COME, LOAD, haul(lost_kg=400.0, sd_kg=10.0), DUMP)))) == 0


def test_a_loss_within_the_scatter_is_no_spillage(play: Play, derived: Derive) -> None:
    assert len(spilt(derived(play(COME, LOAD, haul(lost_kg=600.0, sd_kg=3_000.0), DUMP)))) == 0


def test_while_the_truck_is_under_way_it_is_a_suspicion(play: Play, derived: Derive) -> None:
    flags = spilt(derived(play(COME, LOAD, haul())))
    assert flags.severity.tolist() == [Severity.CONDITIONAL]
    assert flags.end_ms.tolist() == [OPEN_MS]


def test_a_raised_body_explains_the_loss(play: Play, derived: Derive) -> None:
    lifted = haul(body_up=[0] * 59 + [1, 1] + [0] * 59)
    assert len(spilt(derived(play(COME, LOAD, lifted, DUMP)))) == 0


def test_a_lift_long_after_the_step_explains_nothing(play: Play, derived: Derive) -> None:
    lifted = haul(body_up=[0] * 110 + [1] * 10)
    assert len(spilt(derived(play(COME, LOAD, lifted, DUMP)))) == 1


def test_a_loss_inside_a_facility_is_its_own_business(play: Play, derived: Derive) -> None:
    assert len(spilt(derived(play(COME, LOAD, haul(at=SHED), DUMP)))) == 0


def test_a_forbidden_area_is_no_facility(play: Play, derived: Derive) -> None:
    assert len(spilt(derived(play(COME, LOAD, haul(at=NO_GO), DUMP)))) == 1


def test_without_any_fix_nobody_can_say_that_it_was_outside(play: Play, derived: Derive) -> None:
    rows = play(COME, LOAD, haul(), DUMP)
    rows.lat_e7[:] = rows.lon_e7[:] = MISSING
    assert len(spilt(derived(rows))) == 0


def test_one_wild_value_is_no_loss(play: Play, derived: Derive) -> None:
    wild = haul(lost_kg=0.0)
    wild["load_kg"][30] = 60_000.0
    wild["load_kg"][0] = 90_000.0
    assert len(spilt(derived(play(COME, LOAD, wild, DUMP)))) == 0


def test_a_haul_too_short_for_blocks_on_both_sides_is_not_judged(play: Play, derived: Derive) -> None:
    assert len(spilt(derived(play(COME, LOAD, haul(rows=24), DUMP)))) == 0
