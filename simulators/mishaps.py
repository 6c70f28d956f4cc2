"""What goes wrong between a sensor and the world: fixes that jump, clocks that lie, silence, and readings sent hours late."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from core.columns import Bools, Ints
from simulators.faults import Fault
from simulators.geography import to_deg
from simulators.scenario import Scenario
from simulators.sensing import Reports

BEHIND_MS = -8 * 3_600_000
"""A terminal that sends GMT+8 digits minus eight hours once too often."""
_AHEAD_MS = (3 * 3_600_000, 6 * 3_600_000)
_MINUTE_MS = 60_000
_JUMPS, _JUMP_ROWS, _JUMP_M = 10, 3, (4_000.0, 30_000.0)
_LATE_SPANS, _LATE_MIN, _LATE_WAIT_MIN = 10, (8, 40), (1, 20)
_SILENT_TRUCKS, _SILENT_MIN = 2, (40, 120)


def befall(scenario: Scenario, reports: Reports, day_ms: int, idle: list[int], rng: np.random.Generator) -> tuple[Reports, list[Fault]]:
    """Let a day's mishaps come over its readings.

    Silence and the clock that runs ahead befall trucks that are `idle` all day, so that no cycle is lost with them; the
    truck whose clock is behind has that fault every day.
    """
    silent_and_ahead = rng.choice(idle, _SILENT_TRUCKS + 1, replace=False).tolist()
    chosen = np.isin(reports.truck, [*silent_and_ahead, scenario.trucks.index(scenario.clock_behind)])
    steps: list[Callable[[Reports], tuple[Reports, list[Fault]]]] = [
        lambda now: _jump(scenario, now, ~chosen, rng),
        lambda now: _hold(scenario, now, ~chosen, rng),
        lambda now: _run_ahead(scenario, now, silent_and_ahead[0], day_ms, rng),
        lambda now: _lag(scenario, now),
        lambda now: _silence(scenario, now, silent_and_ahead[1:], day_ms, rng),
    ]
    faults: list[Fault] = []
    for step in steps:
        reports, planted = step(reports)
        faults += planted
    return reports, faults


def _jump(scenario: Scenario, reports: Reports, able: Bools, rng: np.random.Generator) -> tuple[Reports, list[Fault]]:
    """One to three fixes of a driving truck lie kilometres away."""
    lat, lon = reports.lat_deg.copy(), reports.lon_deg.copy()
    driving = np.flatnonzero(able & (reports.speed_kmh > 15) & ~np.isnan(lat))
    faults = []
    for row in rng.choice(driving, _JUMPS, replace=False).tolist():
        rows = np.arange(row, row + int(rng.integers(1, _JUMP_ROWS + 1)))
        rows = rows[reports.truck[np.minimum(rows, len(reports) - 1)] == reports.truck[row]]
        metres, course = rng.uniform(*_JUMP_M), rng.uniform(0.0, 2 * np.pi)
        shift_deg = to_deg(metres * np.array((np.cos(course), np.sin(course)))) - to_deg(np.zeros(2))
        lon[rows] += shift_deg[0]
        lat[rows] += shift_deg[1]
        faults.append(_fault(scenario, reports, "gps_jump", rows, metres, "m"))
    return replace(reports, lat_deg=lat, lon_deg=lon), faults


def _hold(scenario: Scenario, reports: Reports, able: Bools, rng: np.random.Generator) -> tuple[Reports, list[Fault]]:
    """A blind spot: what a terminal could not send it keeps, and sends afterwards marked as history."""
    held = reports.held_ms.copy()
    faults = []
    for row in rng.choice(np.flatnonzero(able & (reports.speed_kmh > 15)), _LATE_SPANS, replace=False).tolist():
        ends = int(reports.true_ms[row] + rng.uniform(*_LATE_MIN) * _MINUTE_MS)
        rows = np.flatnonzero((reports.truck == reports.truck[row]) & (reports.true_ms >= reports.true_ms[row]) & (reports.true_ms <= ends))
        rows = rows[held[rows] < 0]
        if len(rows):
            held[rows] = ends + int(rng.uniform(*_LATE_WAIT_MIN) * _MINUTE_MS)
            faults.append(_fault(scenario, reports, "late_batch", rows, len(rows), "readings"))
    return replace(reports, held_ms=held), faults


def _run_ahead(scenario: Scenario, reports: Reports, truck: int, day_ms: int, rng: np.random.Generator) -> tuple[Reports, list[Fault]]:
    """A clock that is hours ahead for some hours."""
    begins = day_ms + int(rng.uniform(6, 14) * 60) * _MINUTE_MS
    rows = _within(reports, truck, begins, begins + int(rng.uniform(3, 6) * 60) * _MINUTE_MS)
    ahead = int(rng.uniform(*_AHEAD_MS)) // 1000 * 1000
    t_ms = reports.t_ms.copy()
    t_ms[rows] += ahead
    gap = _gap(scenario, reports, rows)._replace(note="its readings are in quarantine")
    return replace(reports, t_ms=t_ms), [_fault(scenario, reports, "clock_ahead", rows, ahead, "ms"), gap]


def _lag(scenario: Scenario, reports: Reports) -> tuple[Reports, list[Fault]]:
    """The clock that has always been behind."""
    rows = np.flatnonzero(reports.truck == scenario.trucks.index(scenario.clock_behind))
    t_ms = reports.t_ms.copy()
    t_ms[rows] += BEHIND_MS
    return replace(reports, t_ms=t_ms), [_fault(scenario, reports, "clock_behind", rows, BEHIND_MS, "ms")]


def _silence(scenario: Scenario, reports: Reports, trucks: list[int], day_ms: int, rng: np.random.Generator) -> tuple[Reports, list[Fault]]:
    """Terminals without power: these readings were never made."""
    spans = [(truck, day_ms + int(rng.uniform(2, 20) * 60) * _MINUTE_MS, int(rng.uniform(*_SILENT_MIN)) * _MINUTE_MS) for truck in trucks]
    lost = [(truck, _within(reports, truck, begins, begins + lasts)) for truck, begins, lasts in spans]
    faults = [_gap(scenario, reports, rows) for _, rows in lost]
    kept = np.ones(len(reports), dtype=bool)
    kept[np.concatenate([rows for _, rows in lost])] = False
    return reports.take(kept), faults


def _gap(scenario: Scenario, reports: Reports, missing: Ints) -> Fault:
    """The silence that missing readings leave, from the reading before them to the one after."""
    around = np.array((missing[0] - 1, missing[-1] + 1))
    return _fault(scenario, reports, "gap", around, np.diff(reports.true_ms[around])[0], "ms")


def _within(reports: Reports, truck: int, from_ms: int, to_ms: int) -> Ints:
    return np.flatnonzero((reports.truck == truck) & (reports.true_ms >= from_ms) & (reports.true_ms < to_ms))


def _fault(scenario: Scenario, reports: Reports, kind: str, rows: Ints, size: float, unit: str) -> Fault:
    truck = scenario.trucks[int(reports.truck[rows[0]])]
    return Fault(kind, "truck", truck.id, int(reports.true_ms[rows[0]]), int(reports.true_ms[rows[-1]]), round(float(size), 1), unit)
