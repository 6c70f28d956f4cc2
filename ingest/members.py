"""From decoded readings to columns: the values' judgement, and their quantisation, once.

Everything works on whole lists of readings of one measurement.
"""

from collections.abc import Callable
from functools import cache
from itertools import repeat
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np
import numpy.typing as npt

from core.columns import MISSING, UNKNOWN, Bools, Floats, Int32s, Ints, States
from core.readings import EMPTY, FULL, HALF, IN, OUT
from ingest.topics import is_clean, shown
from ingest.wire import BELONGING, Direction, LoadState, Reading, Reason

CODES: dict[Any, dict[str | bool | None, int]] = {
    bool | None: {None: int(UNKNOWN), False: 0, True: 1},
    LoadState | None: {None: int(UNKNOWN), "empty": EMPTY, "half": HALF, "full": FULL},
    Direction: {"in": IN, "out": OUT},
}
"""Members that become int8 states, by their type."""
PER_UNIT = {"speed_kmh": 10, "leachate_m3": 1_000}
"""Steps of a quantised member in its unit; 1 where nothing is said."""


class Members(NamedTuple):
    """The values of some readings, member by member, as they were sent."""

    numbers: dict[str, Ints | Floats]
    states: dict[str, States]
    texts: dict[str, list[str | None]]
    present: int
    """How many members were there and not null, over all readings."""


class Fault(NamedTuple):
    """What is wrong with the reading in one row."""

    row: int
    reason: Reason
    detail: str


def gather(kind: type[Reading], rows: list[Reading]) -> Members:
    """Turn readings into members."""
    members = Members({}, {}, {}, 0)
    present = 0
    table = zip(*map(msgspec.structs.astuple, rows), strict=True) if rows else repeat(())
    for (name, annotation), values in zip(_annotations(kind).items(), table, strict=False):
        if annotation in CODES:
            states = members.states[name] = np.fromiter(map(CODES[annotation].__getitem__, values), np.int8, len(values))
            present += int(np.count_nonzero(states != UNKNOWN))
        elif annotation in (float, float | None):
            floats = members.numbers[name] = np.array(values, dtype=np.float64)
            present += int(np.count_nonzero(~np.isnan(floats)))
        else:
            present += len(values) - values.count(None)
            if annotation in (int, int | None):
                members.numbers[name] = _ints(values)
            else:
                members.texts[name] = list(values)
    return members._replace(present=present)


@cache
def _annotations(kind: type[Reading]) -> dict[str, Any]:
    return {field.name: field.type for field in msgspec.structs.fields(kind)}


def _ints(values: tuple[int | None, ...]) -> Ints:
    """Absent is 0; what no int64 holds is -1, which no range of ours allows."""
    try:
        return np.array([value or 0 for value in values], dtype=np.int64)
    except OverflowError:
        return np.array([value if value and abs(value) < 2**63 else -bool(value) for value in values], dtype=np.int64)


def faults(kind: type[Reading], rows: list[Reading], members: Members) -> list[Fault]:
    """What stands outside docs/wire.md, first fault of each row first."""
    found: list[Fault] = []
    for name, (low, high) in kind.ranges.items():
        found += _outside(rows, name, members.numbers[name], low, high)
    for name in kind.whole:
        found += _broken(rows, name, cast("Floats", members.numbers[name]))
    for name, longest in kind.texts.items():
        found += _unwritten(members.texts[name], name, longest, name in kind.filled)
    return found + _lonely(kind, members)


def _outside(rows: list[Reading], name: str, values: Ints | Floats, low: int, high: int) -> list[Fault]:
    bad = np.flatnonzero((values < low) | (values > high)).tolist()
    return [Fault(row, Reason.OUT_OF_RANGE, f"{name} is {shown(getattr(rows[row], name))}, expected {low:,} to {high:,}") for row in bad]


def _broken(rows: list[Reading], name: str, values: Floats) -> list[Fault]:
    bad = np.flatnonzero(values % 1 > 0).tolist()  # not measured is NaN, and no NaN is greater
    return [Fault(row, Reason.OUT_OF_RANGE, f"{name} is {shown(getattr(rows[row], name))}, expected whole kilograms") for row in bad]


def _unwritten(values: list[str | None], name: str, longest: int, filled: bool) -> list[Fault]:
    found = []
    for row, value in enumerate(values):
        if value is None:
            continue
        if len(value) > longest or not is_clean(value):
            expected = f"at most {longest} characters and no control characters"
            found.append(Fault(row, Reason.OUT_OF_RANGE, f"{name} is {shown(value)}, expected {expected}"))
        elif filled and not value.strip():
            found.append(Fault(row, Reason.OUT_OF_RANGE, f"{name} is {shown(value)}, expected a text that is not blank"))
    return found


def _lonely(kind: type[Reading], members: Members) -> list[Fault]:
    if kind not in BELONGING:
        return []
    names, together = BELONGING[kind]
    absent = np.isnan([members.numbers[name] for name in names])
    bad = absent.any(axis=0) & ~absent.all(axis=0) if together else absent.all(axis=0)
    expected = f"expected {' and '.join(names)}, " + ("both or neither" if together else "at least one of them")
    return [Fault(row, Reason.BAD_SHAPE, expected) for row in np.flatnonzero(bad).tolist()]


def columns(members: Members, keep: Bools) -> dict[str, npt.NDArray[Any]]:
    """The quantised columns of the rows to keep, under the tables' names."""
    built: dict[str, npt.NDArray[Any]] = {}
    for name, numbers in members.numbers.items():
        if name.endswith("_deg") and name != "heading_deg":
            built[name.replace("_deg", "_e7")] = _e7(cast("Floats", numbers[keep]))
        else:
            built[name] = _SHAPES.get(name, _quantised)(name, numbers[keep])
    for name, states in members.states.items():
        built[name] = states[keep]
    built["hist"] = np.maximum(built["hist"], 0).astype(np.int8)
    for name, texts in members.texts.items():
        built[name] = np.array([text or "" for text, kept in zip(texts, keep, strict=True) if kept], dtype=np.str_)
    return built


def _e7(degrees: Floats) -> Int32s:
    missing = np.isnan(degrees)
    return np.where(missing, MISSING, np.rint(np.where(missing, 0, degrees) * 1e7)).astype(np.int32)


def _quantised(name: str, values: Ints | Floats) -> Floats:
    per_unit = PER_UNIT.get(name, 1)
    return np.rint(values * per_unit) / per_unit + 0.0  # a zero has no sign


def _heading(_name: str, values: Ints | Floats) -> Floats:
    return np.rint(values) % 360  # due north is 0, not 360


def _as_is(_name: str, values: Ints | Floats) -> Ints | Floats:
    return values


_SHAPES: dict[str, Callable[[str, Ints | Floats], Ints | Floats]] = {"t_ms": _as_is, "seq": _as_is, "heading_deg": _heading}
