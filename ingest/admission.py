"""Who is let in: clocks ahead are set aside, floods are refused.

A reading ahead of its receipt is decided on once, and remembered by its identity, so that a redelivery stays where the first one went. A
flood is counted in the device's own time, over the distinct readings of a second: neither a late burst nor a repetition is one.
"""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from core.columns import Bools, Ints
from core.readings import BOOKKEEPING, Readings
from ingest.decode import Decoded, Origin, dead_letter
from ingest.judge import Refusal
from ingest.wire import Reason
from storage.assets import measurement_of
from storage.journal import DeadLetter

Hashes = npt.NDArray[np.uint64]
_PRIME = np.uint64(0x9E37_79B9_7F4A_7C15)
_HALF = np.uint64(32)
_BUCKETS = 1 << 16
_TO_BUCKET = np.uint64(48)


@dataclass(frozen=True, slots=True)
class Admitted:
    """What goes into the journal as readings, what goes into quarantine, and the dead letters of what is refused."""

    tables: list[Readings]
    quarantined: list[Readings]
    dead_letters: list[DeadLetter]


class Crowds:
    """Bounds from above how many readings a second of an asset has had, over at least as many newest readings as it may remember.

    Readings are counted by a few bits of their second's hash, repetitions included: cheap, never too few, and seldom enough to doubt.
    """

    def __init__(self, memory: int) -> None:
        self._memory, self._rows = memory, 0
        self._young, self._old = np.zeros(_BUCKETS, np.int64), np.zeros(_BUCKETS, np.int64)

    def add(self, seconds: Ints) -> int:
        """Count these readings; the largest bound of their seconds."""
        if self._rows + len(seconds) > self._memory:
            self._old, self._young, self._rows = self._young, np.zeros(_BUCKETS, np.int64), 0
        bucket = ((seconds.view(np.uint64) * _PRIME) >> _TO_BUCKET).view(np.int64)
        np.add.at(self._young, bucket, 1)
        self._rows += len(seconds)
        return int((self._young[bucket] + self._old[bucket]).max(initial=0))


class Floods:
    """Counts the distinct readings of each asset and second of device time, over as many newest readings as it may remember.

    Two generations of memory: when the younger is full the older is forgotten, marks and counts together. So a reading is counted once
    at most, and a second with no more readings than the limit is never called a flood; a flood that was forgotten may begin anew.
    As long as no second can have come near the limit, readings are only put by, and counted when one may have.
    """

    def __init__(self, limit: int, memory: int) -> None:
        self._limit, self._memory = limit, memory
        self._crowds = Crowds(memory)
        self._uncounted: deque[tuple[Ints, Hashes]] = deque()
        self._uncounted_rows = 0
        self._young: tuple[set[int], Counter[int]] = (set(), Counter())
        self._old: tuple[set[int], Counter[int]] = (set(), Counter())

    def admit(self, seconds: Ints, marks: Hashes) -> Bools:
        """Tell which readings are within the limit, earlier rows first, and remember them.

        Parameters
        ----------
        seconds : shape (n,)
            Asset and second of device time, packed.
        marks : shape (n,)
            A hash of all that makes a reading distinct.
        """
        if self._crowds.add(seconds) <= self._limit:
            self._put_by(seconds, marks)
            return np.ones(len(seconds), dtype=bool)
        while self._uncounted:
            self._count(*self._uncounted.popleft())
        self._uncounted_rows = 0
        return self._count(seconds, marks)

    def _put_by(self, seconds: Ints, marks: Hashes) -> None:
        self._uncounted.append((seconds, marks))
        self._uncounted_rows += len(seconds)
        while self._uncounted_rows - len(self._uncounted[0][0]) > 2 * self._memory:
            self._uncounted_rows -= len(self._uncounted.popleft()[0])

    def _count(self, seconds: Ints, marks: Hashes) -> Bools:
        distinct, firsts, which = np.unique(marks, return_index=True, return_inverse=True)
        known = self._known(distinct)
        good = known.copy()
        fresh = np.flatnonzero(~known)
        fresh = fresh[np.argsort(firsts[fresh])]
        theirs = seconds[firsts[fresh]]
        within = good[fresh] = self._earlier(theirs) + ranks(theirs) < self._limit
        self._remember(distinct[fresh[within]], theirs[within])
        return good[which]

    def _known(self, marks: Hashes) -> Bools:
        keys = marks.tolist()
        found: list[Bools] = [np.fromiter(map(seen.__contains__, keys), bool, len(keys)) for seen, _ in (self._young, self._old)]
        return found[0] | found[1]

    def _earlier(self, seconds: Ints) -> Ints:
        keys = seconds.tolist()
        young, old = (np.fromiter(map(counts.get, keys, repeat(0)), np.int64, len(keys)) for _, counts in (self._young, self._old))
        return young + old

    def _remember(self, marks: Hashes, seconds: Ints) -> None:
        if len(self._young[0]) + len(marks) > self._memory:
            self._old, self._young = self._young, (set(), Counter())
        self._young[0].update(marks.tolist())
        self._young[1].update(seconds.tolist())


class Admission:
    """Decides on decoded readings.

    Parameters
    ----------
    holds
        Whether a reading of this identity is in quarantine already (`Journal.quarantine_holds`).
    ahead_ms
        So far may a device's clock be ahead of ours.
    flood_limit
        Distinct readings of one asset in one second of its time.
    memory
        Readings that the flood's count reaches back over.
    """

    def __init__(
        self, holds: Callable[[Readings], Bools], *, ahead_ms: int = 300_000, flood_limit: int = 100, memory: int = 50_000
    ) -> None:
        self._holds, self._ahead_ms, self._flood_limit = holds, ahead_ms, flood_limit
        self._floods = Floods(flood_limit, memory)

    def admit(self, decoded: Decoded) -> Admitted:
        """Sort decoded readings into admitted, quarantined and refused ones; the decoder's dead letters are not repeated here."""
        admitted = Admitted([], [], [])
        refusals: dict[int, list[Refusal]] = {}
        for table, origin in zip(decoded.tables, decoded.origins, strict=True):
            calm = self._floods.admit(seconds_of(table), marks_of(table))
            for row in np.flatnonzero(~calm).tolist():
                refusals.setdefault(int(origin.message[row]), []).append(self._refusal(table, origin, row))
            ahead = (table.t_ms > decoded.received_ms + self._ahead_ms) | self._holds(table)
            for rows, tables in ((calm & ~ahead, admitted.tables), (calm & ahead, admitted.quarantined)):
                if rows.any():
                    tables.append(table if rows.all() else table.take(rows))
        messages = decoded.messages
        admitted.dead_letters.extend(dead_letter(messages[index], decoded.received_ms, refusals[index]) for index in sorted(refusals))
        return admitted

    def _refusal(self, table: Readings, origin: Origin, row: int) -> Refusal:
        second = int(table.t_ms[row]) // 1000
        detail = f"t_ms is {table.t_ms[row]}, expected at most {self._flood_limit} distinct readings in the second {second}"
        return Refusal(int(origin.element[row]), Reason.FLOOD, detail)


def seconds_of(table: Readings) -> Ints:
    """Asset and second of device time in one integer."""
    return (table.asset << 32) | (table.t_ms // 1000)


def marks_of(table: Readings) -> Hashes:
    """A 64-bit hash of each reading: measurement, identity and content, but not how it came.

    Two different readings agree by chance once in 10^19; that would let one more of a flood in.
    """
    marks = np.full(len(table), abs(hash(measurement_of(type(table)))), dtype=np.uint64)
    for field in fields(table):
        if field.name not in BOOKKEEPING:
            for part in _bits(getattr(table, field.name)):
                marks = (marks ^ part) * _PRIME
                marks ^= marks >> _HALF
    return marks


def _bits(column: npt.NDArray[Any]) -> list[Hashes]:
    """A column as 64-bit words; texts as one word per character, so that their width in this batch does not matter."""
    if column.dtype.kind == "U":
        return [np.fromiter(map(hash, column.tolist()), np.int64, len(column)).view(np.uint64)]
    if column.dtype.kind == "f":
        return [column.view(np.uint64)]
    return [column.astype(np.int64).view(np.uint64)]


def ranks(keys: Ints) -> Ints:
    """How many earlier rows have the same key."""
    order = np.argsort(keys, kind="stable")
    same = keys[order]
    starts = np.flatnonzero(np.concatenate(([True], same[1:] != same[:-1])))
    found = np.empty(len(keys), dtype=np.int64)
    found[order] = np.arange(len(keys)) - np.repeat(starts, np.diff(np.append(starts, len(keys))))
    return found
