"""Sends what the desk has to say, at least once, through every channel; keeps a log of every attempt.

A message is repeated only when it failed, or when the program died between sending it and logging that. Each channel has a thread of its
own, so that a slow one delays no other. One that keeps failing is an alert, told on the others.
"""

import logging
import random
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from desk.alerts import AlertDesk, Clock
from desk.channels import Channel
from desk.outbox import DeliveryAttempt, Message, Outbox
from storage.database import JournalError

log = logging.getLogger(__name__)

POLL_S = 0.5
GOODBYE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often a message is tried, and how long to wait in between."""

    attempts: int = 10  # then the message is given up on this channel
    retry_ms: int = 3_600_000  # older than this, a message that fails is given up
    first_wait_s: float = 1.0  # doubles with each failure in a row
    longest_wait_s: float = 120.0
    failing_after: int = 3  # failures in a row that make a channel a failed one


class Courier:
    """Carries messages to one channel, oldest first."""

    def __init__(self, outbox: Outbox, channel: Channel, clock: Clock, pace: Pace, chance: Callable[[], float] = random.random) -> None:
        self._outbox, self._channel, self._clock, self._pace, self._chance = outbox, channel, clock, pace, chance
        self._failures = 0
        self._unlogged: DeliveryAttempt | None = None

    @property
    def name(self) -> str:
        return f"channel {self._channel.name}"

    def step(self) -> float:
        """Send the next message, if there is one; how long to wait before the next step [s].

        What was sent and could not be logged is logged first: until then nothing else is sent, so that nothing is sent twice.
        """
        if self._unlogged is None:
            found = self._outbox.next_for(self._channel.name)
            if found is None:
                return POLL_S
            self._unlogged = self._try(*found)
        attempt = self._unlogged
        self._outbox.log(attempt)
        self._unlogged = None
        return self._after_success() if attempt.result == "sent" else self._after_failure(attempt)

    def _try(self, message: Message, attempts: int) -> DeliveryAttempt:
        reason = self._channel.send(message)
        now_ms = self._clock()
        last = attempts + 1 >= self._pace.attempts or now_ms - message.created_ms >= self._pace.retry_ms
        result = "sent" if reason is None else "given_up" if last else "failed"
        return DeliveryAttempt(message.number, self._channel.name, attempts + 1, result, reason or "", now_ms)

    def _after_success(self) -> float:
        self._failures = 0
        if self._channel.name in self._outbox.failing():
            self._outbox.set_failing(self._channel.name, None)
            log.info("channel %s works again", self._channel.name)
        return 0.0

    def _after_failure(self, attempt: DeliveryAttempt) -> float:
        self._failures += 1
        name, pace = self._channel.name, self._pace
        if attempt.result == "given_up":
            log.error("channel %s: message %d is given up after %d attempts: %s", name, attempt.message, attempt.attempt, attempt.detail)
        if self._failures >= pace.failing_after and name not in self._outbox.failing():
            self._outbox.set_failing(name, attempt.at_ms)
            log.error("channel %s failed %d times in a row: %s; it is tried again", name, self._failures, attempt.detail)
        # Half of the wait is jitter, so that several channels of one provider do not come back together.
        return float(min(pace.first_wait_s * 2 ** min(self._failures - 1, 30), pace.longest_wait_s) * (1 - self._chance() / 2))


class Notifier:
    """The desk's clerk: keeps the desk up to date and its channels supplied until told to stop."""

    def __init__(self, desk: AlertDesk, channels: Sequence[Channel], clock: Clock, pace: Pace | None = None) -> None:
        self._desk, self._channels = desk, channels
        self._couriers = [Courier(desk.outbox, channel, clock, pace or Pace()) for channel in channels]

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set. A send that is under way then is waited for."""
        for name in self._desk.outbox.open([channel.name for channel in self._channels]):
            log.warning("channel %s is no longer configured; what it had not been sent stays unsent", name)
        threads = [threading.Thread(target=_repeat, args=(courier.name, courier.step, stop), daemon=True) for courier in self._couriers]
        for thread in threads:
            thread.start()
        _repeat("the alert desk", self._poll, stop)
        for thread in threads:
            thread.join(GOODBYE_S)

    def _poll(self) -> float:
        self._desk.poll()
        return POLL_S


def _repeat(what: str, step: Callable[[], float], stop: threading.Event) -> None:
    """Take step after step. A file that cannot be read or written now is tried again; said once, and once when it works again."""
    broken, wait_s = False, 0.0
    while not stop.wait(wait_s):
        try:
            wait_s = step()
            if broken:
                log.info("%s goes on", what)
            broken = False
        except (sqlite3.Error, JournalError) as error:
            if not broken:
                log.error("%s cannot go on: %s; it is tried again every second, and alerts wait", what, error)
            broken, wait_s = True, 1.0
