"""Readings whose clock ran ahead of their receipt, kept aside by identity until a person releases them."""

import json
import sqlite3
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from core.columns import Bools
from core.readings import BOOKKEEPING, IDENTITY, Readings
from storage.assets import measurement_of
from storage.codec import not_measured
from storage.sheets import plain_values

C = TypeVar("C", bound=Readings)

_COLUMNS = "measurement, asset, t_ms, seq, received_ms, hist, content"


def put(db: sqlite3.Connection, rows: Readings) -> None:
    """Keep these rows aside; a repetition changes nothing."""
    contents = {name: plain_values(getattr(rows, name)) for name in rows.names() if name not in IDENTITY + BOOKKEEPING}
    texts = [json.dumps(dict(zip(contents, row, strict=True)), ensure_ascii=False) for row in zip(*contents.values(), strict=True)]
    heads = zip(*(getattr(rows, name).tolist() for name in IDENTITY + BOOKKEEPING), strict=True)
    name = measurement_of(type(rows))
    db.executemany(
        f"insert into quarantine ({_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?) on conflict do nothing",  # noqa: S608 (a constant)
        [(name, *head, text) for head, text in zip(heads, texts, strict=True)],
    )


def assets(db: sqlite3.Connection) -> set[tuple[str, int]]:
    """The (measurement, asset) that have rows in quarantine."""
    return set(db.execute("select distinct measurement, asset from quarantine"))


def holds(db: sqlite3.Connection, rows: Readings) -> Bools:
    """Which of these rows have an identity that is in quarantine."""
    query = "select 1 from quarantine where measurement = ? and asset = ? and t_ms = ? and seq = ?"
    name = measurement_of(type(rows))
    identities = zip(rows.asset.tolist(), rows.t_ms.tolist(), rows.seq.tolist(), strict=True)
    return np.array([db.execute(query, (name, *identity)).fetchone() is not None for identity in identities], dtype=bool)


def read(db: sqlite3.Connection, table: type[C], asset: int) -> C:
    """What is in quarantine of one asset."""
    query = "select asset, t_ms, seq, received_ms, hist, content from quarantine where measurement = ? and asset = ?"
    found = db.execute(query, (measurement_of(table), asset)).fetchall()
    heads = dict(zip(IDENTITY + BOOKKEEPING, zip(*(row[:5] for row in found), strict=True), strict=True)) if found else {}
    contents = [json.loads(row[5]) for row in found]
    any_table: Any = table  # mypy would want the columns of all measurements at once
    rows: C = any_table.of(**{name: heads.get(name) or _column(contents, name, dtype) for name, dtype in table.dtypes().items()})
    return rows


def release(db: sqlite3.Connection, table: type[C], asset: int) -> None:
    """Forget one asset's rows."""
    db.execute("delete from quarantine where measurement = ? and asset = ?", (measurement_of(table), asset))


def _column(contents: list[dict[str, Any]], name: str, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    blank = not_measured(dtype, 1)[0]
    values = (content.get(name) for content in contents)
    return np.array([blank if value is None else value for value in values], dtype=dtype)
