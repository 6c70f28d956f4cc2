"""What one truck does in one shift, written down as keyframes: motion, load, body, cover and whether it works.

The truck's own day is told once, in order; readings are then looked up at any instant (see sensing.py).
"""

from dataclasses import dataclass, field

import numpy as np

from core.columns import Floats, Ints
from simulators.driving import Drive
from simulators.geography import Path, along


class Rails:
    """Polylines laid end to end, so that one number, the mark [m], names a place on any of them."""

    def __init__(self) -> None:
        self._paths: list[Path] = []
        self._starts: list[float] = [0.0]  # of each polyline, and of the one to come

    def lay(self, path: Path) -> float:
        """Add a polyline; the mark of its first vertex."""
        start = self._starts[-1]
        self._paths.append(path)
        self._starts.append(start + float(along(path)[-1]) + 1.0)
        return start

    @property
    def starts(self) -> Floats:
        """Marks of the first vertex of each polyline."""
        return np.array(self._starts[:-1])

    def vertices(self) -> tuple[Floats, Path]:
        """Marks and points of all vertices, in order of the marks."""
        marks = [start + along(path) for start, path in zip(self._starts[:-1], self._paths, strict=True)]
        return np.concatenate(marks), np.concatenate(self._paths)


@dataclass(slots=True)
class Logbook:
    """Keyframes of one truck. Motion holds from its time on; states step; the load changes linearly between its points."""

    motion: list[tuple[int, float, float, float]] = field(default_factory=list)  # t_ms, mark [m], v [m/s], a [m/s²]
    load: list[tuple[int, float]] = field(default_factory=list)  # t_ms, kg
    body: list[tuple[int, int]] = field(default_factory=list)  # t_ms, up
    cover: list[tuple[int, int]] = field(default_factory=list)  # t_ms, open
    work: list[tuple[int, int]] = field(default_factory=list)  # t_ms, engine on

    @classmethod
    def parked(cls, t_ms: int, mark: float) -> "Logbook":
        """A truck that stands empty, closed and switched off."""
        return cls([(t_ms, mark, 0.0, 0.0)], [(t_ms, 0.0)], [(t_ms, 0)], [(t_ms, 0)], [(t_ms, 0)])

    def stand(self, t_ms: int, mark: float) -> None:
        self.motion.append((t_ms, mark, 0.0, 0.0))

    def drive(self, t_ms: int, start: float, drive: Drive) -> int:
        """Write down a drive on a rail whose first mark is `start`; the time of arrival."""
        times: Ints = t_ms + np.round(drive.t_s * 1000).astype(np.int64)
        marks = start + drive.at_m
        self.motion.extend(zip(times.tolist(), marks.tolist(), drive.v_mps.tolist(), drive.a_mps2.tolist(), strict=True))
        return t_ms + round(drive.duration_s * 1000)

    def change_load(self, t_ms: int, lasts_ms: int, kg: float) -> None:
        """The load changes to `kg` within `lasts_ms`."""
        self.load.append((t_ms, self.load[-1][1]))
        self.load.append((t_ms + lasts_ms, kg))
