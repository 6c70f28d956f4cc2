"""One day of the landfill, the incinerator and the transfer stations: whoever comes there has no terminal, only a plate.

Same-day clearing holds: what a station takes in leaves by container before midnight, so its stock is nothing when a day begins.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from itertools import cycle
from typing import NamedTuple

import numpy as np

from core.columns import Ints
from simulators.scenario import Scale, Scenario, Station, Truck
from simulators.shifts import local_ms
from simulators.weighbridge import Deck, Ticket, indicate

_MINUTE_MS = 60_000
_LEVEL_MS = 5 * _MINUTE_MS
_DAY_SPREAD = 0.04
_DEEP_M3 = 20.0
_LEACHATE_M3_PER_T = 0.12
_PUMPING_H = (8, 23)


class Flow(NamedTuple):
    """A stream that vehicles bring to a scale, per mean day."""

    stream: str
    scale: str
    t_per_day: float
    load_kg: tuple[float, float]  # mean, deviation


_DIRECT = (
    Flow(
        "domestic",
        "landfill",
        612.0 - 320.0 - 8.0,  # the overweight loads below bring some 8 t more than ordinary ones
        (8_400.0, 900.0),
    ),
    Flow("domestic", "incinerator", 424_800 / 365 - 185.0, (8_800.0, 900.0)),
    Flow("kitchen", "incinerator", 37_761.01 / 365, (5_100.0, 600.0)),
)
_ASH_T_PER_DAY, _ASH_KG = 42_200 / 365, (14_400.0, 300.0)
_COLLECTED_KG, _CONTAINER_KG = (4_600.0, 600.0), (15_200.0, 300.0)
_BULKY_EVERY_DAYS, _BULKY_KG = 12, 3_422.0
_HEAVY_LOADS, _HEAVY_KG = 2, (1_200.0, 3_000.0)  # loads a day that exceed the gross limit, and by how much


@dataclass(frozen=True, slots=True)
class Movement:
    """What a transfer station's own software notes."""

    station: Station
    t_ms: int
    mass_kg: int
    stream: str
    direction: str
    plate: str


@dataclass(frozen=True, eq=False, slots=True)
class Levels:
    """What a station holds, every five minutes."""

    station: Station
    t_ms: Ints
    stock_kg: Ints
    leachate_dm3: Ints


@dataclass(frozen=True, slots=True)
class Trip:
    """A load on its way: perhaps past a station, then over scales."""

    begin_ms: int
    kind: str  # of vehicle
    stream: str
    kg: float
    station: Station | None = None
    direction: str = "in"
    scales: tuple[tuple[str, str, int], ...] = ()  # scale, direction, arrival
    heavy_kg: float = 0.0  # make it exceed the gross limit by this


@dataclass(frozen=True, slots=True)
class FacilityDay:
    """Everything that facilities report in one day."""

    tickets: list[Ticket]
    movements: list[Movement]
    levels: list[Levels]


def play_facilities(scenario: Scenario, day: date) -> FacilityDay:
    """Simulate one operating day of all facilities."""
    rng = np.random.default_rng((scenario.seed, day.toordinal(), 4))
    midnight = local_ms(scenario, day)
    trips = [trip for station in scenario.stations for trip in _through(station, midnight, rng)]
    trips += [trip for flow in _DIRECT for trip in _straight(flow, midnight, rng)]
    trips += _ash(midnight, rng)
    if day.toordinal() % _BULKY_EVERY_DAYS == 0:
        trips.append(_to_scale(midnight + 10 * 60 * _MINUTE_MS, Flow("bulky", "incinerator", 0.0, (0.0, 0.0)), _BULKY_KG))
    trips.sort(key=lambda trip: trip.begin_ms)
    manned = list(zip(trips, _vehicles(scenario, trips), strict=True))
    movements = [_move(trip, vehicle, rng) for trip, vehicle in manned if trip.station]
    tickets = _weigh({scale.id: scale for scale in scenario.scales}, manned, rng)
    return FacilityDay(tickets, movements, [_levels(station, movements, midnight) for station in scenario.stations])


def _loads(mean_t: float, load_kg: tuple[float, float], rng: np.random.Generator) -> list[float]:
    """Masses of the day's loads."""
    wanted = mean_t * 1000 * float(np.clip(rng.normal(1.0, _DAY_SPREAD), 0.9, 1.1))
    count = max(round(wanted / load_kg[0]), 1)
    loads = np.clip(rng.normal(*load_kg, count), load_kg[0] - 2.5 * load_kg[1], load_kg[0] + 2.5 * load_kg[1])
    kg: list[float] = (loads * wanted / loads.sum()).tolist()
    return kg


def _arrivals(midnight: int, count: int, rng: np.random.Generator) -> list[int]:
    """Collection comes in a morning and an afternoon wave, between half past five and eight."""
    hours = np.where(rng.random(count) < 0.6, rng.normal(8.0, 1.2, count), rng.normal(15.5, 1.8, count))
    hours = np.where((hours > 5.5) & (hours < 20.0), hours, rng.uniform(6.0, 18.0, count))
    times: list[int] = np.sort(midnight + (hours * 60 * _MINUTE_MS).astype(np.int64)).tolist()
    return times


def _through(station: Station, midnight: int, rng: np.random.Generator) -> Iterator[Trip]:
    """Collection vehicles come in; a container leaves whenever one is full, and the last one takes the rest."""
    loads = _loads(station.mean_t_per_day, _COLLECTED_KG, rng)
    stock = 0
    for t_ms, kg in zip(_arrivals(midnight, len(loads), rng), loads, strict=True):
        mass = round(kg / 10) * 10
        yield Trip(t_ms, "collection", "domestic", mass, station)
        stock += mass
        full = round(rng.normal(*_CONTAINER_KG) / 10) * 10
        if stock >= full:
            stock -= full
            yield _container(station, t_ms + 6 * _MINUTE_MS, full, rng)
    if stock > 0:
        yield _container(station, midnight + 21 * 60 * _MINUTE_MS, stock, rng)


def _container(station: Station, t_ms: int, kg: float, rng: np.random.Generator) -> Trip:
    arrives = t_ms + int(rng.uniform(30, 50) * _MINUTE_MS)
    return Trip(t_ms, "container", "domestic", kg, station, "out", ((station.to_scale, "in", arrives),))


def _straight(flow: Flow, midnight: int, rng: np.random.Generator) -> Iterator[Trip]:
    loads = _loads(flow.t_per_day, flow.load_kg, rng)
    heavy = set(rng.choice(len(loads), _HEAVY_LOADS, replace=False).tolist()) if flow.scale == "landfill" else set()
    for turn, (t_ms, kg) in enumerate(zip(_arrivals(midnight, len(loads), rng), loads, strict=True)):
        trip = _to_scale(t_ms, flow, kg)
        yield replace(trip, heavy_kg=float(rng.uniform(*_HEAVY_KG))) if turn in heavy else trip


def _to_scale(t_ms: int, flow: Flow, kg: float) -> Trip:
    return Trip(t_ms, "collection", flow.stream, kg, scales=((flow.scale, "in", t_ms),))


def _ash(midnight: int, rng: np.random.Generator) -> Iterator[Trip]:
    """Fly ash leaves the incinerator over its scale and is weighed again at the landfill."""
    loads = _loads(_ASH_T_PER_DAY, _ASH_KG, rng)
    for t_ms, kg in zip(_arrivals(midnight, len(loads), rng), loads, strict=True):
        arrives = t_ms + int(rng.uniform(75, 100) * _MINUTE_MS)
        yield Trip(t_ms, "container", "fly_ash", kg, scales=(("incinerator", "out", t_ms), ("landfill", "in", arrives)))


def _vehicles(scenario: Scenario, trips: list[Trip]) -> Iterator[Truck]:
    """The vehicle of each trip: in turns, so that none is in two places at once."""
    pools = {kind: cycle([one for one in scenario.vehicles if one.type == kind]) for kind in ("collection", "container")}
    return (next(pools[trip.kind]) for trip in trips)


def _move(trip: Trip, vehicle: Truck, rng: np.random.Generator) -> Movement:
    assert trip.station is not None  # noqa: S101 (the caller asks for these only)
    return Movement(trip.station, trip.begin_ms, int(trip.kg), trip.stream, trip.direction, vehicle.plate)


def _weigh(scales: dict[str, Scale], manned: list[tuple[Trip, Truck]], rng: np.random.Generator) -> list[Ticket]:
    """Both weighings of every visit, each scale serving one vehicle at a time in the order of their arrival."""
    decks = {key: Deck(1) for key in scales}
    visits = [(trip, vehicle, *visit) for trip, vehicle in manned for visit in trip.scales]
    due: list[tuple[int, int, int]] = [(arrives, n, 0) for n, (*_, arrives) in enumerate(visits)]  # arrival, visit, first weighing
    heapq.heapify(due)
    tickets = []
    while due:
        arrives, n, first = heapq.heappop(due)
        trip, vehicle, key, direction, _ = visits[n]
        weighed = decks[key].take(arrives, 60_000) + 40_000
        if not first:
            heapq.heappush(due, (weighed + int(rng.uniform(6, 14) * _MINUTE_MS), n, weighed))
        else:
            tickets.append(_ticket(scales[key], trip, vehicle, direction, (first, weighed), rng))
    return tickets


def _ticket(scale: Scale, trip: Trip, vehicle: Truck, direction: str, at_ms: tuple[int, int], rng: np.random.Generator) -> Ticket:
    tare = vehicle.tare_kg + float(rng.normal(0.0, 40.0))
    kg = vehicle.gross_limit_kg - tare + trip.heavy_kg if trip.heavy_kg else trip.kg
    gross_kg, tare_kg = (indicate(mass, scale.interval_kg, rng) for mass in (tare + kg, tare))
    return Ticket(scale, vehicle.plate, trip.stream, direction, *at_ms, gross_kg, tare_kg, vehicle.gross_limit_kg, kg)


def _levels(station: Station, movements: list[Movement], midnight: int) -> Levels:
    """Stock is what came in and has not left; leachate runs out of it and is pumped away by night."""
    own = sorted((move for move in movements if move.station is station), key=lambda move: move.t_ms)
    t_ms = midnight + np.arange(0, 24 * 60 * _MINUTE_MS, _LEVEL_MS)
    at = np.array([move.t_ms for move in own])
    came = np.array([move.mass_kg * (move.direction == "in") for move in own])
    left = np.array([move.mass_kg * (move.direction == "out") for move in own])
    came_so_far, left_so_far = (np.concatenate(([0], np.cumsum(mass)))[np.searchsorted(at, t_ms, side="right")] for mass in (came, left))
    hours = (t_ms - midnight) / (60 * _MINUTE_MS)
    pumped = np.clip((hours - _PUMPING_H[0]) / (_PUMPING_H[1] - _PUMPING_H[0]), 0.0, 1.0) * came.sum()
    leachate = _DEEP_M3 + (came_so_far - pumped) / 1000 * _LEACHATE_M3_PER_T
    return Levels(station, t_ms, came_so_far - left_so_far, (leachate * 10).round().astype(np.int64) * 100)
