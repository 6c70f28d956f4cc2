"""What the terminals report of a day: the motion sampled at their cadence, seen through imperfect sensors.

A reading belongs to the operating day in which it was truly taken. Sampling grids are anchored to absolute time and each
truck's drift is a function of absolute time, so that consecutive days fit together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.columns import UNKNOWN, Bools, Columns, Floats, Ints, States
from simulators.geography import Path, to_deg
from simulators.motion import Motion
from simulators.scenario import Scenario, Truck
from simulators.shifts import Shift, Stuck

PARKED_MS = 300_000
_FIX_SCATTER_M = 3.0
_LOST_FIX_SHARE = 0.002
_DRIFT_SHARE = 0.011  # of gross, each of two slow waves: ±2.2 % at most, 1.1 % rms
_ROLLING_SHARE, _STANDING_SHARE = 0.011, 0.0025  # of gross: white noise of the load
_HALF_SHARE, _FULL_SHARE = 0.25, 0.6  # of the rated payload, for terminals that know three states only
_DAY_MS = 86_400_000


@dataclass(frozen=True, eq=False, slots=True)
class Reports(Columns):
    """Readings as the terminals make them, in order of (truck, true time)."""

    truck: Ints  # row in scenario.trucks
    true_ms: Ints
    t_ms: Ints  # by the device's clock
    seq: Ints  # the device's counter, from local midnight
    held_ms: Ints  # a stored reading is sent from here on; -1: sent as it is made
    lat_deg: Floats
    lon_deg: Floats
    speed_kmh: Floats
    heading_deg: Floats
    load_kg: Floats
    load_state: States
    body_up: States
    cover_open: States


def sense(scenario: Scenario, shift: Shift, from_ms: int, to_ms: int, rng: np.random.Generator) -> Reports:
    """Readings truly taken in [from, to), which must lie in the shift-day; sequence numbers are not yet given."""
    truck, t_ms = _instants(shift.motion, scenario.trucks, from_ms, to_ms)
    where = shift.motion.place(truck, t_ms)
    keys = shift.motion.key(truck, t_ms)
    rolling, parked = where.speed_mps > 0.1, shift.motion.work.at(keys) == 0
    position = _fix(where.point, rng)
    true_load = shift.motion.load(truck, t_ms)
    load = _weigh(scenario.trucks, truck, t_ms, true_load, rolling, rng)
    for stuck in shift.stuck:
        load[_while_stuck(stuck, truck, t_ms)] = stuck.load_kg
    kind = np.array([truck.type for truck in scenario.trucks])[truck]
    return Reports.of(
        truck=truck,
        true_ms=t_ms,
        t_ms=t_ms,
        seq=np.zeros_like(t_ms),
        held_ms=np.full_like(t_ms, -1),
        lat_deg=position[:, 1],
        lon_deg=position[:, 0],
        speed_kmh=_speed(where.speed_mps, rolling, parked, rng),
        heading_deg=(90.0 - np.degrees(where.heading_rad) + rolling * rng.normal(0.0, 2.0, len(t_ms))).round() % 360,
        load_kg=np.where(kind == "other", np.nan, load),
        load_state=np.where(kind == "other", _state(scenario.trucks, truck, true_load), UNKNOWN),
        body_up=np.where(kind == "other", UNKNOWN, shift.motion.body.at(keys)),
        cover_open=np.where(kind == "smart", shift.motion.cover.at(keys), UNKNOWN),
    )


def _instants(motion: Motion, trucks: Sequence[Truck], from_ms: int, to_ms: int) -> tuple[Ints, Ints]:
    """When each truck makes a reading: (truck, time), in this order."""
    rows = np.arange(len(trucks))
    idle_truck, idle_ms = _grid(rows, np.full(len(rows), from_ms), np.full(len(rows), to_ms), np.full(len(rows), PARKED_MS))
    idle = motion.work.at(motion.key(idle_truck, idle_ms)) == 0
    truck, begins, ends = motion.working(from_ms, to_ms)
    cadence = np.array([truck.cadence_ms for truck in trucks])[truck]
    busy_truck, busy_ms = _grid(truck, begins, ends, cadence)
    all_trucks, all_ms = np.concatenate((idle_truck[idle], busy_truck)), np.concatenate((idle_ms[idle], busy_ms))
    order = np.lexsort((all_ms, all_trucks))
    return all_trucks[order], all_ms[order]


def _grid(truck: Ints, from_ms: Ints, to_ms: Ints, cadence_ms: Ints) -> tuple[Ints, Ints]:
    """Multiples of a cadence, moved by a whole number of seconds of the truck's own, within each [from, to)."""
    moved = truck * 7_919 * 1_000 % cadence_ms
    first = -(-(from_ms - moved) // cadence_ms)
    count = np.maximum(-(-(to_ms - moved) // cadence_ms) - first, 0)
    row = np.repeat(np.arange(len(truck)), count)
    nth = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return truck[row], (first[row] + nth) * cadence_ms[row] + moved[row]


def _fix(point: Path, rng: np.random.Generator) -> Path:
    """Positions in degrees, scattered, some of them lost (NaN)."""
    position = to_deg(point + rng.normal(0.0, _FIX_SCATTER_M, point.shape))
    position[rng.random(len(point)) < _LOST_FIX_SHARE] = np.nan
    return position


def _speed(speed_mps: Floats, rolling: Bools, parked: Bools, rng: np.random.Generator) -> Floats:
    jitter = rng.normal(0.0, np.where(rolling, 0.25, 0.12))
    return np.where(parked, 0.0, np.abs(speed_mps + jitter) * 3.6).round(1)


def _weigh(trucks: Sequence[Truck], truck: Ints, t_ms: Ints, true_kg: Floats, rolling: Bools, rng: np.random.Generator) -> Floats:
    """The on-board sensor: a slow drift and white noise, both in proportion to gross mass, in steps of 10 kg."""
    gross = true_kg + np.array([one.tare_kg for one in trucks])[truck]
    noise = rng.normal(0.0, np.where(rolling, _ROLLING_SHARE, _STANDING_SHARE))
    shown: Floats = (true_kg + gross * (_drift(truck, t_ms) + noise)).round(-1)
    return shown


def _drift(truck: Ints, t_ms: Ints) -> Floats:
    """Relative error of each truck's sensor at an instant: two waves of some days, different for every truck."""
    days = t_ms / _DAY_MS
    slow, fast = 4.0 + truck * 0.37 % 5.0, 1.3 + truck * 0.61 % 2.0
    drift: Floats = _DRIFT_SHARE * (np.sin(2 * np.pi * days / slow + truck) + np.sin(2 * np.pi * days / fast + 2.4 * truck))
    return drift


def _while_stuck(stuck: Stuck, truck: Ints, t_ms: Ints) -> Bools:
    held: Bools = (truck == stuck.truck) & (t_ms >= stuck.from_ms) & (t_ms < stuck.to_ms)
    return held


def _state(trucks: Sequence[Truck], truck: Ints, true_kg: Floats) -> Ints:
    share = true_kg / np.array([one.rated_kg for one in trucks])[truck]
    state: Ints = np.searchsorted((_HALF_SHARE, _FULL_SHARE), share)
    return state
