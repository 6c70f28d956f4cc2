"""What the dispatcher's page shows: the answers of the resources at one instant, and nothing that they do not say."""

from dataclasses import dataclass

from api import alerts, flags
from api.deps import Deps
from api.facilities import FacilityDay, facilities_on, today
from api.health import Health, health_now
from api.instants import AHEAD_MS, DAY_MS, Span
from api.trucks import Truck, fleet
from core.events import Severity
from desk.text import Word

NEWEST = 60
"""Flags and alerts on the page; the lists of the API have them all."""


@dataclass(frozen=True, slots=True)
class Board:
    """One look at the district."""

    now_ms: int
    trucks: list[Truck]
    facilities: list[FacilityDay]
    flags: list[flags.Flag]
    violations: int  # of the last 24 hours, beyond their guard band
    alerts: list[alerts.Alert]
    open_alerts: int
    health: Health
    names: dict[tuple[str | None, str], Word]  # what a person calls an asset


def read_board(deps: Deps) -> Board:
    """Ask every resource that the page shows."""
    now_ms = deps.clock()
    last_day = Span(now_ms - DAY_MS, now_ms + AHEAD_MS)
    trucks = fleet(deps, now_ms)
    return Board(
        now_ms=now_ms,
        trucks=trucks,
        facilities=facilities_on(deps, today(deps)),
        flags=flags.recent(deps, last_day, NEWEST),
        violations=flags.how_many(deps, last_day, Severity.FAIL),
        alerts=alerts.newest(deps, NEWEST),
        open_alerts=alerts.how_many_open(deps),
        health=health_now(deps),
        names=_names(deps, trucks),
    )


def _names(deps: Deps, trucks: list[Truck]) -> dict[tuple[str | None, str], Word]:
    """Trucks by their plates, scales and stations by their names."""
    plates = {truck.id: truck.registration.plate for truck in trucks if truck.registration}
    return {
        **{("truck", name): Word(plate, plate) for name, plate in plates.items()},
        **{("scale", scale.id): Word(scale.name_zh, scale.name_en) for scale in deps.registry.scales()},
        **{("station", station.id): Word(station.name_zh, station.name_en) for station in deps.registry.stations()},
    }
