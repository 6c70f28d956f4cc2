"""The one clock that is handed to every part: wall time in service, something else where a district is played.

A clock is a callable without arguments that answers epoch milliseconds (UTC). Nothing else in the program reads the time of day.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

Clock = Callable[[], int]


def wall_ms() -> int:
    """The machine's time of day."""
    return time.time_ns() // 1_000_000


class ScaledClock:
    """Scenario time as an affine function of wall time, kept in a file so that several processes share it.

    A run that starts again goes on where the last one was seen: call `resume` once at start and `remember` now and then.
    """

    def __init__(self, path: Path, wall: Clock = wall_ms) -> None:
        self._path, self._wall = path, wall
        kept = json.loads(path.read_text(encoding="utf-8"))
        self._wall_ms, self._scenario_ms, self.speed = int(kept["wall_ms"]), int(kept["scenario_ms"]), float(kept["speed"])

    def __call__(self) -> int:
        return self._scenario_ms + int((self._wall() - self._wall_ms) * self.speed)

    @classmethod
    def resume(cls, path: Path, *, start_ms: int, speed: float, wall: Clock = wall_ms) -> "ScaledClock":
        """Start the clock at `start_ms`, or go on from where the clock in `path` was last seen, at this speed."""
        scenario_ms = int(json.loads(path.read_text(encoding="utf-8"))["seen_ms"]) if path.exists() else start_ms
        _write(path, {"wall_ms": wall(), "scenario_ms": scenario_ms, "seen_ms": scenario_ms, "speed": speed})
        return cls(path, wall)

    def remember(self) -> None:
        """Note the scenario time of now: the place from which a later run goes on."""
        anchor = {"wall_ms": self._wall_ms, "scenario_ms": self._scenario_ms, "seen_ms": self(), "speed": self.speed}
        _write(self._path, anchor)


class PlayedClock:
    """The scenario's own time while a day is played at once: whoever plays moves it, and it never goes back."""

    def __init__(self, start_ms: int) -> None:
        self._now_ms = start_ms

    def __call__(self) -> int:
        return self._now_ms

    def advance(self, to_ms: int) -> None:
        self._now_ms = max(self._now_ms, to_ms)


def _write(path: Path, state: dict[str, float]) -> None:
    """Replace the file in one step: another process may be reading it."""
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(state), encoding="utf-8")
    os.replace(beside, path)
