"""Tables of events as SQL tables, a column each; not measured is null where SQL has no word for it (NaN).

The SQL is made from the columns of the dataclass, so that an event that grows a column grows the file's table at the next start.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from core.columns import Columns
from core.events import Cycles, DayTotals, Flags, Latest, Tickets
from storage.codec import not_measured

E = TypeVar("E", bound=Columns)
Row = tuple[Any, ...]

TRACE = ("revision", "withdrawn", "change", "changed_ms")
"""What a stored event carries besides its own columns."""

_SQL_TYPES = {"f": "real", "U": "text"}


@dataclass(frozen=True, slots=True)
class Sheet(Generic[E]):
    """One table of events: what names a row, when its span begins and ends, and the indexes that its reads need."""

    name: str
    table: type[E]
    key: tuple[str, ...]
    start: str | None = None
    end: str | None = None
    indexes: tuple[str, ...] = ()

    @property
    def columns(self) -> str:
        return ", ".join(f'"{name}"' for name in self.table.names())  # limit and rows are words of SQL

    def definition(self) -> list[str]:
        """The columns as SQL defines them."""
        return [f'"{name}" {_sql_type(dtype)} default {_sql_blank(dtype)}' for name, dtype in self.table.dtypes().items()]

    def select(self, rest: str, *extra: str) -> str:
        """The SQL that reads the table's columns, and then these."""
        return f"select {', '.join([self.columns, *extra])} from {self.name} {rest}"  # noqa: S608 (names of our own columns)

    def insert(self, *extra: str) -> str:
        """The SQL that writes a row's columns, and then these."""
        marks = ", ".join("?" * (len(self.table.names()) + len(extra)))
        return f"insert or replace into {self.name} ({', '.join([self.columns, *extra])}) values ({marks})"  # noqa: S608 (as above)

    def keys(self, rows: Iterable[Row]) -> list[Row]:
        places = [self.table.names().index(name) for name in self.key]
        return [tuple(row[place] for place in places) for row in rows]


CYCLES = Sheet("cycles", Cycles, ("asset", "start_ms"), "start_ms", "end_ms", ("end_ms",))
FLAGS = Sheet("flags", Flags, ("asset", "kind", "start_ms"), "start_ms", "end_ms", ("end_ms", "change"))
TICKETS = Sheet("tickets", Tickets, ("asset", "start_ms", "number", "plate"), "start_ms", "end_ms", ("end_ms",))
DAY_TOTALS = Sheet("day_totals", DayTotals, ("site", "day", "stream", "direction", "source"), "day", None, ("day",))
LATEST = Sheet("latest", Latest, ("asset",))

SHEETS: dict[type[Columns], Sheet[Any]] = {sheet.table: sheet for sheet in (CYCLES, FLAGS, TICKETS, DAY_TOTALS, LATEST)}


def prepare(db: sqlite3.Connection) -> None:
    """Make the tables of events that are not there, and the columns that they have grown."""
    for sheet in SHEETS.values():
        trace = [f"{name} integer not null default 0" for name in TRACE]
        definitions = [*sheet.definition(), *trace]
        db.execute(
            f"create table if not exists {sheet.name} ({', '.join(definitions)}, primary key ({', '.join(sheet.key)})) without rowid"
        )
        present = {row[1] for row in db.execute(f"pragma table_info({sheet.name})")}
        for name, definition in zip(sheet.table.names(), sheet.definition(), strict=True):
            if name not in present:
                db.execute(f"alter table {sheet.name} add column {definition}")
        for name in sheet.indexes:
            db.execute(f"create index if not exists {sheet.name}_by_{name} on {sheet.name} ({name})")


def to_rows(table: Columns) -> list[Row]:
    """The table's rows as SQLite stores them; NaN is null."""
    return list(zip(*(plain_values(getattr(table, name)) for name in table.names()), strict=True))


def plain_values(column: npt.NDArray[Any]) -> list[Any]:
    """A column as Python values; NaN is None."""
    values: list[Any] = column.tolist()
    return [None if value != value else value for value in values] if column.dtype.kind == "f" else values


def from_rows(table: type[E], rows: Iterable[Row]) -> E:
    """The table of these rows; a float that is null is NaN."""
    columns = list(zip(*rows, strict=True))
    return table.of(**dict(zip(table.names(), columns, strict=True))) if columns else table.empty()


def _sql_type(dtype: np.dtype[Any]) -> str:
    return _SQL_TYPES.get(dtype.kind, "integer")


def _sql_blank(dtype: np.dtype[Any]) -> str:
    blank = not_measured(dtype, 1)[0]
    if dtype.kind == "U":
        return "''"
    return "null" if dtype.kind == "f" else str(int(blank))
