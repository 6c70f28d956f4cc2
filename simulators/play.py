"""A day of the district as messages in the order of their arrival, with its truth.

A play covers one operating day, [00:00, 24:00) local: the readings truly taken in it, the weighings finished in it. Because
trucks work across midnight, it takes the night's end from the shift-day before and the rest from its own.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from heapq import merge
from operator import attrgetter
from zoneinfo import ZoneInfo

import numpy as np

from simulators.facilities import Movement, play_facilities
from simulators.faults import Fault
from simulators.haul import Cycle
from simulators.message import Message
from simulators.mishaps import BEHIND_MS, befall
from simulators.scenario import Scenario
from simulators.sensing import Reports, sense
from simulators.shifts import SHIFT_HOUR, local_ms, play_shift
from simulators.truth import Counts, TrueCycle, TrueTicket, TrueTonnage, Truth
from simulators.weighbridge import Ticket
from simulators.wire import MISTYPED_KG, Sent, indication_messages, level_messages, movement_messages, ticket_messages, truck_messages

__all__ = ["Message", "Play", "play", "play_from"]

_arrival = attrgetter("arrival_ms")
_LATEST_MS = 2 * 3_600_000
"""No message of a day arrives later than this after its end: the longest blind spot, its wait, its queue and a repeat."""


@dataclass(frozen=True, slots=True)
class Play:
    """One operating day: its messages in the order of their arrival, and what really happened."""

    messages: list[Message]
    truth: Truth


def play(scenario: Scenario, day: date, batch: int = 20) -> Play:
    """Play one operating day; a truck's terminal puts up to `batch` readings into a message.

    Equal arguments give equal days, byte for byte. What happens does not depend on `batch`.
    """
    span = local_ms(scenario, day), local_ms(scenario, day + timedelta(days=1))
    night, own = play_shift(scenario, day - timedelta(days=1)), play_shift(scenario, day)
    facilities = play_facilities(scenario, day)
    reports, mishaps = _reports(scenario, day, span)
    tickets = _number([t for t in (*night.tickets, *own.tickets, *facilities.tickets) if _in(span, t.second_ms)], day)
    movements = [(f"{move.station.id}-{day:%Y%m%d}-{n:03d}", move) for n, move in enumerate(facilities.movements, 1)]
    mistyped = next(number for number, ticket in tickets if not ticket.scale.halves)
    rng = np.random.default_rng((scenario.seed, day.toordinal(), 6))
    weighings = list(ticket_messages(scenario, tickets, mistyped, rng))
    moves = list(movement_messages(scenario, movements, rng))
    levels = [message for level in facilities.levels for message in level_messages(scenario, level, rng)]
    indications = _indications(scenario, [ticket for _, ticket in tickets], span[0], rng)
    fleet = truck_messages(scenario, reports, batch, rng)
    faults = [fault for fault in (*night.faults, *own.faults) if fault.start_ms < span[1] and fault.end_ms >= span[0]]
    cycles = [cycle for cycle in (*night.cycles, *own.cycles) if cycle.start_ms < span[1] and cycle.end_ms >= span[0]]
    singles = {"scale/weighing": weighings, "scale/indication": indications, "station/movement": moves, "station/level": levels}
    truth = Truth(
        cycles=_cycles(scenario, cycles, span, {ticket: number for number, ticket in tickets}),
        tickets=[_ticket(number, ticket) for number, ticket in tickets],
        tonnage=_tonnage(scenario, day, [t for _, t in tickets], [m for _, m in movements], [c for c in cycles if _in(span, c.end_ms)]),
        faults=sorted([*faults, *mishaps, *_ticket_faults(tickets, mistyped)], key=attrgetter("start_ms", "kind", "asset")),
        counts=[_fleet_counts(reports, fleet), *(Counts(kind, len(sent), len(sent), 0, 0, 0) for kind, sent in singles.items())],
    )
    everything = [*fleet.messages, *weighings, *indications, *moves, *levels]
    return Play(sorted(everything, key=_arrival), truth)


def play_from(scenario: Scenario, start_ms: int, batch: int = 20) -> Iterator[Message]:
    """Messages of consecutive days without end, in the order of their arrival, from an instant on.

    Each day is made when the one before it is through; what arrives before `start_ms` is skipped.
    """
    day = datetime.fromtimestamp(start_ms / 1000, tz=UTC).astimezone(ZoneInfo(scenario.zone)).date()
    late: list[Message] = []
    if start_ms - local_ms(scenario, day) < _LATEST_MS:
        late = [message for message in play(scenario, day - timedelta(days=1), batch).messages if message.arrival_ms >= start_ms]
    while True:
        ends = local_ms(scenario, day + timedelta(days=1))
        messages = list(merge(late, play(scenario, day, batch).messages, key=_arrival))
        yield from (message for message in messages if start_ms <= message.arrival_ms < ends)
        late = [message for message in messages if message.arrival_ms >= ends]
        day += timedelta(days=1)


def _in(span: tuple[int, int], t_ms: int) -> bool:
    return span[0] <= t_ms < span[1]


def _reports(scenario: Scenario, day: date, span: tuple[int, int]) -> tuple[Reports, list[Fault]]:
    """The fleet's readings of a day with their mishaps, in order of (truck, true time)."""
    rng = np.random.default_rng((scenario.seed, day.toordinal(), 3))
    night, own = play_shift(scenario, day - timedelta(days=1)), play_shift(scenario, day)
    seam_ms = local_ms(scenario, day, SHIFT_HOUR)
    made = Reports.concat([sense(scenario, night, span[0], seam_ms, rng), sense(scenario, own, seam_ms, span[1], rng)])
    made = made.take(np.lexsort((made.true_ms, made.truck)))
    begins = np.flatnonzero(np.append(True, np.diff(made.truck) != 0))
    seq = np.arange(len(made)) - np.repeat(begins, np.diff(np.append(begins, len(made))))
    idle = [row for row in range(len(scenario.trucks)) if row not in night.active | own.active]
    return befall(scenario, replace(made, seq=seq), span[0], idle, np.random.default_rng((scenario.seed, day.toordinal(), 5)))


def _number(tickets: list[Ticket], day: date) -> list[tuple[str, Ticket]]:
    """Each scale numbers its visits of a day as they begin."""
    count: dict[str, int] = defaultdict(int)
    numbered = []
    for ticket in sorted(tickets, key=attrgetter("first_ms", "scale.id")):
        count[ticket.scale.id] += 1
        numbered.append((f"{ticket.scale.id}-{day:%Y%m%d}-{count[ticket.scale.id]:04d}", ticket))
    return numbered


def _indications(scenario: Scenario, tickets: list[Ticket], begin_ms: int, rng: np.random.Generator) -> list[Message]:
    by_scale = {scale: [ticket for ticket in tickets if ticket.scale is scale] for scale in scenario.scales}
    return [one for scale, own in by_scale.items() for one in indication_messages(scenario, scale, own, begin_ms, rng)]


def _cycles(scenario: Scenario, cycles: Iterable[Cycle], span: tuple[int, int], numbers: dict[Ticket, str]) -> list[TrueCycle]:
    return sorted(_cycle(scenario, cycle, span, numbers) for cycle in cycles)


def _cycle(scenario: Scenario, cycle: Cycle, span: tuple[int, int], numbers: dict[Ticket, str]) -> TrueCycle:
    clock = BEHIND_MS if cycle.truck is scenario.clock_behind else 0
    return TrueCycle(
        truck=cycle.truck.id,
        permit=cycle.permit.id,
        start_ms=cycle.start_ms + clock,
        full_ms=cycle.full_ms + clock,
        depart_ms=cycle.depart_ms + clock,
        arrive_ms=cycle.arrive_ms + clock,
        end_ms=cycle.end_ms + clock,
        clock_ms=clock,
        load_site=cycle.permit.route.from_site.id,
        dump_site=cycle.dump_site,
        payload_kg=round(cycle.payload_kg, 1),
        delivered_kg=round(cycle.delivered_kg, 1),
        ticket=numbers.get(cycle.ticket, "") if cycle.ticket else "",
        cut="start" if cycle.start_ms < span[0] else "end" if cycle.end_ms >= span[1] else "",
        sensor=cycle.sensor,
        fault=cycle.mischief,
    )


def _ticket(number: str, ticket: Ticket) -> TrueTicket:
    halves = ticket.scale.halves
    start = ticket.first_ms if halves else ticket.second_ms
    masses = ticket.gross_kg, ticket.tare_kg, ticket.net_kg
    return TrueTicket(
        *(ticket.scale.id, number, ticket.plate, start, ticket.second_ms, *masses),
        *(ticket.stream, ticket.direction, halves, round(ticket.true_kg, 1)),
    )


def _ticket_faults(tickets: list[tuple[str, Ticket]], mistyped: str) -> list[Fault]:
    """Tickets above the gross limit, and the one whose printed net is wrong."""
    faults = []
    for number, ticket in tickets:
        span = ticket.first_ms, ticket.second_ms
        if (over := ticket.gross_kg - ticket.gross_limit_kg) > 0:
            faults.append(Fault("ticket_overload_gross", "scale", ticket.scale.id, *span, over, "kg", number))
        if number == mistyped:
            faults.append(Fault("ticket_mismatch", "scale", ticket.scale.id, *span, MISTYPED_KG, "kg", number))
    return faults


def _tonnage(scenario: Scenario, day: date, tickets: list[Ticket], moves: list[Movement], dumped: list[Cycle]) -> list[TrueTonnage]:
    """Sums per facility, stream, direction and source."""
    facts = [((t.scale.site.id, t.stream, t.direction, "ticket"), float(t.net_kg)) for t in tickets]
    facts += [((m.station.site.id, m.stream, m.direction, "movement"), float(m.mass_kg)) for m in moves]
    facts += [((c.dump_site, "muck", "in", "onboard"), c.delivered_kg) for c in dumped if c.dump_site in scenario.unweighed]
    masses: dict[tuple[str, str, str, str], list[float]] = defaultdict(list)
    for key, kg in facts:
        masses[key].append(kg)
    return [
        TrueTonnage(site, day.isoformat(), stream, direction, source, round(sum(kg)), len(kg))
        for (site, stream, direction, source), kg in sorted(masses.items())
    ]


def _fleet_counts(reports: Reports, sent: Sent) -> Counts:
    quarantined = int((reports.t_ms > reports.true_ms).sum())
    return Counts("truck/reading", len(sent.messages), len(reports) - quarantined, sent.duplicates, sent.conflicts, quarantined)
