"""One truck's working shift: out of the yard, load and haul and dump a few times, and home.

The truck is a generator: it yields the instant at which it arrives where others may wait, and is resumed in the order of these
instants, so that shovels, gates and weighbridges serve first come, first served.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from simulators.densities import MUCK_LOOSE
from simulators.driving import CREEPING, EMPTY, LOADED, Manner, drive
from simulators.faults import Fault, Job, Mischief
from simulators.geography import Block, Path, along
from simulators.logbook import Logbook, Rails
from simulators.scenario import Permit, Scenario, Truck
from simulators.weighbridge import Deck, Ticket, indicate

_MINUTE_MS = 60_000
_LAWFUL_SHARE = (0.92, 0.035, 0.80, 0.985)
"""A lawful load as a share of the lawful limit: mean, deviation, least, most."""
_HEAPED = 1.15
"""A body can be heaped this far above its volume."""
_APRON_M = 80.0
"""From the weighbridge to the place of tipping."""
_GATE_CLOSES_MS, _GATE_OPENS_MS = 20 * _MINUTE_MS, 3 * _MINUTE_MS
"""Before and after midnight, nobody is let in to tip: sites close their books, and no tipping straddles two operating days."""
_WARM_UP_MS = 2 * _MINUTE_MS


@dataclass(eq=False, slots=True)
class Cycle:
    """The truth of one load → haul → dump."""

    truck: Truck
    permit: Permit
    start_ms: int  # first shovel pass
    full_ms: int  # last shovel pass
    depart_ms: int
    payload_kg: float
    arrive_ms: int = 0
    end_ms: int = 0  # the body is empty
    delivered_kg: float = 0.0
    dump_site: str = ""  # empty: dumped where it may not
    ticket: Ticket | None = None
    mischief: str = ""
    sensor: str = "weight"  # "state": knows empty, half and full only; "stuck": shows nothing


@dataclass(slots=True)
class Ground:
    """What the trucks of one shift share."""

    scenario: Scenario
    midnight_ms: int
    rails: Rails
    shovels: dict[str, Deck]  # by construction site
    decks: dict[str, Deck]  # weighbridges, by disposal site
    tips: dict[str, Deck]  # tipping places, by disposal site
    cycles: list[Cycle] = field(default_factory=list)
    tickets: list[Ticket] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @classmethod
    def of(cls, scenario: Scenario, midnight_ms: int) -> "Ground":
        def decks(role: str, places: int) -> dict[str, Deck]:
            return {site.id: Deck(places) for site in scenario.sites if site.role == role}

        return cls(scenario, midnight_ms, Rails(), decks("construction", 3), decks("disposal", 1), decks("disposal", 4))


@dataclass(slots=True)
class Place:
    """Where a truck stands: a mark on the rails, and what is needed to route on from there."""

    mark: float
    point: Path
    block: Block


@dataclass(slots=True)
class Haul:
    """A truck at work."""

    ground: Ground
    job: Job
    truck: Truck
    log: Logbook
    mischief: dict[int, Mischief]  # by number of the cycle
    rng: np.random.Generator
    place: Place
    sensor: str = "weight"
    tare_kg: float = 0.0  # with today's fuel and driver

    def work(self) -> Iterator[int]:
        """The whole shift; yields each arrival where others may wait."""
        source = self._permit.route.from_site
        self.tare_kg = self.truck.tare_kg + float(self.rng.normal(0.0, 60.0))
        self.log.work.append((self.job.start_ms - _WARM_UP_MS, 1))
        t_ms = self._go(self.job.start_ms, source.centre, source.block, EMPTY)
        for number in range(self.job.cycles):
            yield t_ms
            mischief = self.mischief.get(number, Mischief("", 0.0))
            cycle = self._load(t_ms, mischief)
            yield from self._deliver(cycle, mischief)
            self._remember(cycle, mischief)
            t_ms = self.log.motion[-1][0]
            if number + 1 < self.job.cycles:
                t_ms = self._return(t_ms, cycle)
        home = self._go(t_ms, self._slot, self.truck.company.depot.block, EMPTY)
        self.log.change_load(home, _MINUTE_MS, 0.0)
        self.log.work.append((home + _WARM_UP_MS, 0))

    @property
    def _permit(self) -> Permit:
        return self.ground.scenario.permit_of[self.truck.id]

    @property
    def _slot(self) -> Path:
        assert self.truck.slot is not None  # noqa: S101 (only trucks with a terminal haul muck)
        return self.truck.slot

    def _load(self, t_ms: int, mischief: Mischief) -> Cycle:
        """Queue for a shovel and be loaded in five to eight passes."""
        source = self._permit.route.from_site
        lasts_ms = int(self.rng.uniform(5, 9.5) * _MINUTE_MS)
        begins = self.ground.shovels[source.id].take(t_ms + 30_000, lasts_ms)
        passes = int(self.rng.integers(5, 9))
        gap_ms = (lasts_ms - 30_000) / passes
        at_ms = (begins + gap_ms * (np.arange(passes) + self.rng.uniform(0.1, 0.4, passes))).astype(np.int64).tolist()
        payload = self._payload(mischief)
        heaps = np.cumsum(self.rng.dirichlet(np.full(passes, 30.0))) * payload
        for pass_ms, kg in zip(at_ms, heaps.tolist(), strict=True):
            self.log.change_load(pass_ms, 4_000, kg)
        full = at_ms[-1] + 4_000
        self.log.cover.append((begins - 20_000, 1))
        if mischief.kind != "open_cover":
            self.log.cover.append((full + int(self.rng.uniform(15, 40) * 1000), 0))
        depart = full + int(self.rng.uniform(45, 90) * 1000)
        return Cycle(self.truck, self._permit, at_ms[0], full, depart, payload, mischief=mischief.kind, sensor=self.sensor)

    def _payload(self, mischief: Mischief) -> float:
        lawful = self.lawful_kg
        if mischief.kind == "overload":
            room = self.truck.body_m3 * _HEAPED * MUCK_LOOSE.kg_per_m3
            return float(max(1.10 * lawful, min(mischief.size * lawful, room)))
        mean, deviation, least, most = _LAWFUL_SHARE
        return float(np.clip(self.rng.normal(mean, deviation), least, most) * lawful)

    @property
    def lawful_kg(self) -> float:
        """The smaller of both limits: rated payload, and what the gross limit leaves."""
        return min(self.truck.rated_kg, self.truck.gross_limit_kg - self.tare_kg)

    def _deliver(self, cycle: Cycle, mischief: Mischief) -> Iterator[int]:
        """Haul the load away and dump it where the permit says, or not."""
        sink = self._permit.route.to_site
        if mischief.kind == "illegal_dump":
            cycle.arrive_ms = self._haul_to_fallow(cycle)
            yield cycle.arrive_ms
            self._tip(self._gate(cycle.arrive_ms), cycle)
            return
        cycle.dump_site = sink.id
        weighed = sink.id in self.ground.scenario.scale_at
        path = self._way(mischief)
        stop_m = float(along(path)[-1]) - (_APRON_M if weighed else 0.0)
        start = self.ground.rails.lay(path)
        cycle.arrive_ms = self._drive(cycle.depart_ms, start, path, 0.0, stop_m, LOADED)
        if mischief.kind == "spillage":
            self._spill(cycle, mischief)
        yield cycle.arrive_ms
        t_ms = self._gate(cycle.arrive_ms)
        if t_ms > cycle.arrive_ms:
            yield t_ms
        if weighed:
            yield from self._tip_weighed(t_ms, cycle, start, path, stop_m)
        else:
            self._tip(self.ground.tips[sink.id].take(t_ms, 3 * _MINUTE_MS), cycle)
        self.place = Place(self.place.mark, _point(path, stop_m), sink.block)

    def _tip_weighed(self, t_ms: int, cycle: Cycle, start: float, path: Path, stop_m: float) -> Iterator[int]:
        """Weigh, creep to the tip, tip, creep back over the deck and weigh again."""
        site = self._permit.route.to_site.id
        deck, end_m = self.ground.decks[site], stop_m + _APRON_M
        first = deck.take(t_ms, 70_000) + 50_000
        gross = self.tare_kg + self.log.load[-1][1]
        at_tip = self._drive(first + 15_000, start, path, stop_m, end_m, CREEPING)
        done = self._tip(at_tip, cycle)
        back = self.ground.rails.lay(path[::-1])
        at_deck = self._drive(done, back, path[::-1], 0.0, _APRON_M, CREEPING)
        yield at_deck
        second = deck.take(at_deck, 60_000) + 40_000
        tare = self.tare_kg + self.log.load[-1][1]
        cycle.ticket = self._ticket(first, second, gross, tare)
        self.ground.tickets.append(cycle.ticket)
        self.log.stand(second + 10_000, back + _APRON_M)
        self.place.mark = back + _APRON_M

    def _ticket(self, first_ms: int, second_ms: int, gross_kg: float, tare_kg: float) -> Ticket:
        scale = self.ground.scenario.scale_at[self._permit.route.to_site.id]
        return Ticket(
            *(scale, self.truck.plate, "muck", "in", first_ms, second_ms),
            indicate(gross_kg, scale.interval_kg, self.rng),
            indicate(tare_kg, scale.interval_kg, self.rng),
            self.truck.gross_limit_kg,
            gross_kg - tare_kg,
        )

    def _tip(self, t_ms: int, cycle: Cycle) -> int:
        """Open, lift, let fall, lower, close; when the truck can go."""
        lift = t_ms + int(self.rng.uniform(15, 40) * 1000)
        falls, lasts = lift + 8_000, int(self.rng.uniform(14, 24) * 1000)
        lower = lift + int(self.rng.uniform(45, 65) * 1000)
        held, residue = self.log.load[-1][1], float(self.rng.uniform(0.0, 120.0))
        self.log.cover.append((lift - 8_000, 1))
        self.log.body.extend(((lift, 1), (lower, 0)))
        self.log.cover.append((lower + 8_000, 0))
        self.log.change_load(falls, lasts, residue)
        cycle.end_ms, cycle.delivered_kg = falls + lasts, held - residue
        go = lower + int(self.rng.uniform(20, 40) * 1000)
        self.log.stand(go, self.place.mark)
        return go

    def _spill(self, cycle: Cycle, mischief: Mischief) -> None:
        at_ms = int(cycle.depart_ms + self.rng.uniform(0.42, 0.58) * (cycle.arrive_ms - cycle.depart_ms))
        self.log.change_load(at_ms, 8_000, cycle.payload_kg - mischief.size)
        self._plant("spillage", at_ms, at_ms + 8_000, mischief.size, "kg")

    def _remember(self, cycle: Cycle, mischief: Mischief) -> None:
        """Note what was unlawful about a finished cycle (a spill is noted when it happens, a detour when it is measured)."""
        over_rated = cycle.payload_kg - self.truck.rated_kg
        over_gross = cycle.payload_kg + self.tare_kg - self.truck.gross_limit_kg
        for kind, over_kg in (("overload_payload", over_rated), ("overload_gross", over_gross)):
            if over_kg > 0:
                self._plant(kind, cycle.depart_ms, cycle.end_ms, over_kg, "kg")
        if mischief.kind == "illegal_dump":
            self._plant("illegal_dump", cycle.arrive_ms, cycle.end_ms, cycle.delivered_kg, "kg")
        if mischief.kind == "open_cover":
            self._plant("open_cover", cycle.depart_ms, cycle.arrive_ms, cycle.payload_kg, "kg")
        self.ground.cycles.append(cycle)

    def _plant(self, kind: str, start_ms: int, end_ms: int, size: float, unit: str) -> None:
        self.ground.faults.append(Fault(kind, "truck", self.truck.id, start_ms, end_ms, round(size, 1), unit))

    def _gate(self, t_ms: int) -> int:
        """When the sink lets a truck in that arrives at an instant."""
        closed = -_GATE_CLOSES_MS <= t_ms - self.ground.midnight_ms < _GATE_OPENS_MS
        return self.ground.midnight_ms + _GATE_OPENS_MS + int(self.rng.uniform(0, 3) * _MINUTE_MS) if closed else t_ms

    def _way(self, mischief: Mischief) -> Path:
        route = self._permit.route
        if mischief.kind != "off_route":
            return route.path
        source, sink = route.from_site, route.to_site
        blocks = round(mischief.size) * int(self.rng.choice((-1, 1)))
        return self.ground.scenario.streets.route(source.centre, source.block, sink.centre, sink.block, 0.5, blocks)

    def _return(self, t_ms: int, cycle: Cycle) -> int:
        """Back to the shovel, along the permitted route where there is one."""
        route, source = self._permit.route, self._permit.route.from_site
        if not cycle.dump_site:
            return self._go(t_ms, source.centre, source.block, EMPTY)
        path = route.path[::-1]
        start = self.ground.rails.lay(path)
        passed_m = _APRON_M if cycle.ticket else 0.0
        return self._drive(t_ms, start, path, passed_m, float(along(path)[-1]), EMPTY)

    def _haul_to_fallow(self, cycle: Cycle) -> int:
        scenario, source = self.ground.scenario, self._permit.route.from_site
        block = min(scenario.dumping_blocks, key=lambda one: abs(one[0] - source.block[0]) + abs(one[1] - source.block[1]))
        self.place = Place(self.place.mark, source.centre, source.block)
        return self._go(cycle.depart_ms, scenario.streets.centre(block), block, LOADED)

    def _go(self, t_ms: int, point: Path, block: Block, manner: Manner) -> int:
        """Drive somewhere along the streets."""
        path = self.ground.scenario.streets.route(self.place.point, self.place.block, point, block, 0.5)
        t_ms = self._drive(t_ms, self.ground.rails.lay(path), path, 0.0, float(along(path)[-1]), manner)
        self.place = Place(self.place.mark, point, block)
        return t_ms

    def _drive(self, t_ms: int, start: float, path: Path, from_m: float, to_m: float, manner: Manner) -> int:
        arrives = self.log.drive(t_ms, start, drive(path, from_m, to_m, manner, self.rng))
        self.place.mark = start + to_m
        self.log.stand(arrives, self.place.mark)
        return arrives


def _point(path: Path, at_m: float) -> Path:
    """The point of a polyline at a distance from its start."""
    marks = along(path)
    return np.array((np.interp(at_m, marks, path[:, 0]), np.interp(at_m, marks, path[:, 1])))
