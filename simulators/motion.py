"""What all trucks do, looked up at any instants at once: place, speed, load and states from their keyframes.

A lookup key packs the truck's row and the time into one integer, so that one search serves the whole fleet.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from core.columns import Bools, Floats, Ints
from simulators.geography import Path
from simulators.logbook import Logbook, Rails

_TRUCK = np.int64(1) << 30
"""A truck's share of the key space [ms]: about twelve days."""
_TOUCH_M = 1e-6


class Where(NamedTuple):
    """Place and speed at given instants."""

    point: Path
    speed_mps: Floats
    heading_rad: Floats  # counter-clockwise from east


@dataclass(frozen=True, eq=False, slots=True)
class Steps:
    """A state that holds from its key on."""

    keys: Ints
    states: Ints

    def at(self, keys: Ints) -> Ints:
        held: Ints = self.states[np.searchsorted(self.keys, keys, side="right") - 1]
        return held


@dataclass(frozen=True, eq=False, slots=True)
class Motion:
    """The keyframes of all trucks, in order of their keys."""

    begin_ms: int
    keys: Ints
    phases: npt.NDArray[np.float64]  # mark [m], speed [m/s], acceleration [m/s²]
    marks_m: Floats
    vertices: Path
    begins: Bools  # which vertices are the first of their rail
    load_keys: Ints
    load_kg: Floats
    body: Steps
    cover: Steps
    work: Steps

    @classmethod
    def of(cls, logs: list[Logbook], rails: Rails, begin_ms: int) -> "Motion":
        keys, phases = _stack([log.motion for log in logs], begin_ms)
        load_keys, load = _stack([log.load for log in logs], begin_ms)
        states = [Steps(keys, rows[:, 0].astype(np.int64)) for keys, rows in (_stack(_all(logs, name), begin_ms) for name in _STATES)]
        marks, vertices = rails.vertices()
        begins = np.isin(marks, rails.starts)
        return cls(begin_ms, keys, phases, marks, vertices, begins, load_keys, load[:, 0], *states)

    def key(self, truck: Ints, t_ms: Ints) -> Ints:
        return truck * _TRUCK + (t_ms - self.begin_ms)

    def place(self, truck: Ints, t_ms: Ints) -> Where:
        """Where trucks are at instants, exactly."""
        keys = self.key(truck, t_ms)
        phase = np.searchsorted(self.keys, keys, side="right") - 1
        mark, speed, gain = self.phases[phase].T
        dt_s = (keys - self.keys[phase]) / 1000
        at_m = mark + dt_s * (speed + 0.5 * gain * dt_s)
        vertex = np.searchsorted(self.marks_m, at_m - _TOUCH_M)
        vertex = vertex + self.begins[vertex]  # standing at the very start of a rail, a truck heads along it
        point = np.column_stack([np.interp(at_m, self.marks_m, self.vertices[:, axis]) for axis in (0, 1)])
        course = self.vertices[vertex] - self.vertices[vertex - 1]
        return Where(point, np.maximum(speed + gain * dt_s, 0.0), np.arctan2(course[:, 1], course[:, 0]))

    def working(self, from_ms: int, to_ms: int) -> tuple[Ints, Ints, Ints]:
        """Every span of work within [from, to): truck, begin and end."""
        begins = np.flatnonzero(self.work.states == 1)
        truck = self.work.keys[begins] // _TRUCK
        begin_ms, end_ms = (np.clip(self.work.keys[n] % _TRUCK + self.begin_ms, from_ms, to_ms) for n in (begins, begins + 1))
        return truck, begin_ms, end_ms

    def load(self, truck: Ints, t_ms: Ints) -> Floats:
        """True net load [kg]."""
        kg: Floats = np.interp(self.key(truck, t_ms), self.load_keys, self.load_kg)
        return kg


_STATES = ("body", "cover", "work")


def _all(logs: list[Logbook], name: str) -> list[list[tuple[Any, ...]]]:
    return [getattr(log, name) for log in logs]


def _stack(keyframes: "list[list[tuple[Any, ...]]]", begin_ms: int) -> tuple[Ints, npt.NDArray[np.float64]]:
    """Keys, and the other columns, of all trucks' keyframes."""
    rows = np.array([frame for frames in keyframes for frame in frames], dtype=np.float64)
    truck = np.repeat(np.arange(len(keyframes)), [len(frames) for frames in keyframes])
    return truck * _TRUCK + (rows[:, 0].astype(np.int64) - begin_ms), rows[:, 1:]
