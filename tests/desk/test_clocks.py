"""A clock that is behind is told from a line that was slow."""

from typing import Any

import numpy as np
import pytest

from core.events import Latest
from desk.clocks import behind_ms
from desk.rules import AlertRules

Bench = Any
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


def offset_min(**minutes: float) -> float:
    """How far the clock of one truck is behind, of which this is known [min]."""
    columns: dict[str, Any] = {name: [""] if dtype.kind == "U" else np.zeros(1) for name, dtype in Latest.dtypes().items()}
    told = {f"{name}_ms": [value * MINUTE_MS] for name, value in minutes.items()}
    return float(behind_ms(Latest.of(**columns | told), AlertRules().clock_behind_ms)[0]) / MINUTE_MS


def drive(bench: Bench, minutes: int, late_ms: int, *, asset: int = 1) -> None:
    """A truck reports every minute, always so late."""
    for _ in range(minutes):
        bench.store.hear(asset, bench.now_ms, late_ms)
        bench.pass_ms(MINUTE_MS)


@pytest.mark.parametrize(
    ("known", "offset"),
    [
        ({"heard": 600, "late": 480, "steady": 585, "steady_late": 480}, 480),  # for just long enough
        ({"heard": 600, "late": 480, "steady": 586, "steady_late": 480}, 0),  # too early to tell
        ({"heard": 600, "late": 15, "steady": 0, "steady_late": 15}, 0),  # a slow line
        ({"heard": 600, "late": 480, "steady": 560, "steady_late": 490}, 480),  # its first message had waited
        ({"heard": 600, "late": 100, "steady": 580, "steady_late": 120}, 0),  # catches up at twice the pace
        ({"heard": 600, "late": 120, "steady": 580, "steady_late": 101}, 0),  # two readings, twenty minutes apart: no pace
        ({"heard": -1 / MINUTE_MS, "late": 0, "steady": -1 / MINUTE_MS, "steady_late": 0}, 0),  # nothing came but re-uploads
    ],
)
def test_a_clock_is_behind_when_it_goes_steadily_at_our_pace(known: dict[str, float], offset: float) -> None:
    assert offset_min(**known) == offset


def test_a_clock_eight_hours_behind_rings_once_and_clears_when_it_is_right(bench: Bench) -> None:
    drive(bench, 15, 8 * HOUR_MS)
    assert bench.said() == []
    drive(bench, 60, 8 * HOUR_MS)
    (alert,) = bench.alerts()
    assert (alert.kind, alert.subject, alert.asset, alert.active) == ("clock_behind", "T1", 1, True)
    assert (alert.value, alert.threshold, alert.rang_ms is not None) == (8 * HOUR_MS, 15 * MINUTE_MS, True)
    assert bench.said() == ["raised"]
    drive(bench, 2, 0)
    assert bench.said() == ["raised", "cleared"]
    assert not any(alert.active for alert in bench.alerts())


def test_an_alarmed_clock_stays_so_over_a_night_a_restart_and_another_wrong_time(bench: Bench) -> None:
    drive(bench, 20, 8 * HOUR_MS)
    bench.pass_ms(10 * HOUR_MS)
    bench.restart()
    drive(bench, 5, 8 * HOUR_MS)
    drive(bench, 20, 3 * HOUR_MS)
    assert bench.said() == ["raised"]


def test_what_comes_late_after_an_outage_is_no_clock_fault(bench: Bench) -> None:
    drive(bench, 30, 0)
    bench.pass_ms(2 * HOUR_MS)
    for late_min in range(120, -1, -2):  # marked by nobody, sent at three times the pace
        drive(bench, 1, late_min * MINUTE_MS)
    assert bench.said() == []


def test_each_truck_has_a_clock_of_its_own(bench: Bench) -> None:
    for _ in range(20):
        bench.store.hear(2, bench.now_ms, HOUR_MS)
        drive(bench, 1, 8 * HOUR_MS)
    assert sorted(alert.subject for alert in bench.alerts()) == ["T1", "T2"]


def test_a_clock_alert_is_left_alone_by_the_flags(bench: Bench) -> None:
    drive(bench, 20, 8 * HOUR_MS)
    bench.store.flag(bench.now_ms)
    bench.pass_ms(1000)
    bench.store.withdraw(bench.now_ms - 1000)
    drive(bench, 2, 8 * HOUR_MS)
    assert [alert.active for alert in bench.alerts() if alert.kind == "clock_behind"] == [True]


def test_a_sped_up_clock_makes_no_clock_fault_of_the_programs_own_delays() -> None:
    assert AlertRules().at_speed(60).clock_behind_ms == 900_000 + 59 * 10_000
