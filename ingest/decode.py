"""From messages to tables of readings and dead letters.

Whole batches are decoded at once; a message that the fast way cannot take is judged by itself, element by element. Both ways accept
the same: what becomes of a message never depends on its neighbours.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np

from core.columns import Bools, Ints
from core.readings import Readings
from ingest.judge import UNREADABLE, Refusal, Verdict, is_strict, judge
from ingest.members import Members, columns, faults, gather
from ingest.source import Message
from ingest.topics import BadTopicError, route_of
from ingest.wire import MAX_ELEMENTS, MAX_PAYLOAD_BYTES, TYPES, Reading, Reason
from storage.assets import MEASUREMENTS, AssetKey
from storage.journal import DeadLetter

HEAD_BYTES = 65_536
"""So much of a payload is kept in a dead letter; of a longer one the SHA-256 names the whole."""


class Origin(NamedTuple):
    """Where the rows of a table came from: message by index, element by index, -1 when the payload was one object."""

    message: Ints
    element: Ints


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a batch of messages said."""

    messages: list[Message]
    received_ms: int
    tables: list[Readings]
    origins: list[Origin]
    dead_letters: list[DeadLetter]


class _Kind(NamedTuple):
    """A measurement's types and decoders."""

    wire: type[Reading]
    table: type[Readings]
    payload: "msgspec.json.Decoder[Any]"
    element: "msgspec.json.Decoder[Any]"


_KINDS = {
    name: _Kind(wire, MEASUREMENTS[name], msgspec.json.Decoder(wire | list[wire]), msgspec.json.Decoder(wire))  # type: ignore[valid-type]  # a type as a value
    for name, wire in TYPES.items()
}


class _Group(NamedTuple):
    """The messages of one measurement, and their readings in order."""

    kind: _Kind
    indexes: Ints
    rows: list[Reading]
    counts: list[int]
    elements: Ints
    members: Members
    refusals: dict[int, list[Refusal]]


def decode(messages: list[Message], received_ms: int, asset_of: Callable[[AssetKey], int]) -> Decoded:
    """Decode a batch.

    Parameters
    ----------
    messages
        In order of arrival.
    received_ms
        Our clock at their receipt.
    asset_of
        Gives an asset's number; asked only for assets with at least one good reading.

    Returns
    -------
    Decoded
        One table per measurement that occurred, with its rows' origins, and one dead letter per message of which something was refused.
    """
    refusals: dict[int, list[Refusal]] = defaultdict(list)
    tables, origins = [], []
    for measurement, indexes in _sorted_out(messages, refusals).items():
        group = _read(_KINDS[measurement], messages, indexes)
        good = _judged(group, refusals)
        if good.any():
            origin = Origin(np.repeat(group.indexes, group.counts)[good], group.elements[good])
            tables.append(_table(group, good, origin, messages, received_ms, asset_of))
            origins.append(origin)
    letters = [dead_letter(messages[index], received_ms, refusals[index]) for index in sorted(refusals)]
    return Decoded(messages, received_ms, tables, origins, letters)


def dead_letter(message: Message, received_ms: int, refusals: Sequence[Refusal]) -> DeadLetter:
    """Keep a message with what was refused of it; the first refusal's reason stands for all."""
    details = [
        refusal.detail if refusal.element < 0 else f"[{refusal.element}] {refusal.reason}: {refusal.detail}"
        for refusal in sorted(refusals, key=lambda refusal: refusal.element)
    ]
    payload = message.payload
    digest = hashlib.sha256(payload).hexdigest()
    return DeadLetter(received_ms, message.topic, str(refusals[0].reason), "; ".join(details), payload[:HEAD_BYTES], len(payload), digest)


def _sorted_out(messages: list[Message], refusals: dict[int, list[Refusal]]) -> dict[str, list[int]]:
    """The messages of each measurement, by index; the rest is refused."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, (topic, payload) in enumerate(messages):
        try:
            measurement = route_of(topic).measurement
        except BadTopicError as error:
            refusals[index].append(Refusal(-1, Reason.BAD_TOPIC, str(error)))
            continue
        if len(payload) > MAX_PAYLOAD_BYTES:
            refusals[index].append(Refusal(-1, Reason.TOO_LARGE, f"{len(payload):,} bytes, expected at most {MAX_PAYLOAD_BYTES:,}"))
        else:
            groups[measurement].append(index)
    return groups


def _read(kind: _Kind, messages: list[Message], indexes: list[int]) -> _Group:
    payloads = [messages[index].payload for index in indexes]
    values = _decoded(kind, payloads)
    rows, counts, arrays = _flat(values)
    members = gather(kind.wire, rows)
    if None in values or max(counts) > MAX_ELEMENTS or not _is_flat(payloads, len(rows) + sum(arrays), members):
        return _read_slowly(kind, indexes, payloads, values)
    return _Group(kind, np.array(indexes), rows, counts, _elements(counts, arrays), members, {})


def _read_slowly(kind: _Kind, indexes: list[int], payloads: list[bytes], values: list[Any]) -> _Group:
    """Keep what each message says by itself, and let the others be judged."""
    verdicts: dict[int, Verdict] = {}
    for place, (payload, value) in enumerate(zip(payloads, values, strict=True)):
        short = not isinstance(value, list) or len(value) <= MAX_ELEMENTS
        if value is None or not short or not is_strict(payload):
            verdicts[place] = judge(kind.element, payload)
            values[place] = verdicts[place].rows
    rows, counts, arrays = _flat(values)
    elements = _elements(counts, arrays)
    firsts = np.cumsum(counts) - counts
    for place, verdict in verdicts.items():
        elements[firsts[place] : firsts[place] + counts[place]] = verdict.elements
    refusals = {indexes[place]: verdict.refusals for place, verdict in verdicts.items()}
    return _Group(kind, np.array(indexes), rows, counts, elements, gather(kind.wire, rows), refusals)


def _decoded(kind: _Kind, payloads: list[bytes]) -> list[Any]:
    """A reading or a list of them for each payload, None for one that has a fault."""
    decode_one = kind.payload.decode
    try:
        return [decode_one(payload) for payload in payloads]
    except UNREADABLE:
        return [_decoded_or_none(kind, payload) for payload in payloads]


def _decoded_or_none(kind: _Kind, payload: bytes) -> Any:
    try:
        return kind.payload.decode(payload)
    except UNREADABLE:
        return None


def _flat(values: list[Any]) -> tuple[list[Reading], list[int], list[bool]]:
    """All readings in order, how many came from each payload, and which payloads were arrays."""
    rows: list[Reading] = []
    counts, arrays = [], []
    for value in values:
        is_array = isinstance(value, list)
        arrays.append(is_array)
        if is_array:
            rows += value
            counts.append(len(value))
        elif value is None:
            counts.append(0)
        else:
            rows.append(value)
            counts.append(1)
    return rows, counts, arrays


def _elements(counts: list[int], arrays: list[bool]) -> Ints:
    """Each row's place in its array; -1 for the payloads that were none."""
    firsts = np.cumsum(counts) - counts
    places = np.arange(sum(counts)) - np.repeat(firsts, counts)
    return np.where(np.repeat(arrays, counts), places, -1)


def _is_flat(payloads: list[bytes], brackets: int, members: Members) -> bool:
    """Prove for all at once what `is_strict` asks of each: no more colons than known members, no more brackets than readings and arrays.

    A message has at least a colon for each known member and a bracket for each reading, so that equal sums mean equality in every one.
    """
    joined = b"\n".join(payloads)
    flat = joined.count(b":") == members.present and joined.count(b"{") + joined.count(b"[") == brackets
    return flat and (joined.isascii() or _is_utf8(joined))


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _judged(group: _Group, refusals: dict[int, list[Refusal]]) -> Bools:
    """Which rows are good; what is wrong with the others is added to the refusals."""
    for index, found in group.refusals.items():
        refusals[index] += found
    good = np.ones(len(group.rows), dtype=bool)
    sources = np.repeat(group.indexes, group.counts)
    for row, reason, detail in faults(group.kind.wire, group.rows, group.members):
        if good[row]:  # one fault of each is enough
            refusals[int(sources[row])].append(Refusal(int(group.elements[row]), reason, detail))
        good[row] = False
    return good


def _table(
    group: _Group, good: Bools, origin: Origin, messages: list[Message], received_ms: int, asset_of: Callable[[AssetKey], int]
) -> Readings:
    speaking, where = np.unique(origin.message, return_inverse=True)
    numbers: dict[str, int] = {}
    assets = []
    for index in speaking.tolist():
        topic = messages[index].topic
        if topic not in numbers:
            numbers[topic] = asset_of(route_of(topic).key)
        assets.append(numbers[topic])
    received = np.full(len(where), received_ms)
    return group.kind.table.of(asset=np.array(assets, dtype=np.int64)[where], received_ms=received, **columns(group.members, good))
