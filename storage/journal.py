"""The collector's journal: every accepted reading is on disk here before it is acknowledged.

One process writes, any number of processes and threads read. As read, the journal is a set of readings.
"""

import json
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Self, TypeVar

import numpy as np

from core.columns import Bools, Ints
from core.readings import Readings
from storage import batches, quarantine, readings, sheets
from storage.assets import AssetKey, assets_of, measurement_of
from storage.database import Readers, Writer
from storage.sealing import Sealer

C = TypeVar("C", bound=Readings)
Clock = Callable[[], int]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message, or a part of one, that could not be taken in; ``payload`` may be only the head of ``size`` bytes."""

    received_ms: int
    topic: str
    reason: str
    detail: str
    payload: bytes
    size: int
    sha256: str


class Journal:
    """The writing side. Every method may be called from any thread; made by `open`."""

    def __init__(self, writer: Writer, readers: Readers, clock: Clock, hot_rows: int, hot_batches: int) -> None:
        self.path = writer.path
        self.writer, self.readers = writer, readers
        self._clock = clock
        self._sealer = Sealer(writer, readers, hot_rows, hot_batches)
        self._naming = threading.Lock()
        with writer.transaction() as db:
            sheets.prepare(db)
            self._assets = assets_of(db)
            self._suspects = quarantine.assets(db)
        self._numbers = {key: number for number, key in self._assets.items()}
        self._new: list[int] = []  # asset numbers that no commit has made durable yet

    @classmethod
    def open(cls, path: Path | str, clock: Clock, *, hot_rows: int = 500_000, hot_batches: int = 200) -> Self:
        """Open the SQLite file as its only writer; it is made, with its folder, when it is not there.

        Parameters
        ----------
        clock
            Milliseconds since 1970, for the time stamps of status rows.
        hot_rows, hot_batches
            Above so many hot rows, `seal` makes blocks of them; above so many hot batches, it puts small ones together.

        Raises
        ------
        JournalError
            When another process writes to it, or it is no journal.
        """
        writer = Writer(Path(path))
        return cls(writer, Readers(writer.path), clock, hot_rows, hot_batches)

    def close(self) -> None:
        self.readers.close()
        self.writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def asset(self, key: AssetKey) -> int:
        """The asset's permanent number; a new one becomes durable with the next commit, and is lost only with it."""
        number = self._numbers.get(key)
        if number is not None:
            return number
        with self._naming:
            if key not in self._numbers:
                number = len(self._assets) + 1
                self._assets[number] = key
                self._new.append(number)
                self._numbers[key] = number
            return self._numbers[key]

    def assets(self) -> Mapping[int, AssetKey]:
        return MappingProxyType(self._assets)

    def commit(
        self,
        tables: Sequence[Readings],
        dead_letters: Sequence[DeadLetter] = (),
        quarantined: Sequence[Readings] = (),
    ) -> int:
        """Put all of this on disk, or nothing; rows that came before may come again. Returns the commit's number.

        Raises
        ------
        JournalError
            When it could not be stored: acknowledge nothing, and try again later.
        """
        tables, quarantined = [table for table in tables if len(table)], [table for table in quarantined if len(table)]
        if not (tables or dead_letters or quarantined):
            return self.position()[0]
        with self.writer.transaction() as db:
            new = list(self._new)
            db.executemany("insert or ignore into assets values (?, ?, ?, ?)", [(number, *astuple(self._assets[number])) for number in new])
            commit = self._append(db, tables)
            for table in quarantined:
                quarantine.put(db, table)
            db.executemany(_PUT_DEAD_LETTER, [_storable(letter) for letter in dead_letters])
        with self._naming:
            self._new = [number for number in self._new if number not in new]
        self._suspects = self._suspects.union(*(_suspects(table) for table in quarantined))
        return commit

    def _append(self, db: sqlite3.Connection, tables: Sequence[Readings]) -> int:
        """Make the next commit of these tables."""
        query = "update position set journalled = journalled + 1 returning journalled"
        commit: int = db.execute(query).fetchall()[0][0]
        for table in tables:
            batches.append(db, commit, table)
            db.execute(_COUNT_RECEIVED, (measurement_of(type(table)), len(table)))
        return commit

    def position(self) -> tuple[int, int]:
        """The newest commit, and the newest one whose results are stored."""
        with self.readers.snapshot() as db:
            journalled, derived = db.execute("select journalled, derived from position").fetchone()
        return journalled, derived

    def read(self, table: type[C], assets: Ints | None, from_ms: int, to_ms: int) -> C:
        """The readings of these assets (of all, if None) with ``from_ms <= t_ms < to_ms``: one per identity, sorted."""
        with self.readers.snapshot() as db:
            return readings.read(db, table, assets, from_ms, to_ms)

    def contains(self, rows: Readings) -> Bools:
        """Which of these rows, content included, are journalled already."""
        with self.readers.snapshot() as db:
            return readings.contains(db, rows)

    def after(self, commit: int) -> Iterator[tuple[int, list[Readings]]]:
        """The commits after this one, in order, as long as their results are not stored; what they held besides readings is left out."""
        with self.readers.snapshot() as db:
            numbers = db.execute(
                "select distinct commit_number from batches where commit_number > ? order by commit_number", (commit,)
            ).fetchall()
        for (number,) in numbers:
            with self.readers.snapshot() as db:
                tables = batches.of_commit(db, number)
            yield number, tables

    def seal(self, through: int | None = None) -> bool:
        """Do a bounded piece of tidying, where hot batches or rows are too many; whether there may be more to do. Changes no read.

        Parameters
        ----------
        through
            The newest commit to touch. If None, the newest one whose results are stored, so that `after` can repeat the others.
        """
        return self._sealer.step(self.position()[1] if through is None else through)

    def quarantine_holds(self, rows: Readings) -> Bools:
        """Which of these rows have an identity that is in quarantine."""
        held = np.zeros(len(rows), dtype=bool)
        name = measurement_of(type(rows))
        suspects = [asset for measurement, asset in self._suspects if measurement == name]
        doubtful = np.flatnonzero(np.isin(rows.asset, suspects))
        if len(doubtful):
            with self.readers.snapshot() as db:
                held[doubtful] = quarantine.holds(db, rows.take(doubtful))
        return held

    def quarantined(self, table: type[C], asset: int) -> C:
        """What is in quarantine of one asset."""
        with self.readers.snapshot() as db:
            return quarantine.read(db, table, asset)

    def release(self, table: type[Readings], asset: int) -> int:
        """Take one asset's quarantined rows in after all, as a commit of their own. Returns how many."""
        with self.writer.transaction() as db:
            rows = quarantine.read(db, table, asset)
            if len(rows):
                self._append(db, [rows])
                quarantine.release(db, table, asset)
        self._suspects = self._suspects - {(measurement_of(table), asset)}
        return len(rows)

    def put_status(self, part: str, state: Mapping[str, object]) -> None:
        """Show how a part of the program does; readers see it under the part's name."""
        self.put_statuses({part: state})

    def put_statuses(self, states: Mapping[str, Mapping[str, object]]) -> None:
        """Show how several parts do, in one transaction."""
        now_ms = self._clock()
        rows = [(part, json.dumps(state, ensure_ascii=False), now_ms) for part, state in states.items()]
        with self.writer.transaction() as db:
            db.executemany("insert or replace into status values (?, ?, ?)", rows)

    def state(self) -> dict[str, int]:
        """How far the journal is, and how much room it has."""
        with self.readers.snapshot() as db:
            journalled, derived = db.execute("select journalled, derived from position").fetchone()
            hot_batches, hot_rows = batches.extent(db)
        sizes = [file.stat().st_size for file in (self.path, self.path.with_name(self.path.name + "-wal")) if file.exists()]
        free = shutil.disk_usage(self.path.parent).free
        return {
            "commit": journalled,
            "derived_commit": derived,
            "hot_batches": hot_batches,
            "hot_rows": hot_rows,
            "file_bytes": sum(sizes),
            "free_bytes": free,
        }


_COUNT_RECEIVED = "insert into received values (?, ?) on conflict do update set rows = rows + excluded.rows"
_PUT_DEAD_LETTER = """insert into dead_letters (received_ms, topic, reason, detail, payload, size, sha256)
    values (?, ?, ?, ?, ?, ?, ?)"""


def _suspects(quarantined: Readings) -> set[tuple[str, int]]:
    return {(measurement_of(type(quarantined)), asset) for asset in np.unique(quarantined.asset).tolist()}


def _storable(letter: DeadLetter) -> tuple[object, ...]:
    """A letter as SQLite takes it: half a surrogate pair in a topic must not stop the rest of the commit."""
    return tuple(value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value for value in astuple(letter))
