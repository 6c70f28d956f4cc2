"""Hot rows: every commit's tables as they came, until they are sealed."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from core.columns import Ints
from core.readings import Readings
from storage.assets import MEASUREMENTS, measurement_of
from storage.codec import encode
from storage.tables import C, joined, unpacked, within

ALL = 2**63 - 1
"""No commit has a greater number."""


def append(db: sqlite3.Connection, commit: int, table: Readings) -> None:
    """Store a table as a hot batch of this commit."""
    span = int(table.t_ms.min()), int(table.t_ms.max())
    db.execute(
        "insert into batches (commit_number, measurement, rows, from_ms, to_ms, body) values (?, ?, ?, ?, ?, ?)",
        (commit, measurement_of(type(table)), len(table), *span, encode(table)),
    )


def extent(db: sqlite3.Connection, through: int = ALL) -> tuple[int, int]:
    """How many batches, and how many rows in them, there are up to this commit."""
    query = "select count(*), coalesce(sum(rows), 0) from batches where commit_number <= ?"
    batches, rows = db.execute(query, (through,)).fetchone()
    return batches, rows


def of_commit(db: sqlite3.Connection, commit: int) -> list[Readings]:
    """The tables of one commit that are still hot."""
    rows = db.execute("select id, measurement, body from batches where commit_number = ? order by id", (commit,))
    return [unpacked(MEASUREMENTS[measurement], body, _label(number)) for number, measurement, body in rows]


def parts(db: sqlite3.Connection, table: type[C], assets: Ints | None, from_ms: int, to_ms: int) -> Iterator[C]:
    """The rows of these assets in this span, batch by batch."""
    query = "select id, body from batches where measurement = ? and from_ms < ? and to_ms >= ? order by id"
    for number, body in db.execute(query, (measurement_of(table), to_ms, from_ms)):
        yield within(unpacked(table, body, _label(number)), assets, from_ms, to_ms)


def rows_of(db: sqlite3.Connection, table: type[C], through: int = ALL) -> C:
    """All rows up to this commit."""
    query = "select id, body from batches where measurement = ? and commit_number <= ?"
    return _unpacked(table, db.execute(query, (measurement_of(table), through)))


def small(db: sqlite3.Connection, table: type[C], through: int, few_rows: int) -> tuple[list[int], C]:
    """The batches up to this commit that have few rows: their ids, and the rows."""
    query = "select id, body from batches where measurement = ? and commit_number <= ? and rows < ?"
    found = db.execute(query, (measurement_of(table), through, few_rows)).fetchall()
    return [number for number, _ in found], _unpacked(table, found)


def drop(db: sqlite3.Connection, ids: Sequence[int]) -> None:
    """Remove these batches."""
    db.executemany("delete from batches where id = ?", [(number,) for number in ids])


def drop_through(db: sqlite3.Connection, commit: int) -> None:
    """Remove the batches up to this commit."""
    db.execute("delete from batches where commit_number <= ?", (commit,))


def _unpacked(table: type[C], bodies: Iterable[tuple[int, bytes]]) -> C:
    return joined(table, [unpacked(table, body, _label(number)) for number, body in bodies])


def _label(number: int) -> str:
    return f"hot batch {number}"
