"""What was concluded from the journal, kept beside it: upserted by key, withdrawn with a trace, never deleted.

Every row that changes gets the next number of one counter, so that a reader can follow what happened since a change that it knows.
"""

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from core.columns import OPEN_MS, Columns
from core.events import DayTotals
from storage.journal import Journal
from storage.sheets import SHEETS, TRACE, Row, Sheet, from_rows, to_rows

E = TypeVar("E", bound=Columns)
Scope = Mapping[int, int] | Collection[int] | None


@dataclass(frozen=True, slots=True)
class Changes(Generic[E]):
    """What a derivation changed: rows that are new, rows that say something else or came back, rows that no longer hold."""

    added: E
    changed: E
    withdrawn: E

    def __len__(self) -> int:
        return len(self.added) + len(self.changed) + len(self.withdrawn)


class _Known(NamedTuple):
    """A stored row and its trace."""

    row: Row
    revision: int
    withdrawn: bool


class Results:
    """The writing side of events and checkpoints, in the journal's file and through its connection."""

    def __init__(self, journal: Journal) -> None:
        self._writer = journal.writer

    @contextmanager
    def transaction(self, derived_commit: int, basis: str = "") -> Iterator[None]:
        """Everything stored inside becomes visible and durable at once, together with what it rests on.

        Parameters
        ----------
        derived_commit
            The newest commit of readings.
        basis
            A name of all that counts besides the readings: registry and rules. Other ones have another name.
        """
        with self._writer.transaction() as db:
            yield
            db.execute("update position set derived = ?, basis = ?", (derived_commit, basis))

    def basis(self) -> str:
        """What the stored results rest on besides the readings; empty where nothing was derived yet."""
        with self._writer.transaction() as db:
            basis: str = db.execute("select basis from position").fetchone()[0]
        return basis

    def derived_commit(self) -> int:
        """The newest commit whose results are stored."""
        with self._writer.transaction() as db:
            commit: int = db.execute("select derived from position").fetchone()[0]
        return commit

    def replace(self, events: E, since_ms: Scope, now_ms: int, *, final_before_day: int | None = None) -> Changes[E]:
        """Store what was derived again; what lies in the scope and was not derived again is withdrawn.

        Parameters
        ----------
        events
            Everything that holds in the scope.
        since_ms
            The scope. A mapping: of each of these assets, what starts after this time (of `Latest`, the asset's row). A collection:
            the days of `DayTotals` that were summed again. None: all rows of the table.
        now_ms
            When this is said; kept with every row that changes.
        final_before_day
            `DayTotals` of earlier days are final: a change of one is a revision.

        Notes
        -----
        A change of a row that had ended raises its ``revision``. Storing the same events again changes nothing.

        Raises
        ------
        ValueError
            When an event lies outside the scope.
        """
        sheet = SHEETS[type(events)]
        rows = to_rows(events)
        _refuse_outside(sheet, rows, since_ms)
        with self._writer.transaction() as db:
            known = _known(db, sheet, since_ms)
            said = dict(zip(sheet.keys(rows), rows, strict=True))
            added = [row for key, row in said.items() if key not in known]
            changed = [key for key, row in said.items() if key in known and (known[key].withdrawn or known[key].row != row)]
            gone = [key for key, old in known.items() if key not in said and not old.withdrawn]
            traces = [
                *((row, 0, 0) for row in added),
                *((said[key], _revision(sheet, known[key], final_before_day), 0) for key in changed),
                *((known[key].row, _revision(sheet, known[key], final_before_day), 1) for key in gone),
            ]
            _put(db, sheet, traces, now_ms)
        table = sheet.table
        tables = added, [said[key] for key in changed], [known[key].row for key in gone]
        return Changes(*(from_rows(table, part) for part in tables))

    def ended(self, table: type[E], from_ms: int, to_ms: int) -> E:
        """The events that hold and ended in ``from_ms <= end_ms < to_ms``, by key; those that this transaction stored included."""
        sheet: Sheet[E] = SHEETS[table]
        held = f"where {sheet.end} >= ? and {sheet.end} < ? and withdrawn = 0 order by {', '.join(sheet.key)}"
        with self._writer.transaction() as db:
            return from_rows(table, db.execute(sheet.select(held), (from_ms, to_ms)))

    def days(self) -> list[int]:
        """Every operating day that has a total, withdrawn ones included."""
        with self._writer.transaction() as db:
            return [day for (day,) in db.execute("select distinct day from day_totals")]

    def save_checkpoints(self, checkpoints: Columns) -> None:
        """Keep the points from which a derivation can go on: any table with ``asset``, ``t_ms`` and the carried state.

        Checkpoints of another version of the state, which has other columns, are forgotten.
        """
        sheet = _checkpoint_sheet(type(checkpoints))
        with self._writer.transaction() as db:
            _prepare_checkpoints(db, sheet)
            db.executemany(sheet.insert(), to_rows(checkpoints))

    def checkpoints(self, table: type[E], asset: int) -> E:
        """All checkpoints of an asset, oldest first."""
        sheet = _checkpoint_sheet(table)
        with self._writer.transaction() as db:
            _prepare_checkpoints(db, sheet)
            return from_rows(table, db.execute(sheet.select("where asset = ? order by t_ms"), (asset,)))

    def newest_checkpoints(self, table: type[E], before_ms: Mapping[int, int] | None = None) -> E:
        """Each asset's newest checkpoint, sorted by asset; with ``before_ms``, of these assets only, and before these times."""
        sheet = _checkpoint_sheet(table)
        with self._writer.transaction() as db:
            _prepare_checkpoints(db, sheet)
            if before_ms is None:
                before_ms = dict.fromkeys((number for (number,) in db.execute("select number from assets")), int(OPEN_MS))
            query = sheet.select("where asset = ? and t_ms < ? order by t_ms desc limit 1")
            found = (db.execute(query, (int(asset), int(t_ms))).fetchone() for asset, t_ms in sorted(before_ms.items()))
            return from_rows(table, [row for row in found if row is not None])

    def drop_checkpoints(self, since_ms: Mapping[int, int] | None) -> None:
        """Forget the checkpoints of these assets after these times, or, with None, all of them."""
        with self._writer.transaction() as db:
            if not _exists(db, "checkpoints"):
                return
            if since_ms is None:
                db.execute("delete from checkpoints")
            else:
                pairs = [(int(asset), int(t_ms)) for asset, t_ms in since_ms.items()]
                db.executemany("delete from checkpoints where asset = ? and t_ms > ?", pairs)


def _refuse_outside(sheet: Sheet[Any], rows: list[Row], scope: Scope) -> None:
    if scope is None:
        return
    names = sheet.table.names()
    whose = names.index("asset" if isinstance(scope, Mapping) else "day")
    start = names.index(sheet.start) if sheet.start else None
    for row in rows:
        late_enough = not isinstance(scope, Mapping) or start is None or row[start] > scope.get(row[whose], OPEN_MS)
        if row[whose] not in scope or not late_enough:
            raise ValueError(f"{sheet.name}: {dict(zip(names, row, strict=True))} lies outside the scope that was derived again")


def _known(db: sqlite3.Connection, sheet: Sheet[Any], scope: Scope) -> dict[Row, _Known]:
    """The stored rows in the scope, by key."""
    values: list[str] = []
    if scope is None:
        where = ""
    elif isinstance(scope, Mapping):
        # Inside its own select: flags have a column called value, as json_each has.
        pairs = "select json_extract(value, '$[0]') wanted, json_extract(value, '$[1]') since from json_each(?)"
        where = f"join ({pairs}) on asset = wanted {f'and {sheet.start} > since' if sheet.start else ''}"
        values = [json.dumps([[int(asset), int(since)] for asset, since in scope.items()])]
    else:
        where, values = "where day in (select value from json_each(?))", [json.dumps([int(day) for day in scope])]
    found = db.execute(sheet.select(where, "revision", "withdrawn"), values)
    stored = [_Known(row[:-2], row[-2], bool(row[-1])) for row in found]
    return dict(zip(sheet.keys(known.row for known in stored), stored, strict=True))


def _revision(sheet: Sheet[Any], known: _Known, final_before_day: int | None) -> int:
    """The next version's revision: one more if the stored one had ended."""
    ended = False
    if sheet.end:
        ended = known.row[sheet.table.names().index(sheet.end)] != OPEN_MS
    elif sheet.table is DayTotals and final_before_day is not None:
        ended = known.row[sheet.table.names().index("day")] < final_before_day
    return known.revision + int(ended)


def _put(db: sqlite3.Connection, sheet: Sheet[Any], traces: list[tuple[Row, int, int]], now_ms: int) -> None:
    """Upsert rows with their revision and whether they are withdrawn, each under the next number of the counter."""
    query = "update position set change = change + ? returning change"
    first = db.execute(query, (len(traces),)).fetchall()[0][0] - len(traces) + 1
    db.executemany(
        sheet.insert(*TRACE),
        [(*row, revision, withdrawn, number, now_ms) for number, (row, revision, withdrawn) in enumerate(traces, first)],
    )


def _checkpoint_sheet(table: type[E]) -> Sheet[E]:
    return Sheet("checkpoints", table, ("asset", "t_ms"))


def _exists(db: sqlite3.Connection, name: str) -> bool:
    return db.execute("select 1 from sqlite_master where type = 'table' and name = ?", (name,)).fetchone() is not None


def _prepare_checkpoints(db: sqlite3.Connection, sheet: Sheet[Any]) -> None:
    present = tuple(row[1] for row in db.execute("pragma table_info(checkpoints)"))
    if present != sheet.table.names():
        db.execute("drop table if exists checkpoints")
        db.execute(f"create table checkpoints ({', '.join(sheet.definition())}, primary key (asset, t_ms)) without rowid")
