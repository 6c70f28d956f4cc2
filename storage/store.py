"""The reading side: a handful of named reads, the same for every home of the data.

Spans of readings are half open, ``from_ms <= t_ms < to_ms``. An event is in a span when the two overlap; an event of one instant
overlaps the span that holds it.
"""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np

from core.columns import Bools, Columns, Ints
from core.events import Cycles, DayTotals, FlagKind, Flags, Latest, Tickets
from core.readings import TruckReadings
from storage import readings
from storage.assets import MEASUREMENTS, AssetKey, assets_of
from storage.database import Readers
from storage.journal import DeadLetter
from storage.sheets import CYCLES, DAY_TOTALS, FLAGS, LATEST, TICKETS, Sheet, from_rows

E = TypeVar("E", bound=Columns)

LIMIT = 10_000
"""How many events a read returns unless it says otherwise; of more, the newest."""


@dataclass(frozen=True, slots=True)
class Stored(Generic[E]):
    """Events with their trace, a value per row."""

    rows: E
    revision: Ints  # how often it changed after it had ended
    withdrawn: Bools  # it no longer holds
    change: Ints  # the number of its last change

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class MeasurementCounts:
    """The readings of one measurement."""

    received: int  # rows committed, repetitions included
    distinct: int  # identities: what a read returns
    conflicts: int  # distinct contents that lost to another one of the same identity
    quarantined: int


@dataclass(frozen=True, slots=True)
class Counts:
    """What is in the journal, by the measurement's name and by the dead letters' reason."""

    measurements: dict[str, MeasurementCounts]
    dead_letters: dict[str, int]


class Store(Protocol):
    """What the API, the desk and the reports may ask. Events that were withdrawn are left out unless the read says otherwise."""

    def assets(self) -> Mapping[int, AssetKey]:
        """Every asset that ever reported, by its number."""

    def latest(self) -> Latest:
        """Where each truck was last, sorted by asset."""

    def track(self, asset: int, from_ms: int, to_ms: int) -> TruckReadings:
        """A truck's readings in time order."""

    def cycles(self, from_ms: int, to_ms: int, asset: int | None = None, limit: int = LIMIT) -> Stored[Cycles]:
        """Cycles that overlap the span, oldest first; of more than the limit, the newest."""

    def tickets(self, from_ms: int, to_ms: int, asset: int | None = None, limit: int = LIMIT) -> Stored[Tickets]:
        """Tickets that overlap the span, as `cycles`; ``asset`` is the scale."""

    def flags(self, from_ms: int, to_ms: int, asset: int | None = None, kind: FlagKind | None = None, limit: int = LIMIT) -> Stored[Flags]:
        """Flags that overlap the span, as `cycles`."""

    def flags_changed(self, after_change: int, limit: int = LIMIT) -> Stored[Flags]:
        """Flags that changed after this change, in the order of their changes; withdrawn ones included."""

    def day_totals(self, from_day: int, to_day: int, site: str | None = None) -> Stored[DayTotals]:
        """Totals of the operating days ``from_day <= day < to_day``."""

    def status(self) -> dict[str, dict[str, Any]]:
        """How each part of the program does, with ``updated_ms``."""

    def counts(self) -> Counts:
        """What is in the journal; looks at every hot row, so ask every few seconds, not every time."""

    def received(self) -> dict[str, int]:
        """Rows committed by measurement, repetitions included; costs nothing."""

    def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """The newest dead letters, newest first."""


class EmbeddedStore:
    """The journal's own file as a store, for any number of threads, while another process may write it."""

    def __init__(self, path: Path | str) -> None:
        self._readers = Readers(Path(path))

    def close(self) -> None:
        self._readers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def assets(self) -> Mapping[int, AssetKey]:
        with self._readers.snapshot() as db:
            return assets_of(db)

    def latest(self) -> Latest:
        with self._readers.snapshot() as db:
            return from_rows(Latest, db.execute(LATEST.select("where withdrawn = 0 order by asset")))

    def track(self, asset: int, from_ms: int, to_ms: int) -> TruckReadings:
        with self._readers.snapshot() as db:
            return readings.read(db, TruckReadings, np.array([asset], np.int64), from_ms, to_ms)

    def cycles(self, from_ms: int, to_ms: int, asset: int | None = None, limit: int = LIMIT) -> Stored[Cycles]:
        return self._overlapping(CYCLES, from_ms, to_ms, {"asset": asset}, limit)

    def tickets(self, from_ms: int, to_ms: int, asset: int | None = None, limit: int = LIMIT) -> Stored[Tickets]:
        return self._overlapping(TICKETS, from_ms, to_ms, {"asset": asset}, limit)

    def flags(self, from_ms: int, to_ms: int, asset: int | None = None, kind: FlagKind | None = None, limit: int = LIMIT) -> Stored[Flags]:
        return self._overlapping(FLAGS, from_ms, to_ms, {"asset": asset, "kind": kind}, limit)

    def flags_changed(self, after_change: int, limit: int = LIMIT) -> Stored[Flags]:
        return self._select(FLAGS, "change > ? order by change limit ?", [after_change, limit])

    def day_totals(self, from_day: int, to_day: int, site: str | None = None) -> Stored[DayTotals]:
        where, values = _and_equal("day >= ? and day < ? and withdrawn = 0", [from_day, to_day], {"site": site})
        return self._select(DAY_TOTALS, f"{where} order by day, site, stream, direction, source", values)

    def status(self) -> dict[str, dict[str, Any]]:
        with self._readers.snapshot() as db:
            rows = db.execute("select part, state, updated_ms from status order by part")
            return {part: {**json.loads(state), "updated_ms": updated_ms} for part, state, updated_ms in rows}

    def counts(self) -> Counts:
        with self._readers.snapshot() as db:
            received = dict(db.execute("select measurement, rows from received"))
            held = dict(db.execute("select measurement, count(*) from quarantine group by measurement"))
            letters = dict(db.execute("select reason, count(*) from dead_letters group by reason order by reason"))
            measurements = {}
            for name, table in MEASUREMENTS.items():
                contents, identities = readings.count(db, table)
                measurements[name] = MeasurementCounts(received.get(name, 0), identities, contents - identities, held.get(name, 0))
        return Counts(measurements, letters)

    def received(self) -> dict[str, int]:
        with self._readers.snapshot() as db:
            return dict.fromkeys(MEASUREMENTS, 0) | dict(db.execute("select measurement, rows from received"))

    def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        query = "select received_ms, topic, reason, detail, payload, size, sha256 from dead_letters order by id desc limit ?"
        with self._readers.snapshot() as db:
            return [DeadLetter(*row) for row in db.execute(query, (limit,))]

    def _overlapping(self, sheet: Sheet[E], from_ms: int, to_ms: int, equal: Mapping[str, object], limit: int) -> Stored[E]:
        where, values = _and_equal("start_ms < ? and end_ms >= ? and withdrawn = 0", [to_ms, from_ms], equal)
        key = ", ".join(f"{name} desc" for name in ("start_ms", *sheet.key) if name)
        return _reversed(self._select(sheet, f"{where} order by {key} limit ?", [*values, limit]))

    def _select(self, sheet: Sheet[E], where: str, values: list[object]) -> Stored[E]:
        with self._readers.snapshot() as db:
            return _stored(sheet, db.execute(sheet.select(f"where {where}", "revision", "withdrawn", "change"), values))


def _and_equal(where: str, values: list[object], equal: Mapping[str, object]) -> tuple[str, list[object]]:
    """The condition, narrowed to these values; None is any."""
    chosen = {name: value for name, value in equal.items() if value is not None}
    return " and ".join([where, *(f"{name} = ?" for name in chosen)]), [*values, *chosen.values()]


def _stored(sheet: Sheet[E], cursor: sqlite3.Cursor) -> Stored[E]:
    found = cursor.fetchall()
    revision, withdrawn, change = zip(*(row[-3:] for row in found), strict=True) if found else ((), (), ())
    rows = from_rows(sheet.table, [row[:-3] for row in found])
    return Stored(rows, np.array(revision, np.int64), np.array(withdrawn, bool), np.array(change, np.int64))


def _reversed(stored: Stored[E]) -> Stored[E]:
    turned = slice(None, None, -1)
    return Stored(stored.rows.take(turned), stored.revision[turned], stored.withdrawn[turned], stored.change[turned])
