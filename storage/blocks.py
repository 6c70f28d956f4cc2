"""Readings inside the file: hot batches as they were committed, sealed blocks of one asset's UTC day.

What is read is a set: neither sealing, nor the order of commits, nor repetition changes it.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from core.columns import Bools, Ints
from core.order import distinct, order_dedupe
from core.readings import BOOKKEEPING, Readings
from storage.assets import MEASUREMENTS, measurement_of
from storage.codec import DamagedError, decode, encode

C = TypeVar("C", bound=Readings)

DAY_MS = 86_400_000
_ALL = 2**63 - 1  # commits
_SEALED_LEVEL = 1  # zlib: half the time of level 6 for 4 % more bytes


@dataclass(frozen=True, slots=True)
class Block:
    """One asset's day, ready to be stored: ``contents`` distinct rows of ``identities`` identities."""

    measurement: str
    asset: int
    day: int  # days since 1970-01-01, UTC
    contents: int
    identities: int
    from_ms: int
    to_ms: int
    body: bytes


def append(db: sqlite3.Connection, commit: int, table: Readings) -> None:
    """Store a table as a hot batch of this commit."""
    span = int(table.t_ms.min()), int(table.t_ms.max())
    db.execute(
        "insert into batches (commit_number, measurement, rows, from_ms, to_ms, body) values (?, ?, ?, ?, ?, ?)",
        (commit, measurement_of(type(table)), len(table), *span, encode(table)),
    )


def batches_of(db: sqlite3.Connection, commit: int) -> list[Readings]:
    """The tables of one commit that are still hot."""
    rows = db.execute("select id, measurement, body from batches where commit_number = ? order by id", (commit,))
    return [_decoded(MEASUREMENTS[measurement], body, f"hot batch {number}") for number, measurement, body in rows]


def read(db: sqlite3.Connection, table: type[C], assets: Ints | None, from_ms: int, to_ms: int) -> C:
    """The readings of these assets (of all, if None) with ``from_ms <= t_ms < to_ms``: one per identity, sorted."""
    return order_dedupe(_concat(table, parts(db, table, assets, from_ms, to_ms))).winners


def parts(db: sqlite3.Connection, table: type[C], assets: Ints | None, from_ms: int, to_ms: int) -> list[C]:
    """All stored rows of these assets in this span, in no order, repetitions and losers of conflicts included."""
    found = [*_sealed(db, table, assets, from_ms, to_ms), *_hot(db, table, assets, from_ms, to_ms)]
    return [part for part in found if len(part)]


def sealable(db: sqlite3.Connection, table: type[C], through: int) -> C:
    """All hot rows up to this commit."""
    query = "select id, body from batches where commit_number <= ? and measurement = ?"
    rows = db.execute(query, (through, measurement_of(table)))
    return _concat(table, [_decoded(table, body, f"hot batch {number}") for number, body in rows])


def merge(db: sqlite3.Connection, rows: C) -> Iterator[Block]:
    """The blocks that these rows make together with what is sealed already."""
    measurement = measurement_of(type(rows))
    for asset, day, part in _by_day(distinct(rows)):
        whole = _with_sealed(db, part, asset, day)
        span = int(whole.t_ms[0]), int(whole.t_ms[-1])
        yield Block(measurement, asset, day, len(whole), _identities(whole), *span, encode(whole, _SEALED_LEVEL))


def count(db: sqlite3.Connection, table: type[C]) -> tuple[int, int]:
    """How many distinct contents and how many identities are stored, hot and sealed."""
    measurement = measurement_of(table)
    totals = "select coalesce(sum(rows), 0), coalesce(sum(identities), 0) from blocks where measurement = ?"
    contents, identities = db.execute(totals, (measurement,)).fetchone()
    for asset, day, part in _by_day(distinct(sealable(db, table, _ALL))):
        same_day = "select rows, identities, to_ms from blocks where measurement = ? and asset = ? and day = ?"
        rows, known, last_ms = db.execute(same_day, (measurement, asset, day)).fetchone() or (0, 0, -1)
        if last_ms < part.t_ms[0]:  # nothing in common: no need to unpack the block
            contents, identities = contents + len(part), identities + _identities(part)
        else:
            whole = _with_sealed(db, part, asset, day)
            contents, identities = contents + len(whole) - rows, identities + _identities(whole) - known
    return contents, identities


def put(db: sqlite3.Connection, block: Block) -> None:
    """Store a block in place of the one that it grew from."""
    db.execute(
        """insert into blocks (measurement, asset, day, rows, identities, from_ms, to_ms, body) values (?, ?, ?, ?, ?, ?, ?, ?)
        on conflict (measurement, asset, day) do update set
        rows = excluded.rows, identities = excluded.identities, from_ms = excluded.from_ms, to_ms = excluded.to_ms, body = excluded.body""",
        (block.measurement, block.asset, block.day, block.contents, block.identities, block.from_ms, block.to_ms, block.body),
    )


def contained(rows: C, stored: list[C]) -> Bools:
    """Which of these rows are, content included, among the stored ones."""
    together = _concat(type(rows), [*stored, rows])
    contents = _content_bytes(together)
    known = set(contents[: len(together) - len(rows)])
    return np.array([content in known for content in contents[len(together) - len(rows) :]], dtype=bool)


def _content_bytes(table: Readings) -> list[bytes]:
    """Each row's identity and content as bytes, equal exactly when the rows are."""
    columns = [getattr(table, name) for name in table.names() if name not in BOOKKEEPING]
    plain = [np.where(np.isnan(column), np.nan, column) if column.dtype.kind == "f" else column for column in columns]
    matrix = np.hstack([np.ascontiguousarray(column).view(np.uint8).reshape(len(table), -1) for column in plain])
    contents: list[bytes] = np.ascontiguousarray(matrix).view(f"V{matrix.shape[1]}").ravel().tolist()
    return contents


def _sealed(db: sqlite3.Connection, table: type[C], assets: Ints | None, from_ms: int, to_ms: int) -> Iterator[C]:
    measurement = measurement_of(table)
    query = "select asset, day, from_ms, to_ms, body from blocks where measurement = ? and day between ? and ?"
    values: list[Any] = [measurement, from_ms // DAY_MS, (to_ms - 1) // DAY_MS]
    if assets is not None:
        query += " and asset in (select value from json_each(?))"
        values.append(json.dumps(assets.tolist()))
    for asset, day, first_ms, last_ms, body in db.execute(query + " order by asset, day", values):
        if last_ms >= from_ms and first_ms < to_ms:
            part = _decoded(table, body, _label(measurement, asset, day))
            yield part if from_ms <= first_ms and last_ms < to_ms else _within(part, None, from_ms, to_ms)


def _hot(db: sqlite3.Connection, table: type[C], assets: Ints | None, from_ms: int, to_ms: int) -> Iterator[C]:
    query = "select id, body from batches where measurement = ? and from_ms < ? and to_ms >= ? order by id"
    for number, body in db.execute(query, (measurement_of(table), to_ms, from_ms)):
        yield _within(_decoded(table, body, f"hot batch {number}"), assets, from_ms, to_ms)


def _within(part: C, assets: Ints | None, from_ms: int, to_ms: int) -> C:
    chosen = (part.t_ms >= from_ms) & (part.t_ms < to_ms)
    if assets is not None:
        chosen &= part.asset == assets[0] if len(assets) == 1 else np.isin(part.asset, assets)
    if chosen.all():
        return part
    return _take(part, chosen)


def _block(db: sqlite3.Connection, table: type[C], asset: int, day: int) -> C | None:
    measurement = measurement_of(table)
    query = "select body from blocks where measurement = ? and asset = ? and day = ?"
    row = db.execute(query, (measurement, asset, day)).fetchone()
    if row is None:
        return None
    return _decoded(table, row[0], _label(measurement, asset, day))


def _concat(table: type[C], parts: Sequence[C]) -> C:
    any_table: Any = table  # mypy would want the parts to be of all measurements at once
    rows: C = any_table.concat(parts)
    return rows


def _take(rows: C, chosen: Bools | slice) -> C:
    any_rows: Any = rows
    taken: C = any_rows.take(chosen)
    return taken


def _by_day(rows: C) -> Iterator[tuple[int, int, C]]:
    """Sorted rows, cut where the asset or its UTC day changes."""
    days = rows.t_ms // DAY_MS
    edges = np.flatnonzero((np.diff(rows.asset) != 0) | (np.diff(days) != 0)) + 1
    bounds = [0, *edges.tolist(), len(rows)] if len(rows) else []
    for start, end in pairwise(bounds):
        yield int(rows.asset[start]), int(days[start]), _take(rows, slice(start, end))


def _with_sealed(db: sqlite3.Connection, part: C, asset: int, day: int) -> C:
    """The distinct rows of one asset's day."""
    sealed = _block(db, type(part), asset, day)
    if sealed is None:
        return part
    return distinct(_concat(type(part), [sealed, part]))


def _identities(rows: Readings) -> int:
    """How many identities the sorted rows of one asset have."""
    return len(rows) - int(np.count_nonzero((np.diff(rows.t_ms) == 0) & (np.diff(rows.seq) == 0)))


def _decoded(table: type[C], body: bytes, label: str) -> C:
    try:
        return decode(table, body)
    except DamagedError as error:
        raise DamagedError(f"{label} is damaged: {error}") from error


def _label(measurement: str, asset: int, day: int) -> str:
    return f"the block {measurement} of asset {asset} on {np.datetime64(day, 'D')}"
