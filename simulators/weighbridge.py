"""Places that serve one vehicle at a time, and what a weighbridge prints."""

import heapq
from dataclasses import dataclass

import numpy as np

from simulators.scenario import Scale

_SCATTER_KG = 10.0
"""Class III in service with e = 20 kg: within ±40 kg at 10 to 40 t, usually far better."""


class Deck:
    """Something that serves so many at a time: shovels, a weighbridge, tipping places. First come, first served."""

    def __init__(self, places: int) -> None:
        self._free_ms = [0] * places

    def take(self, t_ms: int, lasts_ms: int) -> int:
        """Occupy a place as soon as one is free; when that is."""
        begins = max(t_ms, self._free_ms[0])
        heapq.heapreplace(self._free_ms, begins + lasts_ms)
        return begins


@dataclass(frozen=True, eq=False, slots=True)
class Ticket:
    """Both weighings of one visit. Coming in full, gross is first; leaving full, tare is."""

    scale: Scale
    plate: str
    stream: str
    direction: str
    first_ms: int
    second_ms: int
    gross_kg: int
    tare_kg: int
    gross_limit_kg: int
    true_kg: float

    @property
    def net_kg(self) -> int:
        return self.gross_kg - self.tare_kg


def indicate(true_kg: float, interval_kg: int, rng: np.random.Generator) -> int:
    """What a weighbridge shows for a mass."""
    return round((true_kg + rng.normal(0.0, _SCATTER_KG)) / interval_kg) * interval_kg
