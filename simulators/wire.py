"""How devices put their readings on the wire (docs/wire.md), written from the page alone.

A working truck's terminal collects readings and sends them together when it has as many as it may put into one message;
a parked one, whose next reading is minutes away, sends each at once. Stored readings follow when the line is back, marked as
history. Scales and stations send single objects at once.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import isnan
from typing import NamedTuple

import numpy as np

from core.columns import UNKNOWN, Floats, Ints, States
from simulators.facilities import Levels, Movement
from simulators.message import Message
from simulators.scenario import Scale, Scenario
from simulators.sensing import Reports
from simulators.weighbridge import Ticket

_PATIENCE_MS = 60_000
_LATENCY_MS = (300, 2_500)
_REPEAT_SHARE, _REPEAT_MS = 0.01, (4_000, 600_000)
_CONFLICTS = 5
_QUEUE_MS = 400
_ZERO_MS, _CLEAR_MS = 300_000, 90_000
_DAY_MS = 86_400_000
MISTYPED_KG = 1_000
_STATES = {-1: "", 0: ',"load_state":"empty"', 1: ',"load_state":"half"', 2: ',"load_state":"full"'}


class Sent(NamedTuple):
    """Messages with what a receiver will find in them beyond the distinct readings."""

    messages: list[Message]
    duplicates: int
    conflicts: int


def topic(scenario: Scenario, kind: str, asset: str, message: str) -> str:
    """Where an asset publishes its messages of one kind."""
    return f"plimsoll/v1/{scenario.district}/{kind}/{asset}/{message}"


def truck_messages(scenario: Scenario, reports: Reports, batch: int, rng: np.random.Generator) -> Sent:
    """All messages of the fleet, repeats and contradictions included, in no order."""
    topics = [topic(scenario, "truck", truck.id, "reading") for truck in scenario.trucks]
    objects = _objects(reports)
    begins = _batches(reports, batch)
    ends = np.append(begins[1:], len(reports))
    arrival = _arrivals(reports, begins, ends, rng)
    truck = reports.truck[begins].tolist()
    bounds = zip(arrival.tolist(), truck, begins.tolist(), ends.tolist(), strict=True)
    messages = [Message(at_ms, topics[row], _payload(objects[first:last])) for at_ms, row, first, last in bounds]
    repeated = np.flatnonzero((rng.random(len(messages)) < _REPEAT_SHARE) & (reports.t_ms[begins] <= reports.true_ms[begins]))
    repeats = [_later(messages[n], int(rng.integers(*_REPEAT_MS))) for n in repeated]
    conflicts = _contradictions(reports, topics, rng)
    return Sent(messages + repeats + conflicts, int((ends - begins)[repeated].sum()), len(conflicts))


def _objects(reports: Reports) -> list[str]:
    """Each reading as a JSON object; what was not measured is left out."""
    columns = (
        reports.t_ms.tolist(),
        reports.seq.tolist(),
        np.where(reports.held_ms >= 0, ',"hist":true', "").tolist(),
        _positions(reports.lat_deg, reports.lon_deg),
        reports.speed_kmh.tolist(),
        reports.heading_deg.astype(np.int64).tolist(),
        ["" if isnan(kg) else f',"load_kg":{kg:.0f}' for kg in reports.load_kg.tolist()],
        [_STATES[state] for state in reports.load_state.tolist()],
        _flags("body_up", reports.body_up),
        _flags("cover_open", reports.cover_open),
    )
    return [
        f'{{"t_ms":{t_ms},"seq":{seq}{hist}{place},"speed_kmh":{speed},"heading_deg":{heading}{load}{state}{body}{cover}}}'
        for t_ms, seq, hist, place, speed, heading, load, state, body, cover in zip(*columns, strict=True)
    ]


def _positions(lat_deg: Floats, lon_deg: Floats) -> list[str]:
    pairs = zip(lat_deg.tolist(), lon_deg.tolist(), strict=True)
    return ["" if isnan(lat) else f',"lat_deg":{lat:.6f},"lon_deg":{lon:.6f}' for lat, lon in pairs]


def _flags(name: str, states: States) -> list[str]:
    words = np.array([f',"{name}":false', f',"{name}":true', ""])  # UNKNOWN is the last
    words_of: list[str] = words[states].tolist()
    return words_of


def _payload(objects: Sequence[str]) -> bytes:
    """One object alone, several as an array."""
    return (objects[0] if len(objects) == 1 else f"[{','.join(objects)}]").encode()


def _batches(reports: Reports, batch: int) -> Ints:
    """The first row of each message."""
    row = np.arange(len(reports))
    apart = (np.diff(reports.truck) != 0) | (np.diff(reports.held_ms) != 0) | (np.diff(reports.true_ms) >= _PATIENCE_MS)
    in_run = row - np.maximum.accumulate(np.where(np.append(True, apart), row, 0))
    return np.flatnonzero(in_run % batch == 0)


def _arrivals(reports: Reports, begins: Ints, ends: Ints, rng: np.random.Generator) -> Ints:
    """When each message arrives: soon after its last reading, or one after the other when the line is back."""
    soon = reports.true_ms[ends - 1] + rng.integers(*_LATENCY_MS, len(begins))
    held, turn = reports.held_ms[begins], np.arange(len(begins))
    first = np.maximum.accumulate(np.where(np.append(True, np.diff(held) != 0), turn, 0))
    return np.where(held >= 0, held + _QUEUE_MS * (turn - first), soon)


def _later(message: Message, by_ms: int) -> Message:
    return Message(message.arrival_ms + by_ms, message.topic, message.payload)


def _contradictions(reports: Reports, topics: list[str], rng: np.random.Generator) -> list[Message]:
    """Other contents under the identity of a reading: the terminal corrected itself, or lost a member."""
    able = np.flatnonzero((reports.held_ms < 0) & (reports.t_ms == reports.true_ms) & (reports.speed_kmh > 15))
    rows = rng.choice(able, _CONFLICTS, replace=False)
    other = reports.take(rows)
    other = replace(other, speed_kmh=(other.speed_kmh + 1.3).round(1), cover_open=np.full(len(rows), UNKNOWN))
    arrival = other.true_ms + rng.integers(*_REPEAT_MS, len(rows))
    facts = zip(arrival.tolist(), other.truck.tolist(), _objects(other), strict=True)
    return [Message(at_ms, topics[row], _payload([text])) for at_ms, row, text in facts]


def ticket_messages(
    scenario: Scenario, numbered: Iterable[tuple[str, Ticket]], mistyped: str, rng: np.random.Generator
) -> Iterator[Message]:
    """What scale software sends of each visit: both halves as they are weighed, or the whole ticket at the end.

    The net printed on the ticket numbered `mistyped` is a tonne too high.
    """
    for number, ticket in numbered:
        to = topic(scenario, "scale", ticket.scale.id, "weighing")
        common = {"number": number, "plate": ticket.plate, "stream": ticket.stream, "direction": ticket.direction}
        masses = [{"gross_kg": ticket.gross_kg}, {"tare_kg": ticket.tare_kg}]
        if ticket.direction == "out":
            masses.reverse()
        if ticket.scale.halves:
            for at_ms, mass in zip((ticket.first_ms, ticket.second_ms), masses, strict=True):
                yield _single(to, at_ms, {**common, **mass}, rng)
        else:
            net = {"net_kg": ticket.net_kg + MISTYPED_KG * (number == mistyped)}
            yield _single(to, ticket.second_ms, {**common, **masses[0], **masses[1], **net}, rng)


def indication_messages(
    scenario: Scenario, scale: Scale, tickets: list[Ticket], from_ms: int, rng: np.random.Generator
) -> Iterator[Message]:
    """The indicator around each weighing (settling, then stable), and its zero every five minutes between."""
    to = topic(scenario, "scale", scale.id, "indication")
    loads = [(t.first_ms, t.tare_kg if t.direction == "out" else t.gross_kg) for t in tickets]
    loads += [(t.second_ms, t.gross_kg if t.direction == "out" else t.tare_kg) for t in tickets]
    busy = np.sort(np.array([t_ms for t_ms, _ in loads], dtype=np.int64))
    for t_ms, kg in loads:
        for before_s in (8, 6, 4, 2, 0):
            shown = kg + round(float(rng.normal(0.0, 3.0 * before_s))) * scale.interval_kg
            yield _single(to, t_ms - before_s * 1_000, {"gross_kg": shown, "stable": before_s < 3}, rng)
    for t_ms in range(from_ms, from_ms + _DAY_MS, _ZERO_MS):
        near = np.searchsorted(busy, (t_ms - _CLEAR_MS, t_ms + _CLEAR_MS))
        if near[0] == near[1]:
            yield _single(to, t_ms, {"gross_kg": 0, "stable": True}, rng)


def movement_messages(scenario: Scenario, numbered: Iterable[tuple[str, Movement]], rng: np.random.Generator) -> Iterator[Message]:
    """What a transfer station notes of each vehicle."""
    for seq, (number, move) in enumerate(numbered, 1):
        facts = {
            "seq": seq,
            "number": number,
            "plate": move.plate,
            "mass_kg": move.mass_kg,
            "stream": move.stream,
            "direction": move.direction,
        }
        yield _single(topic(scenario, "station", move.station.id, "movement"), move.t_ms, facts, rng)


def level_messages(scenario: Scenario, levels: Levels, rng: np.random.Generator) -> Iterator[Message]:
    """What a transfer station holds, as its sensors say."""
    to = topic(scenario, "station", levels.station.id, "level")
    for t_ms, stock, leachate in zip(levels.t_ms.tolist(), levels.stock_kg.tolist(), levels.leachate_dm3.tolist(), strict=True):
        yield _single(to, t_ms, {"stock_kg": stock, "leachate_m3": leachate / 1_000}, rng)


def _single(to: str, t_ms: int, facts: Mapping[str, object], rng: np.random.Generator) -> Message:
    payload = json.dumps({"t_ms": t_ms, **facts}, ensure_ascii=False, separators=(",", ":")).encode()
    return Message(t_ms + int(rng.integers(*_LATENCY_MS)), to, payload)
