"""The collector: the way of every reading, from the wire to a stored event.

The pipeline is the tuple `STAGES`: each stage takes the turn and adds to it. A turn is one micro-batch. Nothing is acknowledged before the
journal's commit; a journal that cannot commit drops the connection, so that the senders repeat.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from core.readings import Movements, Readings, TruckReadings, Weighings
from ingest.admission import Admission
from ingest.books import Books
from ingest.decode import Decoded, decode
from ingest.deriver import Deriver
from ingest.source import Delivery, Source
from storage.database import JournalError
from storage.journal import DeadLetter, Journal
from storage.results import Results

log = logging.getLogger(__name__)
Clock = Callable[[], int]
_REPORT_S = 1.0


@dataclass(slots=True)
class Turn:
    """One micro-batch on its way."""

    delivery: Delivery
    received_ms: int
    decoded: Decoded = field(init=False)
    tables: list[Readings] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    quarantined: list[Readings] = field(default_factory=list)


@dataclass(slots=True)
class Tally:
    """Counts since start, and the newest moment of each hand-over, for the status page."""

    messages: int = 0
    readings: int = 0
    dead_letters: int = 0
    quarantined: int = 0
    received_ms: int = 0
    journalled_ms: int = 0
    derived_ms: int = 0


class Collector:
    """Reads one source into one journal and keeps the results derived from it up to date."""

    def __init__(
        self,
        source: Source,
        journal: Journal,
        results: Results,
        deriver: Deriver,
        books: Books,
        admission: Admission,
        clock: Clock,
        *,
        flush_s: float = 0.05,
        derive_s: float = 1.0,
        basis: str = "",
        low_disk_bytes: int = 0,
    ) -> None:
        self.source, self.journal, self.deriver, self.books = source, journal, deriver, books
        self.admission, self.clock = admission, clock
        self.tally = Tally()
        self._results, self._basis = results, basis
        self._anew = False
        self._low_disk_bytes, self._is_low = low_disk_bytes, False
        self._flush_s, self._derive_s = flush_s, derive_s
        self._derived_at = self._reported_at = 0.0
        self.resume()

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; then derive what is left."""
        while not stop.is_set():
            self.turn()
        self.derive()
        self.report(stopped=True)

    def turn(self) -> None:
        """Take in one micro-batch, and derive and report when it is time."""
        delivery = self.source.read(self._flush_s)
        if delivery is not None:
            self.take_in(delivery)
        if time.monotonic() - self._derived_at >= self._derive_s:
            self.derive()
            self._derived_at = time.monotonic()
        if time.monotonic() - self._reported_at >= _REPORT_S:
            self.report()
            self._reported_at = time.monotonic()

    def take_in(self, delivery: Delivery) -> None:
        """Send one micro-batch through the stages."""
        turn = Turn(delivery, self.clock())
        self.tally.received_ms = turn.received_ms
        try:
            for stage in STAGES:
                stage(self, turn)
        except JournalError as error:
            log.error(
                "%s; %d messages stay unacknowledged and their connections are cut, so that they come again", error, len(delivery.messages)
            )
            self.source.drop()

    def derive(self) -> None:
        """Bring the results up to date with the journal."""
        now_ms = self.clock()
        commit, derived = self.journal.position()
        if commit == derived and not self._anew:
            self.tally.derived_ms = self.tally.journalled_ms
            return
        try:
            with self._results.transaction(commit, self._basis):
                self.books.note_cycles(self.deriver.tick(now_ms))
                self.books.tick(now_ms)
            self.journal.seal()
        except JournalError as error:
            log.error("%s; the readings are safe, and are derived again at the next tick", error)
            self.resume()
            return
        self._anew = False
        self.tally.derived_ms = self.tally.journalled_ms

    def resume(self) -> None:
        """Take up what is journalled but not derived: at a start, or after a failure.

        Results of another registry or other rules are derived again from the first reading. The basis changes in the same transaction as
        they do: a collector that is killed before begins anew once more.
        """
        self._anew = self._results.basis() != self._basis
        self.deriver.resume(anew=self._anew)
        if self._anew:
            self.books.take_all()
        for _, tables in self.journal.after(self.journal.position()[1]):
            for table in tables:
                self.hand_on(table)

    def hand_on(self, table: Readings) -> None:
        """Give journalled readings to derivation, which runs at its own pace."""
        if isinstance(table, TruckReadings):
            self.deriver.take(table)
        elif isinstance(table, Weighings | Movements):
            self.books.take(table)

    def report(self, *, stopped: bool = False) -> None:
        """Write the state of each part where the API and the watchdog read it."""
        try:
            parts = self._parts(self.journal.state())
            self.journal.put_statuses({part: told | ({"state": "stopped"} if stopped else {}) for part, told in parts.items()})
        except JournalError as error:
            log.error("%s; the status page is old until this works again", error)

    def _parts(self, journal: dict[str, int]) -> dict[str, dict[str, object]]:
        tally = self.tally
        told: dict[str, dict[str, object]] = {
            "source": self.source.state() | {"messages": tally.messages, "received_ms": tally.received_ms},
            "journal": {"readings": tally.readings, "lag_ms": 0, "journalled_ms": tally.journalled_ms, **journal, **self._disk(journal)},
            "derive": {
                "open_rows": self.deriver.open_rows,
                "lag_ms": tally.journalled_ms - tally.derived_ms,
                "derived_ms": tally.derived_ms,
            },
        }
        return {part: {"state": "ok"} | state for part, state in told.items()}

    def _disk(self, journal: dict[str, int]) -> dict[str, str]:
        """A loud state well before the disk is full; said in the log when it begins and when it is over."""
        free, low = journal["free_bytes"], journal["free_bytes"] < self._low_disk_bytes
        if low and not self._is_low:
            log.error("%s: %d MB of disk are left, expected %d; make room before nothing more is acknowledged", *self._room(free))
        elif self._is_low and not low:
            log.warning("%s: %d MB of disk are left, %d are enough", *self._room(free))
        self._is_low = low
        return {"state": "low disk"} if low else {}

    def _room(self, free: int) -> tuple[Path, int, int]:
        return self.journal.path, free >> 20, self._low_disk_bytes >> 20


def decode_messages(collector: Collector, turn: Turn) -> None:
    """Turn payloads into columns; what cannot be read becomes dead letters."""
    turn.decoded = decode(turn.delivery.messages, turn.received_ms, collector.journal.asset)


def admit_readings(collector: Collector, turn: Turn) -> None:
    """Set aside what a device's clock or rate makes incredible."""
    admitted = collector.admission.admit(turn.decoded)
    turn.tables, turn.quarantined = admitted.tables, admitted.quarantined
    turn.dead_letters = turn.decoded.dead_letters + admitted.dead_letters


def sift_known(collector: Collector, turn: Turn) -> None:
    """Leave out old readings that the journal has already: they change nothing, and would take their trucks back for nothing."""
    for place, table in enumerate(turn.tables):
        if isinstance(table, TruckReadings):
            late = collector.deriver.behind(table)
            if late.any():
                late[late] = collector.journal.contains(table.take(late))
                turn.tables[place] = table.take(~late)


def commit_readings(collector: Collector, turn: Turn) -> None:
    """Make it durable."""
    collector.journal.commit(turn.tables, turn.dead_letters, turn.quarantined)


def acknowledge(collector: Collector, turn: Turn) -> None:
    """Tell the senders, now that it is on disk."""
    turn.delivery.acknowledge()


def hand_on(collector: Collector, turn: Turn) -> None:
    """Give what is journalled to derivation."""
    for table in turn.tables:
        collector.hand_on(table)


def count(collector: Collector, turn: Turn) -> None:
    """Keep the tally of the status page."""
    tally = collector.tally
    tally.messages += len(turn.delivery.messages)
    tally.readings += sum(len(table) for table in turn.tables)
    tally.dead_letters += len(turn.dead_letters)
    tally.quarantined += sum(len(table) for table in turn.quarantined)
    tally.journalled_ms = turn.received_ms


STAGES: tuple[Callable[[Collector, Turn], None], ...] = (
    decode_messages,
    admit_readings,
    sift_known,
    commit_readings,
    acknowledge,
    hand_on,
    count,
)
