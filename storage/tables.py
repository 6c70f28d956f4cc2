"""What the journal's modules do with tables of readings, whichever measurement it is."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from core.columns import Bools, Columns, Ints
from core.readings import Readings
from storage.codec import DamagedError, decode

C = TypeVar("C", bound=Readings)

DAY_MS = 86_400_000


def joined(table: type[C], parts: Sequence[C]) -> C:
    """The rows of all parts, in their order."""
    any_table: Any = table  # mypy would want the parts to be of all measurements at once
    rows: C = any_table.concat(parts)
    return rows


def taken(rows: C, chosen: Bools | slice) -> C:
    """These rows."""
    any_rows: Any = rows  # as above
    some: C = any_rows.take(chosen)
    return some


def within(rows: C, assets: Ints | None, from_ms: int, to_ms: int) -> C:
    """The rows of these assets (of all, if None) with ``from_ms <= t_ms < to_ms``."""
    chosen = (rows.t_ms >= from_ms) & (rows.t_ms < to_ms)
    if assets is not None:
        chosen &= rows.asset == assets[0] if len(assets) == 1 else np.isin(rows.asset, assets)
    if chosen.all():
        return rows
    return taken(rows, chosen)


def by_day(rows: C) -> Iterator[tuple[int, int, C]]:
    """Sorted rows, cut where the asset or its UTC day changes: asset, days since 1970-01-01, rows."""
    days = rows.t_ms // DAY_MS
    edges = np.flatnonzero((np.diff(rows.asset) != 0) | (np.diff(days) != 0)) + 1
    bounds = [0, *edges.tolist(), len(rows)] if len(rows) else []
    for start, end in pairwise(bounds):
        yield int(rows.asset[start]), int(days[start]), taken(rows, slice(start, end))


def identities(rows: Readings) -> int:
    """How many identities the sorted rows of one asset have."""
    return len(rows) - int(np.count_nonzero((np.diff(rows.t_ms) == 0) & (np.diff(rows.seq) == 0)))


E = TypeVar("E", bound=Columns)


def unpacked(table: type[E], body: bytes, label: str) -> E:
    """The table in these bytes; an error says what they were."""
    try:
        return decode(table, body)
    except DamagedError as error:
        raise DamagedError(f"{label} is damaged: {error}") from error
