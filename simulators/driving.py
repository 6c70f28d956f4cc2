"""How a truck drives a polyline: spurts between red lights and turns, each accelerating, cruising and braking.

A drive is a table of phases of constant acceleration, so that place and speed at any instant follow in closed form.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from core.columns import Floats
from simulators.geography import Path, along, turns

_RED_SHARE = 0.3
_RED_S = (15.0, 60.0)
_TURN_MPS = 12 / 3.6


class Manner(NamedTuple):
    """How somebody drives."""

    cruise_kmh: float
    up_mps2: float
    down_mps2: float


LOADED = Manner(42.0, 0.5, 0.7)
EMPTY = Manner(48.0, 0.8, 0.9)
CREEPING = Manner(8.0, 0.5, 0.7)


@dataclass(frozen=True, eq=False, slots=True)
class Drive:
    """Phases of one drive, all shape (n,): from `t_s` on, place and speed begin at `at_m` and `v_mps` and change by `a_mps2`."""

    t_s: Floats
    at_m: Floats
    v_mps: Floats
    a_mps2: Floats
    duration_s: float


def drive(path: Path, from_m: float, to_m: float, manner: Manner, rng: np.random.Generator) -> Drive:
    """Drive a part of a polyline, from rest to rest."""
    at_m, pass_mps, wait_s = _hindrances(path, from_m, to_m, rng)
    length = np.diff(at_m)
    v0, v1, up, down = pass_mps[:-1], pass_mps[1:], manner.up_mps2, manner.down_mps2
    wish = manner.cruise_kmh / 3.6 * rng.uniform(0.8, 1.15, len(length))
    reachable = np.sqrt((2 * up * down * length + down * v0**2 + up * v1**2) / (up + down))
    peak = np.minimum(np.maximum(wish, _TURN_MPS), reachable)
    up_m, down_m = (peak**2 - v0**2) / (2 * up), (peak**2 - v1**2) / (2 * down)
    lasts = np.column_stack(((peak - v0) / up, (length - up_m - down_m) / peak, (peak - v1) / down, wait_s[1:])).ravel()
    begins = np.column_stack((at_m[:-1], at_m[:-1] + up_m, at_m[1:] - down_m, at_m[1:])).ravel()
    speed = np.column_stack((v0, peak, peak, np.zeros_like(v0))).ravel()
    gain = np.tile((up, 0.0, -down, 0.0), len(length))
    real = lasts > 1e-3
    ends = np.cumsum(lasts[real])
    return Drive(ends - lasts[real], begins[real], speed[real], gain[real], float(ends[-1]))


def _hindrances(path: Path, from_m: float, to_m: float, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Where the truck must slow down, how fast it passes there [m/s], and how long it waits [s]; the ends included."""
    at_m, sharp = along(path), turns(path)
    red = rng.random(len(path)) < _RED_SHARE
    wait = np.where(red, rng.uniform(*_RED_S, len(path)), 0.0)
    hinders = (red | sharp) & (at_m > from_m + 30) & (at_m < to_m - 30)
    passing = np.where(red[hinders], 0.0, _TURN_MPS)
    return (
        np.concatenate(([from_m], at_m[hinders], [to_m])),
        np.concatenate(([0.0], passing, [0.0])),
        np.concatenate(([0.0], wait[hinders], [0.0])),
    )
