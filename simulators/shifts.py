"""One shift-day of the fleet, from 07:00 to 07:00, as a discrete-event simulation.

Every truck stands empty in its yard at 07:00, so shift-days fit together however each was drawn, and night work crosses midnight
undivided.
"""

import heapq
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from core.columns import Floats, Ints
from simulators.faults import Fault, Job, Mischief, plant
from simulators.geography import Path, distance_m
from simulators.haul import Cycle, Ground, Haul, Place
from simulators.logbook import Logbook
from simulators.motion import Motion
from simulators.scenario import Scenario, Truck
from simulators.weighbridge import Ticket
from simulators.wujin import MEAN_DAY_KG

SHIFT_HOUR = 7
_HOUR_MS = 3_600_000
_CORRIDOR_M = 50.0
_MEAN_LAWFUL_SHARE = 0.93  # of lawful loads and the few overloads together


@dataclass(frozen=True, slots=True)
class Stuck:
    """A load sensor that repeats one value."""

    truck: int
    from_ms: int
    to_ms: int
    load_kg: float


@dataclass(frozen=True, slots=True)
class Shift:
    """Everything that happens in one shift-day. Logbooks and rails are kept as the motion that they tell."""

    motion: Motion
    cycles: list[Cycle]
    tickets: list[Ticket]
    faults: list[Fault]
    stuck: list[Stuck]
    active: frozenset[int]


def local_ms(scenario: Scenario, day: date, hour: int = 0) -> int:
    """The instant of an hour of a local day."""
    return int(datetime.combine(day, time(hour), ZoneInfo(scenario.zone)).timestamp()) * 1000


@lru_cache(maxsize=3)
def play_shift(scenario: Scenario, day: date) -> Shift:
    """Simulate the shift-day that begins on a date; an operating day needs the one before it, too."""
    rng = np.random.default_rng((scenario.seed, day.toordinal(), 1))
    begin_ms, midnight_ms = local_ms(scenario, day, SHIFT_HOUR), local_ms(scenario, day + timedelta(days=1))
    jobs = _jobs(scenario, day, rng)
    stuck_job = _stuck_job(scenario, jobs)
    smart = [truck.type == "smart" for truck in scenario.trucks]
    planted = plant([job for job in jobs if job is not stuck_job], smart, rng)
    ground = Ground.of(scenario, midnight_ms)
    logs = [_parked(ground, truck, begin_ms) for truck in scenario.trucks]
    hauls = [_haul(ground, job, logs[job.truck], planted, (scenario.seed, day.toordinal(), 2, job.truck)) for job in jobs]
    if stuck_job is not None:
        hauls[jobs.index(stuck_job)].sensor = "stuck"
    _run(hauls)
    motion = Motion.of(logs, ground.rails, begin_ms)
    stuck = [] if stuck_job is None else [_freeze(stuck_job, logs[stuck_job.truck], rng)]
    faults = [*ground.faults, *(_repeats(scenario, one) for one in stuck)]
    faults += [_detour(motion, scenario, cycle) for cycle in ground.cycles if cycle.mischief == "off_route"]
    return Shift(motion, ground.cycles, ground.tickets, faults, stuck, frozenset(job.truck for job in jobs))


def _jobs(scenario: Scenario, day: date, rng: np.random.Generator) -> list[Job]:
    """Send out as many trucks as the day's muck needs, drawn at random; the one with the slow clock always works."""
    wanted_kg = MEAN_DAY_KG * float(np.clip(rng.normal(1.0, 0.08), 0.84, 1.16))
    order = rng.permutation(len(scenario.trucks)).tolist()
    order.sort(key=lambda row: scenario.trucks[row] is not scenario.clock_behind)
    jobs: list[Job] = []
    while wanted_kg > 0:
        row = order[len(jobs)]
        truck = scenario.trucks[row]
        start_ms = _start(scenario, truck, day, rng)
        jobs.append(Job(row, start_ms, int(rng.integers(2, 4)), truck.type == "other" or truck is scenario.clock_behind))
        wanted_kg -= jobs[-1].cycles * _MEAN_LAWFUL_SHARE * min(truck.rated_kg, truck.gross_limit_kg - truck.tare_kg)
    return sorted(jobs, key=lambda job: (job.start_ms, job.truck))


def _start(scenario: Scenario, truck: Truck, day: date, rng: np.random.Generator) -> int:
    """When a truck leaves its yard: night work begins from seven in the evening on, day work from nine to half past eleven."""
    if scenario.permit_of[truck.id].night:
        return local_ms(scenario, day, 19) + int(rng.beta(1.2, 1.6) * 7.5 * _HOUR_MS)
    return local_ms(scenario, day, 9) + int(rng.uniform(0.0, 2.5) * _HOUR_MS)


def _stuck_job(scenario: Scenario, jobs: list[Job]) -> Job | None:
    """A smart truck whose tonnes a weighbridge knows."""
    for job in jobs:
        truck = scenario.trucks[job.truck]
        if truck.type == "smart" and not job.clean and scenario.permit_of[truck.id].route.to_site.id in scenario.scale_at:
            return job
    return None


def _freeze(job: Job, log: Logbook, rng: np.random.Generator) -> Stuck:
    return Stuck(job.truck, log.work[1][0], log.work[-1][0], float(rng.integers(5, 40) * 10))


def _repeats(scenario: Scenario, stuck: Stuck) -> Fault:
    return Fault("stuck_load", "truck", scenario.trucks[stuck.truck].id, stuck.from_ms, stuck.to_ms, stuck.load_kg, "kg")


def _parked(ground: Ground, truck: Truck, begin_ms: int) -> Logbook:
    assert truck.slot is not None  # noqa: S101 (only trucks with a terminal are played)
    return Logbook.parked(begin_ms, ground.rails.lay(np.vstack((truck.slot, truck.company.depot.centre))))


def _haul(ground: Ground, job: Job, log: Logbook, planted: dict[tuple[int, int], Mischief], seed: tuple[int, ...]) -> Haul:
    truck = ground.scenario.trucks[job.truck]
    assert truck.slot is not None  # noqa: S101 (only trucks with a terminal are played)
    mischief = {number: one for (row, number), one in planted.items() if row == job.truck}
    place = Place(log.motion[0][1], truck.slot, truck.company.depot.block)
    sensor = "state" if truck.type == "other" else "weight"
    return Haul(ground, job, truck, log, mischief, np.random.default_rng(seed), place, sensor)


def _run(hauls: list[Haul]) -> None:
    """Resume each truck in the order of the instants at which they arrive."""
    works = [haul.work() for haul in hauls]
    due = [(next(work), turn) for turn, work in enumerate(works)]
    heapq.heapify(due)
    while due:
        _, turn = heapq.heappop(due)
        arrives = next(works[turn], None)
        if arrives is not None:
            heapq.heappush(due, (arrives, turn))


def _detour(motion: Motion, scenario: Scenario, cycle: Cycle) -> Fault:
    """Measure when a truck was outside its corridor, and how far."""
    t_ms: Ints = np.arange(cycle.depart_ms, cycle.arrive_ms, 1_000)
    row = scenario.trucks.index(cycle.truck)
    points: Path = motion.place(np.full(len(t_ms), row), t_ms).point
    away: Floats = distance_m(points, cycle.permit.route.path)
    outside = np.flatnonzero(away > _CORRIDOR_M)
    return Fault("off_route", "truck", cycle.truck.id, int(t_ms[outside[0]]), int(t_ms[outside[-1]]), round(float(away.max()), 1), "m")
