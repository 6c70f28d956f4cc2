from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.columns import OPEN_MS
from core.cycles import near
from core.derive import Derived
from core.events import Sign
from core.readings import FULL, TruckReadings
from core.rules import Rules

Play = Callable[..., TruckReadings]
Derive = Callable[..., Derived]

START_MS, STEP_MS = 1_650_000_000_000, 10_000
PIT, FILL, ROAD, SHED = (119.90, 31.70), (120.00, 31.70), (119.95, 31.70), (119.93, 31.70)

COME = {"rows": 40, "at": (FILL, PIT), "speed_kmh": 50.0, "load_kg": 0.0, "cover_open": 0, "body_up": 0}
LOAD = {"rows": 30, "at": PIT, "speed_kmh": 0.0, "load_kg": [1_000.0, 5_000.0, 9_000.0, 14_000.0, 16_000.0], "cover_open": 1, "body_up": 0}
HAUL = {"rows": 60, "at": (PIT, FILL), "speed_kmh": 50.0, "load_kg": [15_900.0, 16_000.0, 16_100.0] * 20, "cover_open": 0, "body_up": 0}
DUMP = {"rows": 12, "at": FILL, "speed_kmh": 0.0, "load_kg": [14_000.0, 8_000.0, 4_000.0, 200.0], "cover_open": 1, "body_up": 1}
LEAVE = {"rows": 40, "at": (FILL, ROAD), "speed_kmh": 40.0, "load_kg": 0.0, "cover_open": 0, "body_up": 0}


def ms(row: int) -> int:
    return START_MS + STEP_MS * row


def only(table: Any) -> dict[str, Any]:
    assert len(table) == 1
    return {name: getattr(table, name)[0] for name in table.names()}


def test_a_cycle_is_told_with_its_times_sites_and_signs(play: Play, derived: Derive) -> None:
    cycle = only(derived(play(COME, LOAD, HAUL, DUMP, LEAVE)).cycles)
    assert cycle["start_ms"] == ms(40 + 12)
    assert cycle["depart_ms"] == ms(70)
    assert cycle["arrive_ms"] == ms(129)
    assert cycle["end_ms"] == ms(130 + 9)
    assert (cycle["load_site"], cycle["dump_site"]) == ("pit", "fill")
    assert cycle["load_signs"] == Sign.LOAD | Sign.COVER | Sign.SITE | Sign.STOP
    assert cycle["dump_signs"] == Sign.LOAD | Sign.LIFT | Sign.COVER | Sign.SITE | Sign.STOP


def test_the_payload_is_the_median_of_the_rolling_rows_without_either_stop(play: Play, derived: Derive) -> None:
    cycle = only(derived(play(COME, LOAD, HAUL, DUMP, LEAVE)).cycles)
    assert cycle["payload_kg"] == 16_000.0
    assert cycle["plateau_rows"] == 60


def test_the_uncertainty_joins_the_sensors_share_of_gross_with_the_scatter(play: Play, derived: Derive) -> None:
    steady = only(derived(play(COME, LOAD, HAUL | {"load_kg": 16_000.0}, DUMP)).cycles)
    assert steady["payload_u_kg"] == 0.025 * (16_000 + 13_000)
    scattered = only(derived(play(COME, LOAD, HAUL, DUMP)).cycles)
    # Deviations 100, 0, 100 …: MAD 100 kg; the pattern's lag-one correlation is negative, so each of the 60 rows counts.
    assert scattered["payload_u_kg"] == pytest.approx(np.hypot(725.0, 1.2533 * 148.26 / np.sqrt(60)), rel=1e-12)


def test_readings_that_hang_together_are_worth_fewer(play: Play, derived: Derive) -> None:
    waves = HAUL | {"load_kg": [15_900.0, 16_000.0, 16_100.0]}
    assert (
        only(derived(play(COME, LOAD, waves, DUMP)).cycles)["payload_u_kg"]
        > only(derived(play(COME, LOAD, HAUL, DUMP)).cycles)["payload_u_kg"]
    )


def test_an_unknown_tare_is_stood_in_for_by_the_rated_payload(play: Play, derived: Derive, specs: Any) -> None:
    unknown = replace(specs, tare_kg=np.array([np.nan]))
    cycle = only(derived(play(COME, LOAD, HAUL | {"load_kg": 16_000.0}, DUMP), specs=unknown).cycles)
    assert cycle["payload_u_kg"] == 0.025 * (16_000 + 15_000)


def test_the_haul_is_as_long_as_the_way_that_was_rolled(play: Play, derived: Derive) -> None:
    cycle = only(derived(play(COME, LOAD, HAUL, DUMP, LEAVE)).cycles)
    assert cycle["haul_m"] == pytest.approx(9_481, abs=5)  # 0.1 degree of longitude at 31.7 degrees north


def test_a_haul_with_few_rolling_rows_is_judged_by_all_its_rows_without_the_ramps(play: Play, derived: Derive) -> None:
    crawl = HAUL | {"speed_kmh": 0.0, "load_kg": 15_500.0}
    cycle = only(derived(play(COME, LOAD | {"load_kg": [1_000.0, 9_000.0, 12_000.0, 15_500.0]}, crawl, DUMP)).cycles)
    assert cycle["payload_kg"] == 15_500.0
    assert cycle["plateau_rows"] > 60
    assert cycle["depart_ms"] == cycle["arrive_ms"] == OPEN_MS
    assert cycle["haul_m"] == 0


def test_an_open_cycle_has_no_end_and_no_dumping(play: Play, derived: Derive) -> None:
    cycle = only(derived(play(COME, LOAD, HAUL)).cycles)
    assert cycle["end_ms"] == OPEN_MS
    assert (cycle["dump_site"], cycle["dump_signs"]) == ("", 0)
    assert cycle["arrive_ms"] == ms(129)
    before_departure = only(derived(play(COME, LOAD)).cycles)
    assert before_departure["depart_ms"] == before_departure["arrive_ms"] == OPEN_MS
    assert np.isnan(before_departure["payload_kg"])


def test_a_truck_first_seen_laden_was_loaded_before_our_data(play: Play, derived: Derive) -> None:
    cycle = only(derived(play(HAUL, DUMP, LEAVE)).cycles)
    assert cycle["start_ms"] == ms(0)
    assert (cycle["load_site"], cycle["load_signs"]) == ("", Sign.RESTART)


def test_a_load_that_vanished_in_silence_closes_the_cycle_with_the_gap_as_evidence(play: Play, derived: Derive) -> None:
    cycle = only(derived(play(COME, LOAD, HAUL, LEAVE | {"skip_ms": 3_600_000})).cycles)
    assert cycle["dump_signs"] & Sign.GAP
    assert not cycle["dump_signs"] & Sign.LIFT


def test_dumping_outside_every_site_names_none(play: Play, derived: Derive) -> None:
    aside = (119.99, 31.75)
    cycle = only(derived(play(COME, LOAD, HAUL | {"at": (PIT, aside)}, DUMP | {"at": aside}, LEAVE | {"at": aside})).cycles)
    assert (cycle["load_site"], cycle["dump_site"]) == ("pit", "")
    assert not cycle["dump_signs"] & Sign.SITE


def test_a_site_whose_role_does_not_fit_is_named_but_speaks_for_nothing(play: Play, derived: Derive) -> None:
    cycle = only(derived(play(COME, LOAD, HAUL | {"at": (PIT, SHED)}, DUMP | {"at": SHED}, LEAVE | {"at": SHED})).cycles)
    assert cycle["dump_site"] == "shed"
    assert not cycle["dump_signs"] & Sign.SITE


def test_a_terminal_without_weight_makes_cycles_by_its_three_states(play: Play, derived: Derive) -> None:
    empty = COME | {"load_kg": np.nan, "load_state": 0}
    full = HAUL | {"load_kg": np.nan, "load_state": FULL}
    cycle = only(derived(play(empty, full, empty)).cycles)
    assert np.isnan(cycle["payload_kg"])
    assert cycle["plateau_rows"] == 0


def test_a_wild_value_of_the_sensor_makes_no_cycle(play: Play, derived: Derive) -> None:
    assert len(derived(play(COME, COME | {"rows": 1, "load_kg": 60_000.0}, COME)).cycles) == 0


def test_each_load_is_its_own_cycle(play: Play, derived: Derive) -> None:
    cycles = derived(play(*(COME, LOAD, HAUL, DUMP) * 3, LEAVE), Rules()).cycles
    assert len(cycles) == 3
    assert (np.diff(cycles.start_ms) > 0).all()
    assert (cycles.end_ms < OPEN_MS).all()


def test_a_sign_counts_within_its_window_and_its_own_range_only() -> None:
    t_ms, edge = 100 * np.arange(10), np.array([5])

    def seen(marks: list[int], lowest: int = 0, highest: int = 10, carried_ms: int = -1, window_ms: int = 200) -> bool:
        found = near(
            t_ms, np.array(marks, dtype=np.int64), edge, np.array([lowest]), np.array([highest]), np.array([carried_ms]), window_ms
        )
        return bool(found[0])

    assert seen([3])
    assert seen([7])
    assert not seen([2, 8])
    assert not seen([3], lowest=4)
    assert not seen([7], highest=7)
    assert seen([], carried_ms=300)
    assert not seen([], carried_ms=299)
    assert not seen([])
