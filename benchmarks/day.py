"""The load of the benchmarks: what the trucks of the played district send, one reading to a message or many."""

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import count

from benchmarks.load import Message
from simulators import wujin
from simulators.play import play

FIRST_DAY = date(2022, 6, 15)


def single_readings(readings: int) -> list[Message]:
    """So many readings of consecutive days in the order of their arrival, late and repeated ones included."""
    scenario = wujin.scenario()
    messages: list[Message] = []
    for n in count():
        played = play(scenario, FIRST_DAY + timedelta(days=n), batch=1).messages
        messages += [Message(one.topic, one.payload) for one in played if one.topic.endswith("/reading") and one.payload[:1] == b"{"]
        if len(messages) >= readings:
            return messages[:readings]
    raise AssertionError("days do not end")


def together(singles: Sequence[Message], size: int) -> list[Message]:
    """The same readings, so many of one truck to a message; the last of each truck are fewer."""
    if size == 1:
        return list(singles)
    waiting: dict[str, list[bytes]] = defaultdict(list)
    messages = []
    for topic, payload in singles:
        waiting[topic].append(payload)
        if len(waiting[topic]) == size:
            messages.append(_array(topic, waiting.pop(topic)))
    return messages + [_array(topic, rest) for topic, rest in waiting.items()]


def distinct(singles: Sequence[Message]) -> int:
    """How many of them are different readings, by the identity that the wire contract gives them."""
    identities = set()
    for topic, payload in singles:
        reading = json.loads(payload)
        identities.add((topic, reading["t_ms"], reading.get("seq", 0)))
    return len(identities)


def moments(singles: Sequence[Message]) -> int:
    """How many rows they make where a truck has one row a millisecond, as in the hand-written loops."""
    return len({(topic, json.loads(payload)["t_ms"]) for topic, payload in singles})


def _array(topic: str, readings: list[bytes]) -> Message:
    return Message(topic, b"[" + b",".join(readings) + b"]")
