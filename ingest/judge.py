"""The slow, exact judgement of one payload: which of its elements are readings, and what is wrong with the others.

The decoder comes here only with messages that it could not take whole. Whatever the bytes are, the answer is a `Verdict`, never an
exception.
"""

import json
import re
from typing import Any, NamedTuple

import msgspec

from ingest.topics import shown
from ingest.wire import MAX_DEPTH, MAX_ELEMENTS, Reading, Reason

UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What a decoder raises at bytes that are not what it wants."""

_NUMERALS = {"parse_int": str, "parse_float": str, "parse_constant": str}
"""Numbers stay text: only the structure is looked at, and a number of 5,000 digits shall not stop us."""
_plain = json.JSONDecoder(**_NUMERALS)  # type: ignore[arg-type]  # the stub asks for numbers where any value may come
_raw = msgspec.json.Decoder(msgspec.Raw)
_raw_elements = msgspec.json.Decoder(list[msgspec.Raw])
_raw_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_members = msgspec.json.Decoder(dict[str, Any] | list[dict[str, Any]])
_PATH = re.compile(r" - at `\$\.(\w+)`$")


class Refusal(NamedTuple):
    """Why an element was refused; ``element`` is -1 for a payload that is no array, or the whole of it."""

    element: int
    reason: Reason
    detail: str


class Verdict(NamedTuple):
    """The readings of one payload, where they stood in it, and what was refused."""

    rows: list[Reading]
    elements: list[int]
    refusals: list[Refusal]


class DuplicateMemberError(ValueError):
    """One object names a member twice."""


def _distinct(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        names = [name for name, _ in members]
        raise DuplicateMemberError(f"{next(name for name in found if names.count(name) > 1)} stands there twice, expected once")
    return found


_strict = json.JSONDecoder(object_pairs_hook=_distinct, **_NUMERALS)  # type: ignore[arg-type]  # as above


def is_strict(payload: bytes) -> bool:
    """Whether a payload that a typed decoder took is UTF-8 to its last byte, flat enough, and names no member twice.

    Typed decoders skip members that they do not know, unseen, and let the last of two equal names win.
    """
    try:
        text = payload.decode()
        if _counted_members(payload) == payload.count(b":") and payload.count(b"[") <= MAX_DEPTH - 2:
            return True
        return not _deeper(_strict.decode(text), MAX_DEPTH)
    except UNREADABLE:
        return False


def _counted_members(payload: bytes) -> int:
    """Distinct members of the outer object or objects. As many colons mean: none stands twice, and none holds an object."""
    try:
        value = _members.decode(payload)
    except UNREADABLE:
        return -1  # a number that no float holds, in a member that we do not know
    return sum(map(len, value)) if isinstance(value, list) else len(value)


def _deeper(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [child for item in level if isinstance(item, dict | list) for child in (item.values() if isinstance(item, dict) else item)]
        if not level:
            return False
    return any(isinstance(item, dict | list) for item in level)


def judge(element: "msgspec.json.Decoder[Any]", payload: bytes) -> Verdict:
    """Judge a payload that is not too long, element by element.

    Parameters
    ----------
    element
        Decodes one object of the measurement.
    payload
        As it came.
    """
    unreadable = _unreadable(payload)
    if unreadable:
        return _refused(Reason.NOT_JSON, unreadable)
    try:
        parts = [bytes(part) for part in _raw_elements.decode(payload)]
    except UNREADABLE:
        reading = _judge_element(element, payload, -1)
        return Verdict([], [], [reading]) if isinstance(reading, Refusal) else Verdict([reading], [-1], [])
    if len(parts) > MAX_ELEMENTS:
        return _refused(Reason.TOO_LARGE, f"an array of {len(parts):,}, expected at most {MAX_ELEMENTS:,}")
    judged = [_judge_element(element, part, index) for index, part in enumerate(parts)]
    good = [index for index, reading in enumerate(judged) if not isinstance(reading, Refusal)]
    return Verdict([judged[index] for index in good], good, [reading for reading in judged if isinstance(reading, Refusal)])


def _refused(reason: Reason, detail: str) -> Verdict:
    return Verdict([], [], [Refusal(-1, reason, detail)])


def _unreadable(payload: bytes) -> str:
    """Why this is no JSON that we read; empty when it is."""
    if not payload.strip():
        return "the payload is empty"
    try:
        text = payload.decode()
        _raw.decode(payload)
        return f"nested deeper than {MAX_DEPTH}" if _deeper(_plain.decode(text), MAX_DEPTH) else ""
    except UnicodeDecodeError as error:
        return f"not UTF-8: {error.reason} at byte {error.start}"
    except RecursionError:
        return f"nested deeper than {MAX_DEPTH}"
    except UNREADABLE as error:
        return str(error)


def _judge_element(element: "msgspec.json.Decoder[Any]", payload: bytes, index: int) -> Any:
    try:
        reading = element.decode(payload)
        _strict.decode(payload.decode())
    except DuplicateMemberError as error:
        return Refusal(index, Reason.BAD_SHAPE, str(error))
    except UNREADABLE as error:
        # msgspec tells a number that no int or float holds only by its words
        reason = Reason.OUT_OF_RANGE if "out of range" in str(error) else Reason.BAD_SHAPE
        return Refusal(index, reason, _explained(payload, str(error)))
    return reading


def _explained(payload: bytes, error: str) -> str:
    """The decoder's complaint, led by the member and the value that it is about."""
    found = _PATH.search(error)
    if found is None:
        return error
    value = bytes(_raw_members.decode(payload)[found[1]]).decode()
    return f"{found[1]} is {value if len(value) <= 80 else shown(value)}: {error[: found.start()]}"
