"""The alert desk: turns flags and the program's own troubles into alerts, and says what is to be told about them.

An alert follows one flag. When that flag is withdrawn it looks for another of the same asset and kind whose span touches its own; finding
none, it is withdrawn, keeps its evidence, and those who heard of it get one correction. What rings is decided against the clock:
a flag that came too late enters the books silently, and one digest counts such flags when no more of them come.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.columns import MISSING, OPEN_MS
from core.events import FlagKind, Flags, Severity
from desk.books import Alert, Books, new_id
from desk.file import DeskFile
from desk.outbox import Outbox
from desk.registry import Registry
from desk.rules import AlertRules
from desk.watch import Watch
from desk.wording import Text, Wording
from storage.store import Store, Stored

__all__ = ["Alert", "AlertDesk", "AlertRules", "Books", "Clock"]

Clock = Callable[[], int]
PAGE = 10_000
LONGEST_WAIT_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Flag:
    """One row of the store's flags, as far as an alert takes it over."""

    asset: int
    kind: FlagKind
    start_ms: int
    end_ms: int | None
    severity: Severity
    withdrawn: bool
    evidence: dict[str, Any]

    @property
    def word(self) -> str:
        return self.kind.name.lower()

    @property
    def span(self) -> dict[str, Any]:
        return {"start_ms": self.start_ms, "end_ms": self.end_ms, "severity": int(self.severity)}


class AlertDesk:
    """Follows the store's flags and status rows. `poll` is called by one thread; reading and acknowledging by any."""

    def __init__(self, path: Path, store: Store, registry: Registry, clock: Clock, rules: AlertRules | None = None) -> None:
        self._file = DeskFile(path)
        self.books, self.outbox = Books(self._file), Outbox(self._file)
        self._store, self._clock, self._rules = store, clock, rules or AlertRules()
        self._wording = Wording(registry)
        self._watch = Watch(self.books, self.outbox, store, self._wording, self._rules, clock())
        self._watermarks_ms = dict[int, int]()

    def close(self) -> None:
        self._file.close()

    def poll(self) -> None:
        """Take in what has changed since the last time. Alerts and their messages become durable together."""
        now_ms = self._clock()
        change, flags = self._changed_flags()
        self._watermarks_ms.clear()
        with self._file.transaction():
            if flags:
                self._follow(flags, now_ms)
                self.books.move_to(change)
            self._ring_waiting(now_ms)
            self._count_silent(now_ms)
            self._watch.look(now_ms)

    def _changed_flags(self) -> tuple[int, list[Flag]]:
        """Every flag that changed, to the last page: a withdrawn flag and what replaces it must be seen together."""
        change, newest = self.books.flags_change(), dict[tuple[int, FlagKind, int], Flag]()
        while True:
            page = self._store.flags_changed(change, PAGE)
            newest.update({(flag.asset, flag.kind, flag.start_ms): flag for flag in _flags(page)})
            change = int(page.change[-1]) if len(page) else change
            if len(page) < PAGE:
                return change, list(newest.values())

    def _follow(self, flags: list[Flag], now_ms: int) -> None:
        deserted = dict[str, Alert]()
        for flag in flags:
            alert = None if self._stands(flag) else self.books.following(flag.asset, flag.word, flag.start_ms)
            if alert:
                deserted[alert.id] = replace(alert, flag_start_ms=None)
                self.books.put(deserted[alert.id])
        names = self._store.assets() if flags else {}
        for flag in sorted(filter(self._stands, flags), key=lambda flag: flag.start_ms):
            alert = self.books.following(flag.asset, flag.word, flag.start_ms)
            alert = alert or self.books.deserted(flag.asset, flag.word, flag.start_ms, flag.end_ms)
            if alert:
                deserted.pop(alert.id, None)
                self._take_over(alert, flag, now_ms)
            else:
                self._enter(flag, names[flag.asset].name, now_ms)
        for alert in deserted.values():
            self._withdraw(alert, now_ms)

    def _stands(self, flag: Flag) -> bool:
        lowest = self._rules.lowest.get(flag.kind)
        return lowest is not None and flag.severity >= lowest and not flag.withdrawn

    def _enter(self, flag: Flag, subject: str, now_ms: int) -> None:
        alert = Alert(
            id=new_id(now_ms),
            kind=flag.word,
            subject=subject,
            asset=flag.asset,
            flag_start_ms=flag.start_ms,
            raised_ms=now_ms,
            changed_ms=now_ms,
            **flag.span,
            **flag.evidence,
        )
        self.books.put(alert)
        self._ring_if_due(alert, now_ms)

    def _take_over(self, alert: Alert, flag: Flag, now_ms: int) -> None:
        """Let an alert follow this flag. One that had been withdrawn comes back as if it were new, under its own id."""
        if alert.withdrawn_ms is not None:
            alert = replace(alert, withdrawn_ms=None, rang_ms=None, acknowledged_ms=None, acknowledged_by=None)
        taken = replace(alert, flag_start_ms=flag.start_ms, changed_ms=now_ms, **flag.span, **flag.evidence)
        self.books.put(taken)
        if taken.rang_ms is None:
            self._ring_if_due(taken, now_ms)
        elif taken.severity > alert.severity:
            self._post(taken.id, "escalated", self._wording.escalated(taken), now_ms)

    def _withdraw(self, alert: Alert, now_ms: int) -> None:
        self.books.put(replace(alert, withdrawn_ms=now_ms, changed_ms=now_ms, end_ms=now_ms if alert.end_ms is None else alert.end_ms))
        if alert.rang_ms is not None:
            self._post(alert.id, "withdrawn", self._wording.withdrawn(alert), now_ms)

    def _ring_waiting(self, now_ms: int) -> None:
        for alert in self.books.waiting():
            self._ring_if_due(alert, now_ms)

    def _ring_if_due(self, alert: Alert, now_ms: int) -> None:
        if self._rings(alert, now_ms):
            self.books.put(replace(alert, rang_ms=now_ms))
            self._post(alert.id, "raised", self._wording.raised(alert), now_ms)

    def _rings(self, alert: Alert, now_ms: int) -> bool:
        """Whether an alert is news.

        While an asset's late data comes in, a flag that is over may look as if it still lasted. One that has not ended is
        therefore news when its asset has arrived at the present, or when nothing more comes.
        """
        if alert.end_ms is not None:
            return now_ms - alert.end_ms < self._rules.late_ms
        return now_ms - self._watermark_ms(alert.asset, now_ms) < self._rules.late_ms or now_ms - alert.changed_ms >= self._rules.quiet_ms

    def _watermark_ms(self, asset: int, now_ms: int) -> int:
        """The newest device time of an asset; now, where the store knows none."""
        if not self._watermarks_ms:
            latest = self._store.latest()
            self._watermarks_ms = dict(zip(latest.asset.tolist(), latest.t_ms.tolist(), strict=True))
        return self._watermarks_ms.get(asset, now_ms)

    def _count_silent(self, now_ms: int) -> None:
        """Post one digest of what entered silently, when no more of it comes, or when its first has waited for an hour."""
        span_ms = self.books.uncounted_span_ms()
        if span_ms and (now_ms - span_ms[1] >= self._rules.quiet_ms or now_ms - span_ms[0] >= LONGEST_WAIT_MS):
            silent = self.books.uncounted()
            digest_id = new_id(now_ms)
            for alert in silent:
                self.books.put(replace(alert, digest=digest_id))
            self._post(digest_id, "digest", self._wording.digest(digest_id, silent), now_ms)

    def _post(self, alert_id: str, about: str, text: Text, now_ms: int, not_to: str = "") -> None:
        self.outbox.post(alert_id, about, text.title, text.body, now_ms, not_to)


def _flags(stored: Stored[Flags]) -> list[Flag]:
    columns = {name: getattr(stored.rows, name).tolist() for name in Flags.names()}
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return [_flag(row, bool(withdrawn)) for row, withdrawn in zip(rows, stored.withdrawn, strict=True)]


def _flag(row: dict[str, Any], withdrawn: bool) -> Flag:
    evidence = {
        "at_ms": row["at_ms"],
        "lat_e7": None if row["lat_e7"] == MISSING else row["lat_e7"],
        "lon_e7": None if row["lon_e7"] == MISSING else row["lon_e7"],
        "value": _known(row["value"]),
        "threshold": _known(row["limit"]),
        "u": _known(row["u"]),
        "rows": row["rows"],
    }
    end_ms = None if row["end_ms"] == OPEN_MS else row["end_ms"]
    return Flag(row["asset"], FlagKind(row["kind"]), row["start_ms"], end_ms, Severity(row["severity"]), withdrawn, evidence)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
