"""The journal's readings as a set, hot and sealed together.

Neither sealing, nor the order of commits, nor repetition changes what is read here.
"""

import sqlite3

import numpy as np

from core.columns import Bools, Ints
from core.order import distinct, order_dedupe
from core.readings import BOOKKEEPING, Readings
from storage import batches, blocks
from storage.tables import C, by_day, identities, joined


def read(db: sqlite3.Connection, table: type[C], assets: Ints | None, from_ms: int, to_ms: int) -> C:
    """The readings of these assets (of all, if None) with ``from_ms <= t_ms < to_ms``: one per identity, sorted."""
    return order_dedupe(joined(table, _parts(db, table, assets, from_ms, to_ms))).winners


def contains(db: sqlite3.Connection, rows: C) -> Bools:
    """Which of these rows are stored, content included."""
    if not len(rows):
        return np.zeros(0, dtype=bool)
    table = type(rows)
    stored = _parts(db, table, np.unique(rows.asset), int(rows.t_ms.min()), int(rows.t_ms.max()) + 1)
    contents = _contents(joined(table, [*stored, rows]))
    known = set(contents[: -len(rows)])
    return np.array([content in known for content in contents[-len(rows) :]], dtype=bool)


def count(db: sqlite3.Connection, table: type[C]) -> tuple[int, int]:
    """How many distinct contents and how many identities there are."""
    rows, known = blocks.totals(db, table)
    for asset, day, part in by_day(distinct(batches.rows_of(db, table))):
        sealed_rows, sealed_identities, last_ms = blocks.extent(db, table, asset, day)
        if last_ms < part.t_ms[0]:  # nothing in common: no need to unpack the block
            rows, known = rows + len(part), known + identities(part)
        else:
            whole = blocks.with_sealed(db, asset, day, part)
            rows, known = rows + len(whole) - sealed_rows, known + identities(whole) - sealed_identities
    return rows, known


def _parts(db: sqlite3.Connection, table: type[C], assets: Ints | None, from_ms: int, to_ms: int) -> list[C]:
    """Everything stored in this span, repetitions and losers of conflicts included."""
    found = [*blocks.parts(db, table, assets, from_ms, to_ms), *batches.parts(db, table, assets, from_ms, to_ms)]
    return [part for part in found if len(part)]


def _contents(table: Readings) -> list[bytes]:
    """Each row's identity and content as bytes, equal exactly when the rows are."""
    columns = [getattr(table, name) for name in table.names() if name not in BOOKKEEPING]
    plain = [np.where(np.isnan(column), np.nan, column) if column.dtype.kind == "f" else column for column in columns]
    matrix = np.hstack([np.ascontiguousarray(column).view(np.uint8).reshape(len(table), -1) for column in plain])
    contents: list[bytes] = np.ascontiguousarray(matrix).view(f"V{matrix.shape[1]}").ravel().tolist()
    return contents
