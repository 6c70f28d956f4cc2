"""Sealed rows: one asset's UTC day of one measurement, distinct and sorted, compressed and checked."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np

from core.columns import Ints
from core.order import distinct
from storage.assets import measurement_of
from storage.codec import encode
from storage.tables import DAY_MS, C, identities, joined, unpacked, within

_LEVEL = 1  # zlib: half the time of level 6 for 4 % more bytes
_PUT = """insert into blocks (measurement, asset, day, rows, identities, from_ms, to_ms, body) values (?, ?, ?, ?, ?, ?, ?, ?)
    on conflict (measurement, asset, day) do update set
    rows = excluded.rows, identities = excluded.identities, from_ms = excluded.from_ms, to_ms = excluded.to_ms, body = excluded.body"""


@dataclass(frozen=True, slots=True)
class Block:
    """A block as it is stored. ``rows`` counts contents: where they conflict, more than identities."""

    measurement: str
    asset: int
    day: int  # days since 1970-01-01
    rows: int
    identities: int
    from_ms: int
    to_ms: int
    body: bytes


def grown(db: sqlite3.Connection, asset: int, day: int, part: C) -> Block:
    """The block that these rows of one asset's day make together with what is sealed of it."""
    whole = with_sealed(db, asset, day, part)
    span = int(whole.t_ms[0]), int(whole.t_ms[-1])
    return Block(measurement_of(type(part)), asset, day, len(whole), identities(whole), *span, encode(whole, _LEVEL))


def with_sealed(db: sqlite3.Connection, asset: int, day: int, part: C) -> C:
    """These distinct rows of one asset's day, and those that are sealed."""
    table = type(part)
    query = "select body from blocks where measurement = ? and asset = ? and day = ?"
    row = db.execute(query, (measurement_of(table), asset, day)).fetchone()
    if row is None:
        return part
    return distinct(joined(table, [unpacked(table, row[0], _label(measurement_of(table), asset, day)), part]))


def put(db: sqlite3.Connection, block: Block) -> None:
    """Store a block in place of the one that it grew from."""
    db.execute(_PUT, astuple(block))


def parts(db: sqlite3.Connection, table: type[C], assets: Ints | None, from_ms: int, to_ms: int) -> Iterator[C]:
    """The rows of these assets in this span, block by block, sorted by asset and time."""
    measurement = measurement_of(table)
    query = "select asset, day, from_ms, to_ms, body from blocks where measurement = ? and day between ? and ?"
    values: list[Any] = [measurement, from_ms // DAY_MS, (to_ms - 1) // DAY_MS]
    if assets is not None:
        query += " and asset in (select value from json_each(?))"
        values.append(json.dumps(assets.tolist()))
    for asset, day, first_ms, last_ms, body in db.execute(query + " order by asset, day", values):
        if last_ms >= from_ms and first_ms < to_ms:
            yield within(unpacked(table, body, _label(measurement, asset, day)), None, from_ms, to_ms)


def totals(db: sqlite3.Connection, table: type[C]) -> tuple[int, int]:
    """How many rows and how many identities are sealed."""
    query = "select coalesce(sum(rows), 0), coalesce(sum(identities), 0) from blocks where measurement = ?"
    rows, distinct_rows = db.execute(query, (measurement_of(table),)).fetchone()
    return rows, distinct_rows


def extent(db: sqlite3.Connection, table: type[C], asset: int, day: int) -> tuple[int, int, int]:
    """Rows, identities and newest time of one asset's day; 0, 0, -1 where nothing is sealed."""
    query = "select rows, identities, to_ms from blocks where measurement = ? and asset = ? and day = ?"
    rows, distinct_rows, to_ms = db.execute(query, (measurement_of(table), asset, day)).fetchone() or (0, 0, -1)
    return rows, distinct_rows, to_ms


def _label(measurement: str, asset: int, day: int) -> str:
    return f"the block {measurement} of asset {asset} on {np.datetime64(day, 'D')}"
