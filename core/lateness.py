"""How late a truck's readings come, and since when they come about as late as each other: what tells a wrong clock from a slow line.

A reading speaks when it came after all that were measured before it, and was not marked as a re-upload. Of what speaks, the newest and
the first of its steady run are kept: readings whose lateness differs from that of the one before by no more than a step. A device that
was without a line, and sends what it kept, leaves the run by a step and then gains on the present; one whose clock is wrong goes on at
the pace of time.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from core.columns import Ints, States
from core.groups import Groups
from core.jump import NEVER_MS

STEP_MS = 900_000
"""Readings that travel in one message differ by as much as it spans; this is longer than a terminal collects."""


@dataclass(frozen=True, eq=False, slots=True)
class Lateness:
    """What is known after a reading of each truck. Times are of receipt; NEVER_MS where nothing has spoken yet."""

    heard_ms: Ints  # of the newest reading that speaks
    late_ms: Ints  # how long after its device time that was
    steady_ms: Ints  # of the first one of its run
    steady_late_ms: Ints  # how late that one was

    def take(self, trucks: Ints) -> Self:
        return type(self)(self.heard_ms[trucks], self.late_ms[trucks], self.steady_ms[trucks], self.steady_late_ms[trucks])


@dataclass(frozen=True, eq=False, slots=True)
class Hearing:
    """The rows that speak, and those of them that begin a run; both ascending."""

    received_ms: Ints
    late_ms: Ints
    spoken: Ints
    begun: Ints

    def at(self, trucks: Groups, carried: Lateness, rows: Ints) -> Lateness:
        """What is known after each of these rows."""
        carried = carried.take(trucks.holding(rows))
        newest, first = trucks.newest(self.spoken, rows), trucks.newest(self.begun, rows)
        return Lateness(
            heard_ms=np.where(newest >= 0, self.received_ms[newest], carried.heard_ms),
            late_ms=np.where(newest >= 0, self.late_ms[newest], carried.late_ms),
            steady_ms=np.where(first >= 0, self.received_ms[first], carried.steady_ms),
            steady_late_ms=np.where(first >= 0, self.late_ms[first], carried.steady_late_ms),
        )


def hear(trucks: Groups, t_ms: Ints, received_ms: Ints, hist: States, carried: Lateness) -> Hearing:
    """Find the readings that speak.

    Parameters
    ----------
    t_ms, received_ms, hist : shape (rows,)
        Device times, ascending within each truck; receipts; 1 marks a re-upload.
    carried : shape (trucks,)
        What was known of each truck before its first row.
    """
    late_ms, counts = received_ms - t_ms, trucks.end - trucks.first
    live = hist != 1
    newest_ms = _newest_before(trucks, np.where(live, received_ms, NEVER_MS), carried.heard_ms, counts)
    spoken = np.flatnonzero(live & (received_ms >= newest_ms))
    truck = np.repeat(np.arange(len(trucks)), counts)[spoken]
    runs, spoken_late_ms = Groups.of(truck), late_ms[spoken]
    known = carried.take(truck[runs.first])
    begins = np.abs(spoken_late_ms - runs.before(spoken_late_ms, known.late_ms)) > STEP_MS
    begins[runs.first] |= known.heard_ms == NEVER_MS
    return Hearing(received_ms, late_ms, spoken, spoken[begins])


def _newest_before(trucks: Groups, live_ms: Ints, carried_ms: Ints, counts: Ints) -> Ints:
    """The newest receipt before each row within its truck. Trucks are lifted above each other, so that one pass does for all."""
    before_ms = trucks.before(live_ms, carried_ms)
    if len(before_ms):
        lift_ms = np.repeat(np.arange(len(trucks)) * (before_ms.max() - before_ms.min() + 1), counts)
        before_ms = np.maximum.accumulate(before_ms + lift_ms) - lift_ms
    return before_ms
