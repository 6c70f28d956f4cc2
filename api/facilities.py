"""``/facilities``: where the tonnes go, and how many came and left on each operating day.

A ticket, a movement and an on-board estimate of the same load are three witnesses, not three loads: no sum here crosses sources.
"""

from datetime import date
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel

from api.deps import Deps, DepsOf
from api.errors import invalid, not_found
from api.instants import DAY_MS, day_date, day_number
from api.paging import pick
from api.units import direction, tonnes
from core.days import day_span_ms, operating_day
from core.events import DayTotals
from core.readings import IN
from desk.entries import Site
from storage.store import Stored

router = APIRouter(prefix="/facilities", tags=["facilities"])

ROLES = ("construction", "disposal", "landfill", "transfer", "incinerator")
"""Roles of the sites that tonnes enter or leave."""
SOURCES = ("ticket", "movement", "onboard")
"""The witnesses, the most trustworthy first."""
DAY_SETTLES_MS = DAY_MS


class Facility(BaseModel):
    """A site that tonnes enter or leave."""

    id: str
    role: str
    name_zh: str
    name_en: str
    capacity_t_per_day: float | None


class Total(BaseModel):
    """The mass of one stream in one direction, by one witness."""

    stream: str
    direction: str
    source: str
    mass_t: float
    count: int
    revision: int


class Intake(BaseModel):
    """What came in, all streams together, by the most trustworthy witness that spoke: beside a ticket no estimate counts."""

    source: str
    mass_t: float
    share_of_capacity: float | None


class Day(BaseModel):
    """One operating day of a facility."""

    day: date
    begins_at: str
    ends_at: str
    provisional: bool  # until 24 h after it ended; later changes raise a total's revision
    totals: list[Total]
    intake: Intake | None


class FacilityDay(BaseModel):
    """A facility on one operating day."""

    facility: Facility
    day: Day


class FacilityDays(BaseModel):
    """A facility's operating days, oldest first. Days without tonnes are there, without totals."""

    facility: Facility
    zone: str
    cutoff: str
    days: list[Day]


def facilities_on(deps: Deps, day: int) -> list[FacilityDay]:
    """Every facility with its totals of one operating day, in the registry's order."""
    totals = deps.store.day_totals(day, day + 1)
    known = [_facility(deps, site) for site in deps.registry.sites() if site.role in ROLES]
    return [FacilityDay(facility=facility, day=_day(deps, facility, totals, day)) for facility in known]


def today(deps: Deps) -> int:
    """The operating day of this instant."""
    now_ms = np.array([deps.clock()], dtype=np.int64)
    return int(operating_day(now_ms, deps.registry.zone, deps.registry.cutoff_min)[0])


def _facility(deps: Deps, site: Site) -> Facility:
    """A site's capacity is its own, or else that of the stations on it."""
    stations = [station.capacity_t_per_day for station in deps.registry.stations() if station.site == site.id]
    of_stations = sum(capacity for capacity in stations if capacity is not None) or None
    capacity = site.capacity_t_per_day if site.capacity_t_per_day is not None else of_stations
    return Facility(id=site.id, role=site.role, name_zh=site.name_zh, name_en=site.name_en, capacity_t_per_day=capacity)


def _day(deps: Deps, facility: Facility, totals: Stored[DayTotals], day: int) -> Day:
    begins_ms, ends_ms = day_span_ms(day, deps.registry.zone, deps.registry.cutoff_min)
    mine = pick(totals, (totals.rows.site == facility.id) & (totals.rows.day == day))
    return Day(
        day=day_date(day),
        begins_at=deps.iso(begins_ms),
        ends_at=deps.iso(ends_ms),
        provisional=deps.clock() < ends_ms + DAY_SETTLES_MS,
        totals=sorted((_total(mine, row) for row in range(len(mine.rows))), key=_evidence_first),
        intake=_intake(mine.rows, facility.capacity_t_per_day),
    )


def _total(stored: Stored[DayTotals], row: int) -> Total:
    rows = stored.rows
    return Total(
        stream=str(rows.stream[row]),
        direction=direction(rows.direction[row]),
        source=str(rows.source[row]),
        mass_t=tonnes(rows.mass_kg[row]),
        count=int(rows.count[row]),
        revision=int(stored.revision[row]),
    )


def _evidence_first(total: Total) -> tuple[int, str, str]:
    return SOURCES.index(total.source), total.direction, total.stream


def _intake(rows: DayTotals, capacity_t: float | None) -> Intake | None:
    for source in SOURCES:
        came = (rows.direction == IN) & (rows.source == source)
        if came.any():
            mass_t = tonnes(rows.mass_kg[came].sum())
            share = None if not capacity_t else round(mass_t / capacity_t, 4)
            return Intake(source=source, mass_t=mass_t, share_of_capacity=share)
    return None


@router.get("")
def facilities(
    deps: DepsOf, day: Annotated[date | None, Query(description="An operating day; today by default")] = None
) -> list[FacilityDay]:
    """Every facility with its capacity and the tonnes of one operating day."""
    return facilities_on(deps, today(deps) if day is None else day_number(day))


@router.get("/{id}/days")
def days(
    deps: DepsOf,
    site_id: Annotated[str, Path(alias="id", description="The site's id in the registry")],
    first: Annotated[date | None, Query(alias="from", description="First operating day; a week before the last by default")] = None,
    last: Annotated[date | None, Query(alias="to", description="Last operating day, included; today by default")] = None,
) -> FacilityDays:
    """Tonnes of one facility per operating day, stream, direction and source."""
    to_day = today(deps) if last is None else day_number(last)
    from_day = to_day - 6 if first is None else day_number(first)
    _check_days(from_day, to_day, deps.settings.longest_days)
    site = next((site for site in deps.registry.sites() if site.id == site_id), None)
    if site is None:
        raise not_found("facility", site_id, where="path.id", expected="the id of a site of the registry; /facilities lists them")
    facility = _facility(deps, site)
    totals = deps.store.day_totals(from_day, to_day + 1, site=site_id)
    cutoff = f"{deps.registry.cutoff_min // 60:02d}:{deps.registry.cutoff_min % 60:02d}"
    rows = [_day(deps, facility, totals, day) for day in range(from_day, to_day + 1)]
    return FacilityDays(facility=facility, zone=deps.registry.zone, cutoff=cutoff, days=rows)


def _check_days(from_day: int, to_day: int, longest: int) -> None:
    if from_day > to_day:
        raise invalid(f"the last day is {from_day - to_day} days before the first", where="query.from", expected="from not after to")
    if to_day - from_day >= longest:
        raise invalid(f"{to_day - from_day + 1} days were asked for", where="query.from", expected=f"at most {longest} days; ask for parts")
