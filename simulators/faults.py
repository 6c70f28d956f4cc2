"""What goes wrong on purpose: the planted faults of a shift, and how each is remembered in the truth."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Fault(NamedTuple):
    """A planted fault: who, when, and how large."""

    kind: str
    asset_kind: str
    asset: str
    start_ms: int  # true time
    end_ms: int
    size: float
    unit: str
    note: str = ""


class Mischief(NamedTuple):
    """What shall go wrong in one cycle."""

    kind: str
    size: float


@dataclass(frozen=True, slots=True)
class Job:
    """One truck's work in one shift."""

    truck: int  # row in scenario.trucks
    start_ms: int
    cycles: int
    clean: bool  # nothing shall go wrong: another fault already makes this truck hard to read


# How often each thing goes wrong in a shift of mean size, and the range of its size.
_PLANTED: tuple[tuple[str, int, tuple[float, float]], ...] = (
    ("overload", 14, (1.10, 1.60)),  # of the lawful payload
    ("spillage", 4, (1_400.0, 3_200.0)),  # kg
    ("illegal_dump", 3, (0.0, 0.0)),
    ("off_route", 4, (2.0, 3.0)),  # blocks to the side
    ("open_cover", 6, (0.0, 0.0)),
)


def plant(jobs: list[Job], smart: list[bool], rng: np.random.Generator) -> dict[tuple[int, int], Mischief]:
    """Choose which cycles go wrong, keyed by (truck, number of the cycle); at most one thing in a cycle.

    Covers and spilt loads are given to smart trucks, whose terminals know a cover and report often enough to show a step.
    """
    slots = [(job.truck, n) for job in jobs if not job.clean for n in range(job.cycles)]
    rng.shuffle(slots)
    planted: dict[tuple[int, int], Mischief] = {}
    for kind, count, sizes in _PLANTED:
        able = [slot for slot in slots if slot not in planted and (smart[slot[0]] or kind not in ("spillage", "open_cover"))]
        planted.update({slot: Mischief(kind, float(rng.uniform(*sizes))) for slot in able[:count]})
    return planted
