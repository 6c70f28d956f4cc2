import sqlite3
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.events import FlagKind, Severity
from desk.books import new_id
from desk.rules import AlertRules

MINUTE_MS = 60_000
Bench = Any


def test_a_flag_that_lasts_rings_at_once_whatever_its_start(bench: Bench) -> None:
    bench.store.flag(bench.now_ms - 5 * 3600_000)
    bench.desk.poll()
    [alert] = bench.alerts()
    assert (alert.kind, alert.subject, alert.active, alert.rang_ms) == ("overload_gross", "T1", True, bench.now_ms)
    assert bench.said() == ["raised"]


@pytest.mark.parametrize(("age_ms", "rings"), [(10 * MINUTE_MS - 1, True), (10 * MINUTE_MS, False)])
def test_a_flag_that_ended_rings_for_ten_minutes(bench: Bench, age_ms: int, rings: bool) -> None:
    bench.store.flag(bench.now_ms - 3600_000, bench.now_ms - age_ms)
    bench.desk.poll()
    assert bench.said() == (["raised"] if rings else [])
    assert len(bench.alerts()) == 1


def test_a_flag_that_stays_the_same_is_told_once(bench: Bench) -> None:
    bench.store.flag(bench.now_ms)
    bench.desk.poll()
    for _ in range(3):
        bench.pass_ms(1000)
    bench.restart()
    bench.desk.poll()
    assert bench.said() == ["raised"]


def test_a_span_that_grows_and_ends_keeps_its_alert(bench: Bench) -> None:
    start_ms = bench.now_ms
    bench.store.flag(start_ms, rows=12)
    bench.desk.poll()
    bench.store.flag(start_ms, rows=80)
    bench.pass_ms(MINUTE_MS)
    bench.store.flag(start_ms, start_ms + 2 * MINUTE_MS, rows=120)
    bench.pass_ms(MINUTE_MS)
    [alert] = bench.alerts()
    assert (alert.rows, alert.active, alert.end_ms) == (120, False, start_ms + 2 * MINUTE_MS)
    assert bench.said() == ["raised"]


def test_a_start_that_late_data_moves_keeps_the_alert_without_a_correction(bench: Bench) -> None:
    start_ms = bench.now_ms
    bench.store.flag(start_ms)
    bench.desk.poll()
    first = bench.alerts()[0].id
    bench.store.withdraw(start_ms)
    bench.store.flag(start_ms - MINUTE_MS)
    bench.desk.poll()
    [alert] = bench.alerts()
    assert (alert.id, alert.start_ms, alert.withdrawn_ms) == (first, start_ms - MINUTE_MS, None)
    assert bench.said() == ["raised"]


def test_a_withdrawn_flag_gives_one_correction_and_the_evidence_stays(bench: Bench) -> None:
    bench.store.flag(bench.now_ms)
    bench.desk.poll()
    bench.store.withdraw(bench.now_ms)
    bench.pass_ms(1000)
    bench.store.withdraw(bench.now_ms - 1000)
    bench.pass_ms(1000)
    bench.restart()
    bench.desk.poll()
    [alert] = bench.alerts()
    assert alert.withdrawn_ms is not None
    assert not alert.active
    assert (alert.value, alert.threshold, alert.u, alert.rows) == (33420.0, 31000.0, 820.0, 14)
    assert bench.said() == ["raised", "withdrawn"]


def test_a_flag_of_another_time_gets_an_alert_of_its_own(bench: Bench) -> None:
    first_ms = bench.now_ms
    bench.store.flag(first_ms)
    bench.desk.poll()
    bench.store.withdraw(first_ms)
    bench.pass_ms(MINUTE_MS)
    bench.store.flag(first_ms + 5 * MINUTE_MS)
    bench.pass_ms(5 * MINUTE_MS)
    assert len({alert.id for alert in bench.alerts()}) == 2
    assert bench.said() == ["raised", "withdrawn", "raised"]


def test_flags_of_other_assets_and_kinds_are_followed_apart(bench: Bench) -> None:
    bench.store.flag(bench.now_ms)
    bench.desk.poll()
    bench.store.withdraw(bench.now_ms)
    bench.store.flag(bench.now_ms, asset=2)
    bench.store.flag(bench.now_ms, kind=FlagKind.SPILLAGE)
    bench.desk.poll()
    assert sorted((alert.subject, alert.kind, alert.active) for alert in bench.alerts()) == [
        ("T1", "overload_gross", False),
        ("T1", "spillage", True),
        ("T2", "overload_gross", True),
    ]


def test_a_verdict_that_comes_back_rings_again_under_its_own_id_and_waits_for_a_person_again(bench: Bench) -> None:
    start_ms = bench.now_ms
    bench.store.flag(start_ms)
    bench.desk.poll()
    first = bench.alerts()[0].id
    bench.desk.books.acknowledge(first, "王", bench.now_ms)
    bench.store.withdraw(start_ms)
    bench.pass_ms(1000)
    bench.store.flag(start_ms)
    bench.pass_ms(1000)
    [alert] = bench.alerts()
    assert (alert.id, alert.active, alert.acknowledged) == (first, True, False)
    assert bench.said() == ["raised", "withdrawn", "raised"]


def test_a_suspicion_is_marked_apart_and_told_again_when_it_becomes_certain(bench: Bench) -> None:
    bench.store.flag(bench.now_ms, severity=Severity.CONDITIONAL)
    bench.desk.poll()
    assert bench.alerts()[0].severity == Severity.CONDITIONAL
    bench.store.flag(bench.now_ms, severity=Severity.FAIL)
    bench.desk.poll()
    assert bench.alerts()[0].severity == Severity.FAIL
    bench.store.flag(bench.now_ms, severity=Severity.CONDITIONAL)
    bench.desk.poll()
    assert bench.said() == ["raised", "escalated"]


def test_kinds_that_are_not_set_to_alert_do_not(bench: Bench) -> None:
    for kind in (FlagKind.GPS_JUMP, FlagKind.GAP, FlagKind.TICKET_MISMATCH):
        bench.store.flag(bench.now_ms, kind=kind)
    bench.desk.poll()
    assert bench.alerts() == []


def test_an_outage_ends_with_one_digest_of_what_did_not_ring(bench: Bench) -> None:
    for hour in range(2, 5):
        bench.store.flag(bench.now_ms - hour * 3600_000, bench.now_ms - hour * 3600_000 + MINUTE_MS, kind=FlagKind.SPILLAGE)
        bench.pass_ms(20_000)
    assert bench.said() == []
    for _ in range(5):
        bench.pass_ms(30_000)
    assert bench.said() == ["digest"]
    digest = bench.alerts()[0].digest
    assert {alert.digest for alert in bench.alerts()} == {digest}
    [message] = bench.desk.outbox.messages(digest)
    assert "疑似抛撒 3" in message.body
    assert "Suspected spillage 3" in message.body
    assert digest in message.body


def test_late_data_that_never_ends_is_counted_every_hour(bench: Bench) -> None:
    for minute in range(70):
        bench.store.flag(bench.now_ms - 3600_000, bench.now_ms - 3500_000 + minute)
        bench.pass_ms(59_000)
    assert bench.said() == ["digest"]


def test_what_lasts_in_late_data_rings_only_when_its_truck_has_arrived_at_the_present(bench: Bench) -> None:
    start_ms = bench.now_ms - 3 * 3600_000
    bench.store.watermarks[1] = start_ms + 20 * MINUTE_MS
    bench.store.flag(start_ms)
    bench.desk.poll()
    assert bench.said() == []
    bench.store.watermarks[1] = bench.now_ms
    bench.pass_ms(1000)
    assert bench.said() == ["raised"]


def test_what_lasts_in_late_data_and_then_ended_long_ago_never_rings(bench: Bench) -> None:
    start_ms = bench.now_ms - 3 * 3600_000
    bench.store.watermarks[1] = start_ms + 20 * MINUTE_MS
    bench.store.flag(start_ms)
    bench.desk.poll()
    bench.store.watermarks[1] = bench.now_ms
    bench.store.flag(start_ms, start_ms + 30 * MINUTE_MS)
    bench.pass_ms(1000)
    bench.pass_ms(2 * MINUTE_MS)
    assert bench.said() == ["digest"]


def test_what_still_lasts_when_a_truck_falls_silent_rings_within_a_minute(bench: Bench) -> None:
    bench.store.watermarks[1] = bench.now_ms - 3600_000
    bench.store.flag(bench.now_ms - 2 * 3600_000)
    bench.desk.poll()
    bench.pass_ms(MINUTE_MS)
    assert bench.said() == ["raised"]


def test_a_withdrawn_alert_that_nobody_heard_of_needs_no_correction(bench: Bench) -> None:
    start_ms = bench.now_ms - 2 * 3600_000
    bench.store.flag(start_ms, start_ms + MINUTE_MS)
    bench.desk.poll()
    bench.store.withdraw(start_ms)
    for _ in range(3):
        bench.pass_ms(MINUTE_MS)
    assert bench.said() == []
    assert bench.alerts()[0].withdrawn_ms is not None


def test_an_alert_and_its_message_become_durable_together_or_not_at_all(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    bench.store.flag(bench.now_ms)
    with monkeypatch.context() as patched:
        patched.setattr(bench.desk.outbox, "post", broken)
        with pytest.raises(sqlite3.OperationalError):
            bench.desk.poll()
    assert bench.alerts() == []
    bench.desk.poll()
    assert bench.said() == ["raised"]


def test_the_first_acknowledgement_stays(bench: Bench) -> None:
    bench.store.flag(bench.now_ms)
    bench.desk.poll()
    alert_id = bench.alerts()[0].id
    bench.desk.books.acknowledge(alert_id, "王", bench.now_ms)
    again = bench.desk.books.acknowledge(alert_id, "李", bench.now_ms + 1)
    assert (again.acknowledged, again.acknowledged_by, again.acknowledged_ms) == (True, "王", bench.now_ms)
    bench.store.flag(bench.now_ms, rows=99)
    bench.desk.poll()
    assert bench.alerts()[0].acknowledged_by == "王"
    with pytest.raises(KeyError, match="alert nothing: there is none"):
        bench.desk.books.acknowledge("nothing", "王", 0)


def test_the_newest_alerts_come_first_and_active_ones_alone_where_asked(bench: Bench) -> None:
    bench.store.flag(bench.now_ms - MINUTE_MS, bench.now_ms)
    bench.desk.poll()
    bench.store.flag(bench.now_ms, asset=2)
    bench.pass_ms(1000)
    assert [alert.subject for alert in bench.alerts()] == ["T2", "T1"]
    assert [alert.subject for alert in bench.desk.books.list(10, active=True)] == ["T2"]
    assert [alert.subject for alert in bench.desk.books.list(10, before_ms=bench.now_ms)] == ["T1"]


def test_a_sped_up_clock_allows_for_the_programs_own_delays() -> None:
    assert AlertRules().at_speed(1) == AlertRules()
    assert AlertRules().at_speed(61).stall_ms == 660_000


@given(st.lists(st.integers(0, 2**48 - 1), min_size=2, max_size=20))
def test_ids_sort_by_time_and_are_never_given_twice(times_ms: list[int]) -> None:
    ids = [new_id(now_ms) for now_ms in times_ms]
    assert len(set(ids)) == len(ids)
    assert [now_ms for _, now_ms in sorted(zip(ids, times_ms, strict=True))] == sorted(times_ms)


STEPS = st.lists(st.tuples(st.sampled_from(["flag", "end", "withdraw", "wait"]), st.integers(0, 5)), max_size=25)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_nobody_hears_of_a_standing_verdict_twice_nor_more_corrections_than_verdicts(bench: Bench, steps: list[tuple[str, int]]) -> None:
    base_ms, asset = bench.now_ms, 2
    for what, minute in steps:
        start_ms = base_ms + minute * MINUTE_MS
        if what == "flag":
            bench.store.flag(start_ms, asset=asset)
        elif what == "end":
            bench.store.flag(start_ms, start_ms + MINUTE_MS // 2, asset=asset)
        elif what == "withdraw" and (asset, FlagKind.OVERLOAD_GROSS, start_ms) in bench.store.rows:
            bench.store.withdraw(start_ms, asset=asset)
        bench.pass_ms(10_000)
    for alert in bench.alerts():
        said = [about for about in bench.said(alert.id) if about in {"raised", "withdrawn"}]
        assert said == (["raised", "withdrawn"] * len(said))[: len(said)]
        assert alert.withdrawn_ms is None or said[-1:] != ["raised"]
    standing = {key[2] for key, (_, withdrawn, _) in bench.store.rows.items() if not withdrawn}
    followed = [alert.flag_start_ms for alert in bench.alerts() if alert.flag_start_ms is not None]
    assert sorted(followed) == sorted(standing)
