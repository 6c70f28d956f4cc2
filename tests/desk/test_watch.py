from typing import Any

import pytest

from desk.watch import Trouble, silence, stalls

Bench = Any


def collector(received_ms: int, journalled_ms: int, derived_ms: int, updated_ms: int) -> dict[str, dict[str, Any]]:
    return {
        "source": {"received_ms": received_ms, "updated_ms": updated_ms},
        "journal": {"state": "ok", "journalled_ms": journalled_ms, "updated_ms": updated_ms},
        "derive": {"state": "ok", "derived_ms": derived_ms, "updated_ms": updated_ms},
    }


def test_no_readings_are_counted_from_the_last_one_or_from_the_start() -> None:
    status = collector(50_000, 50_000, 50_000, 99_000)
    assert list(silence(status, 0, 59_999, 10_000)) == []
    assert list(silence(status, 0, 60_000, 10_000)) == [Trouble("no_readings", "", 50_000)]
    assert list(silence({}, 55_000, 64_999, 10_000)) == []
    assert list(silence({}, 55_000, 65_000, 10_000)) == [Trouble("no_readings", "", 55_000)]


def test_a_quiet_night_is_no_stall() -> None:
    assert list(stalls(collector(1_000, 1_000, 2_000, 900_000), 0, 900_500, 60_000)) == []


@pytest.mark.parametrize(
    ("status", "stage"),
    [
        (collector(500_000, 400_000, 500_000, 500_000), "journal"),
        (collector(500_000, 500_000, 400_000, 500_000), "derive"),
    ],
)
def test_a_stage_that_leaves_work_waiting_is_stalled(status: dict[str, dict[str, Any]], stage: str) -> None:
    assert list(stalls(status, 0, 500_000, 60_000)) == [Trouble("stalled", stage, 400_000)]
    assert list(stalls(status, 0, 459_999, 60_000)) == []


def test_a_part_that_stops_telling_is_stalled_unless_it_said_that_it_stops() -> None:
    told = {"source": {"state": "ok", "updated_ms": 100_000}, "shipper": {"state": "stopped", "updated_ms": 100_000}}
    assert list(stalls(told, 50_000, 160_000, 60_000)) == [Trouble("stalled", "source", 100_000)]


def test_a_part_that_last_ran_before_our_start_does_not_run_here() -> None:
    assert list(stalls({"shipper": {"state": "ok", "updated_ms": 49_999}}, 50_000, 900_000, 60_000)) == []


def test_the_programs_own_alerts_open_and_clear_by_themselves_and_say_so_once(bench: Bench) -> None:
    bench.store.parts = collector(bench.now_ms, bench.now_ms, bench.now_ms, bench.now_ms)
    for _ in range(5):
        bench.pass_ms(30_000)
    assert {(alert.kind, alert.subject, alert.active) for alert in bench.alerts()} == {
        ("stalled", "source", True),
        ("stalled", "journal", True),
        ("stalled", "derive", True),
    }
    bench.store.parts = collector(bench.now_ms, bench.now_ms, bench.now_ms, bench.now_ms)
    bench.pass_ms(1000)
    bench.pass_ms(1000)
    assert not any(alert.active for alert in bench.alerts())
    assert sorted(bench.said()) == ["cleared"] * 3 + ["raised"] * 3


def test_an_own_alert_outlives_a_restart_and_clears_after_it(bench: Bench) -> None:
    bench.desk.outbox.open(["duty"])
    bench.desk.outbox.set_failing("duty", bench.now_ms)
    bench.desk.poll()
    bench.restart()
    bench.pass_ms(1000)
    assert bench.said() == ["raised"]
    bench.desk.outbox.set_failing("duty", None)
    bench.pass_ms(1000)
    assert bench.said() == ["raised", "cleared"]
