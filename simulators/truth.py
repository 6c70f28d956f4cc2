"""What really happened in a played day, to lay beside what was concluded from its messages.

Times of cycles are by the truck's own clock, as the readings are; `clock_ms` says how far that clock was off.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path as Folder
from typing import Any, NamedTuple

from simulators.faults import Fault


class TrueCycle(NamedTuple):
    """One load → haul → dump of which at least a part lies in the played day."""

    truck: str
    permit: str
    start_ms: int  # first shovel pass
    full_ms: int  # last shovel pass
    depart_ms: int
    arrive_ms: int
    end_ms: int  # the body is empty
    clock_ms: int
    load_site: str
    dump_site: str  # empty: dumped where it may not
    payload_kg: float  # when it left the shovel
    delivered_kg: float  # when it was dumped
    ticket: str  # number, or empty
    cut: str  # "start": loaded before the day began; "end": not dumped when it ended; else empty
    sensor: str  # "weight"; "state" (empty, half, full only); "stuck" (shows nothing)
    fault: str  # what went wrong in it, or empty


class TrueTicket(NamedTuple):
    """One completed weighing. A whole ticket is sent at `end_ms` alone, then `start_ms` equals it."""

    scale: str
    number: str
    plate: str
    start_ms: int
    end_ms: int
    gross_kg: int
    tare_kg: int
    net_kg: int  # gross minus tare
    stream: str
    direction: str
    paired: bool
    true_kg: float


class TrueTonnage(NamedTuple):
    """What entered or left a facility. Tickets and movements add up as printed; `onboard` is true mass."""

    site: str
    day: str  # ISO 8601
    stream: str
    direction: str
    source: str
    mass_kg: int
    loads: int


class Counts(NamedTuple):
    """What a receiver must find in the messages of one kind."""

    measurement: str
    messages: int
    readings: int  # distinct, without the quarantined
    duplicates: int
    conflicts: int
    quarantined: int  # their clock is ahead of receipt


@dataclass(frozen=True, slots=True)
class Truth:
    """Everything planted in one played day."""

    cycles: list[TrueCycle]
    tickets: list[TrueTicket]
    tonnage: list[TrueTonnage]
    faults: list[Fault]
    counts: list[Counts]

    def write(self, folder: Folder) -> None:
        """Write one CSV file per table, and the counts as JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        _csv(folder / "cycles.csv", TrueCycle._fields, self.cycles)
        _csv(folder / "tickets.csv", TrueTicket._fields, self.tickets)
        _csv(folder / "tonnage.csv", TrueTonnage._fields, self.tonnage)
        _csv(folder / "faults.csv", Fault._fields, self.faults)
        counts = [count._asdict() for count in self.counts]
        (folder / "counts.json").write_text(json.dumps(counts, indent=1), encoding="utf-8")


def _csv(file: Folder, header: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(header)
        writer.writerows(rows)
