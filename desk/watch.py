"""The alerts that follow no flag: no readings, a stalled stage, a failed channel, a wrong clock. They open and clear by themselves.

What is wrong is read from the status rows that the parts write, and of clocks from the latest table; `silence` and `stalls` are pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from core.events import Severity
from desk.books import Alert, Books, new_id
from desk.clocks import behind_ms, late
from desk.outbox import Outbox
from desk.rules import AlertRules
from desk.wording import Wording
from storage.store import Store

Status = Mapping[str, Mapping[str, Any]]

FOLLOWS = (("journal", "journalled_ms", "source", "received_ms"), ("derive", "derived_ms", "journal", "journalled_ms"))
"""Which stage takes over from which, and the marks that say how far each has come."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that does not go as it should, since when."""

    kind: str  # text.SYSTEM_KINDS
    subject: str
    since_ms: int
    asset: int = 0  # the truck whose clock is wrong
    value_ms: int | None = None  # None: how long it has lasted
    limit_ms: int | None = None


def silence(status: Status, started_ms: int, now_ms: int, silence_ms: int) -> Iterator[Trouble]:
    """No reading of any asset for `silence_ms`, counted from `started_ms` at the earliest."""
    since_ms = max(started_ms, _mark(status, "source", "received_ms"))
    if now_ms - since_ms >= silence_ms:
        yield Trouble("no_readings", "", since_ms)


def stalls(status: Status, started_ms: int, now_ms: int, stall_ms: int) -> Iterator[Trouble]:
    """Stages that leave work waiting for `stall_ms`, or that stopped telling how they do without saying that they stop.

    A part that has told nothing since `started_ms` is one that does not run here.
    """
    moved_ms = {stage: _mark(status, stage, mark) for stage, mark, _, _ in FOLLOWS}
    behind = {stage for stage, mark, source, goal in FOLLOWS if _mark(status, stage, mark) < _mark(status, source, goal)}
    for part, state in status.items():
        told_ms = int(state.get("updated_ms", 0))
        if told_ms < started_ms or state.get("state") == "stopped":
            continue
        since_ms = max(started_ms, moved_ms[part]) if part in behind else told_ms
        if now_ms - since_ms >= stall_ms:
            yield Trouble("stalled", part, since_ms)


def _mark(status: Status, part: str, name: str) -> int:
    return int(status.get(part, {}).get(name) or 0)


class Watch:
    """Keeps one active alert per trouble."""

    def __init__(self, books: Books, outbox: Outbox, store: Store, wording: Wording, rules: AlertRules, started_ms: int) -> None:
        self._books, self._outbox, self._store = books, outbox, store
        self._wording, self._rules, self._started_ms = wording, rules, started_ms

    def look(self, now_ms: int) -> None:
        """Open an alert for every new trouble, clear those that are over."""
        known = {(alert.kind, alert.asset, alert.subject): alert for alert in self._books.own_active()}
        alarmed = [alert.asset for alert in known.values() if alert.kind == "clock_behind"]
        for trouble in (*self._troubles(now_ms), *self._clocks(alarmed)):
            if known.pop((trouble.kind, trouble.asset, trouble.subject), None) is None:
                self._open(trouble, now_ms)
        for alert in known.values():
            self._clear(alert, now_ms)

    def _troubles(self, now_ms: int) -> Iterator[Trouble]:
        status = self._store.status()
        yield from silence(status, self._started_ms, now_ms, self._rules.silence_ms)
        yield from stalls(status, self._started_ms, now_ms, self._rules.stall_ms)
        for name, since_ms in self._outbox.failing().items():
            yield Trouble("channel_failed", name, since_ms)

    def _clocks(self, alarmed: list[int]) -> Iterator[Trouble]:
        """Trucks whose clocks are behind; those that are `alarmed` until a reading comes in time."""
        latest, limit_ms = self._store.latest(), self._rules.clock_behind_ms
        still = late(latest, limit_ms) & np.isin(latest.asset, alarmed)
        wrong = latest.take(still | (behind_ms(latest, limit_ms) > 0))
        names = self._store.assets() if len(wrong) else {}
        for asset, since_ms, value_ms in zip(wrong.asset.tolist(), wrong.steady_ms.tolist(), wrong.late_ms.tolist(), strict=True):
            yield Trouble("clock_behind", names[asset].name, since_ms, asset, value_ms, limit_ms)

    def _open(self, trouble: Trouble, now_ms: int) -> None:
        alert = Alert(
            id=new_id(now_ms),
            kind=trouble.kind,
            subject=trouble.subject,
            asset=trouble.asset,
            flag_start_ms=None,
            start_ms=trouble.since_ms,
            end_ms=None,
            severity=Severity.FAIL,
            at_ms=now_ms,
            lat_e7=None,
            lon_e7=None,
            value=now_ms - trouble.since_ms if trouble.value_ms is None else trouble.value_ms,
            threshold=trouble.limit_ms,
            u=None,
            rows=0,
            raised_ms=now_ms,
            changed_ms=now_ms,
            rang_ms=now_ms,
        )
        self._books.put(alert)
        text = self._wording.own_raised(alert)
        self._outbox.post(alert.id, "raised", text.title, text.body, now_ms, _itself(alert))

    def _clear(self, alert: Alert, now_ms: int) -> None:
        cleared = replace(alert, end_ms=now_ms, changed_ms=now_ms)
        self._books.put(cleared)
        text = self._wording.own_cleared(cleared)
        self._outbox.post(alert.id, "cleared", text.title, text.body, now_ms, _itself(alert))


def _itself(alert: Alert) -> str:
    """The channel that is not told of an alert, because the alert is about it."""
    return alert.subject if alert.kind == "channel_failed" else ""
