import sqlite3
from typing import Any

import pytest

from desk.notifier import POLL_S, Courier, Pace
from desk.outbox import Message

Bench = Any


class Ear:
    """A channel that keeps what it is told, and answers as the test says."""

    def __init__(self, name: str = "duty") -> None:
        self.name = name
        self.heard: list[Message] = []
        self.answer: str | None = None

    def send(self, message: Message) -> str | None:
        self.heard.append(message)
        return self.answer


def courier(bench: Bench, ear: Ear, **pace: Any) -> Courier:
    bench.desk.outbox.open([ear.name])
    return Courier(bench.desk.outbox, ear, lambda: bench.now_ms, Pace(**pace), chance=lambda: 0.0)


def post(bench: Bench, alert: str = "a", about: str = "raised", not_to: str = "") -> None:
    bench.desk.outbox.post(alert, about, "title", f"Alert id: {alert}", bench.now_ms, not_to)


def results(bench: Bench, alert: str = "a") -> list[tuple[str, int, str]]:
    return [(attempt.channel, attempt.attempt, attempt.result) for attempt in bench.desk.outbox.deliveries(alert)]


def test_a_message_is_sent_once_and_logged(bench: Bench) -> None:
    ear = Ear()
    duty = courier(bench, ear)
    post(bench)
    assert duty.step() == 0.0
    assert duty.step() == POLL_S
    assert [message.body for message in ear.heard] == ["Alert id: a"]
    assert results(bench) == [("duty", 1, "sent")]


def test_a_channel_hears_what_is_posted_after_it_was_set_up(bench: Bench) -> None:
    post(bench, "before")
    ear = Ear()
    duty = courier(bench, ear)
    post(bench, "after")
    duty.step()
    assert [message.alert for message in ear.heard] == ["after"]


def test_a_restart_goes_on_where_it_stopped(bench: Bench) -> None:
    ear = Ear()
    duty = courier(bench, ear)
    post(bench, "a")
    duty.step()
    post(bench, "b")
    bench.restart()
    courier(bench, ear).step()
    assert [message.alert for message in ear.heard] == ["a", "b"]


def test_a_death_between_sending_and_logging_repeats_the_message_with_the_same_id(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    ear = Ear()
    duty = courier(bench, ear)
    post(bench)

    def die(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(bench.desk.outbox, "log", die)
        with pytest.raises(KeyboardInterrupt):
            duty.step()
    bench.restart()
    after = courier(bench, ear)
    after.step()
    after.step()
    assert [message.body for message in ear.heard] == ["Alert id: a", "Alert id: a"]
    assert results(bench) == [("duty", 1, "sent")]


def test_a_log_that_cannot_be_written_now_is_written_before_anything_else_is_sent(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    ear = Ear()
    duty = courier(bench, ear)
    post(bench, "a")
    post(bench, "b")

    def full(_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(bench.desk.outbox, "log", full)
        for _ in range(3):
            with pytest.raises(sqlite3.OperationalError):
                duty.step()
    duty.step()
    duty.step()
    assert [message.alert for message in ear.heard] == ["a", "b"]


def test_failures_wait_twice_as_long_each_time_and_are_bounded(bench: Bench) -> None:
    ear = Ear()
    ear.answer = "answered 500"
    duty = courier(bench, ear, attempts=6, longest_wait_s=10.0)
    post(bench)
    assert [duty.step() for _ in range(7)] == [1, 2, 4, 8, 10, 10, POLL_S]
    assert [result for *_, result in results(bench)] == ["failed"] * 5 + ["given_up"]
    assert {attempt.detail for attempt in bench.desk.outbox.deliveries("a")} == {"answered 500"}


def test_jitter_shortens_a_wait_by_up_to_half(bench: Bench) -> None:
    ear = Ear()
    ear.answer = "answered 500"
    bench.desk.outbox.open(["duty"])
    duty = Courier(bench.desk.outbox, ear, lambda: bench.now_ms, Pace(), chance=lambda: 1.0)
    post(bench)
    assert duty.step() == 0.5


def test_a_message_that_fails_an_hour_after_it_was_posted_is_given_up(bench: Bench) -> None:
    ear = Ear()
    ear.answer = "answered 500"
    duty = courier(bench, ear)
    post(bench)
    bench.now_ms += 3_600_000
    duty.step()
    assert results(bench) == [("duty", 1, "given_up")]


def test_after_a_given_up_message_the_next_one_is_tried(bench: Bench) -> None:
    ear = Ear()
    ear.answer = "answered 500"
    duty = courier(bench, ear, attempts=1)
    post(bench, "a")
    post(bench, "b")
    duty.step()
    ear.answer = None
    duty.step()
    assert results(bench, "b") == [("duty", 1, "sent")]


def test_a_channel_that_keeps_failing_is_told_on_the_others_and_its_return_too(bench: Bench) -> None:
    duty_ear, chief_ear = Ear("duty"), Ear("chief")
    bench.desk.outbox.open(["duty", "chief"])
    duty, chief = (Courier(bench.desk.outbox, ear, lambda: bench.now_ms, Pace()) for ear in (duty_ear, chief_ear))
    duty_ear.answer = "answered 500"
    post(bench)
    for _ in range(4):
        duty.step()
        bench.desk.poll()
    for _ in range(5):
        chief.step()
    assert [(message.about, message.title) for message in chief_ear.heard[1:]] == [
        ("raised", "通知渠道失效 duty | Notification channel failed duty")
    ]
    duty_ear.answer = None
    duty.step()
    bench.desk.poll()
    for _ in range(5):
        chief.step()
        duty.step()
    assert chief_ear.heard[-1].about == "cleared"
    assert {message.alert for message in duty_ear.heard} == {"a"}


def test_a_channel_that_is_no_longer_configured_is_forgotten(bench: Bench) -> None:
    outbox = bench.desk.outbox
    assert outbox.open(["duty", "chief"]) == []
    outbox.set_failing("chief", 1)
    assert outbox.open(["duty"]) == ["chief"]
    assert outbox.failing() == {}
