"""The alert desk's own file, desk.sqlite: one connection that the desk's threads take turns on."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FORMAT = 1

SCHEMA = """
create table alerts (
    id text primary key, kind text not null, subject text not null, asset integer not null, flag_start_ms integer,
    start_ms integer not null, end_ms integer, severity integer not null, at_ms integer not null,
    lat_e7 integer, lon_e7 integer, value real, threshold real, u real, rows integer not null,
    raised_ms integer not null, changed_ms integer not null, rang_ms integer, withdrawn_ms integer, digest text,
    acknowledged_ms integer, acknowledged_by text
) strict;
create index alerts_following on alerts (asset, kind, flag_start_ms);
create index alerts_deserted on alerts (asset, kind, start_ms) where flag_start_ms is null;
create index alerts_by_time on alerts (raised_ms);
create index alerts_active on alerts (asset) where end_ms is null and withdrawn_ms is null;
create index alerts_silent on alerts (raised_ms)
    where rang_ms is null and end_ms is not null and withdrawn_ms is null and digest is null;
create table messages (
    number integer primary key autoincrement, alert text not null, about text not null, title text not null, body text not null,
    not_to text not null, created_ms integer not null
) strict;
create table channels (name text primary key, settled integer not null, failing_ms integer) strict;
create table deliveries (
    message integer not null, channel text not null, attempt integer not null, result text not null, detail text not null,
    at_ms integer not null, primary key (message, channel, attempt)
) strict, without rowid;
create table position (flags_change integer not null) strict;
insert into position values (0);
"""


class DeskFile:
    """The open file. Threads may share it, and other processes may have it open too."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10.0)
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = full")
        with self.transaction():
            found = self._db.execute("pragma user_version").fetchone()[0]
            if found == 0:
                for statement in SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"pragma user_version = {FORMAT}")
        if found not in {0, FORMAT}:
            self._db.close()
            raise ValueError(f"{path} has format {found}, expected {FORMAT}; it was written by another version and is left alone")

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside becomes durable together, or not at all. Nested ones join the outer."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            self._db.execute("begin immediate")
            try:
                yield
                self._db.execute("commit")
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        if self._db.in_transaction:  # SQLite may have done so by itself
            self._db.execute("rollback")

    def rows(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """What a query answers, read at once."""
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def write(self, statement: str, values: tuple[object, ...]) -> None:
        """Run one statement, in the transaction around it or in one of its own."""
        with self.transaction():
            self._db.execute(statement, values)
