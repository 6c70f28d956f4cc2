"""``/trucks``: where every truck is, and where one went.

A truck is offline when it has been silent for longer than a limit at ``as_of``. That is a judgement of the read: nothing stores it.
Silence counts by the device's clock, and where that is known to be behind, by what it would say if it were right.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel

from api.assets import SILENT, number_of, numbers
from api.deps import Deps, DepsOf, District
from api.instants import DAY_MS, From, InstantMs, Span, To
from api.paging import Cursor, page_rows
from api.units import Point, known, measured, point
from core.events import Latest
from core.readings import TruckReadings
from desk.clocks import behind_ms
from desk.entries import Truck as Entry
from desk.registry import trucks_at
from storage.assets import AssetKey

router = APIRouter(prefix="/trucks", tags=["trucks"])

LOAD_STATES = ("empty", "half", "full")


class Registration(BaseModel):
    """What the bureau's file says of a truck."""

    plate: str
    type: str
    company_zh: str
    company_en: str
    rated_kg: float | None
    tare_kg: float | None
    gross_limit_kg: float | None


class LatestReading(BaseModel):
    """The newest reading by device time, with the newest fix that was no jump."""

    at: str
    fix_at: str | None
    position: Point | None
    speed_kmh: float | None
    heading_deg: float | None
    moving: bool | None
    load_kg: float | None  # by the on-board sensor: a suspicion, not evidence
    loaded: bool | None
    site: str | None


class Truck(BaseModel):
    """A truck at one instant."""

    district: str
    id: str
    registered: bool
    offline: bool
    silent_s: float | None  # null: it has never reported
    clock_behind_s: float | None  # how far the device's clock is behind; null: not at all, or too early to tell
    registration: Registration | None
    latest: LatestReading | None


class Fleet(BaseModel):
    """Every truck that has reported or is registered."""

    as_of: str
    offline_after_s: float
    trucks: list[Truck]


class TrackPoint(BaseModel):
    """One reading of a truck, as the journal has it."""

    at: str
    seq: int
    received_at: str
    reuploaded: bool | None
    position: Point | None
    speed_kmh: float | None
    heading_deg: float | None
    load_kg: float | None
    load_state: str | None
    body_up: bool | None
    cover_open: bool | None


class Track(BaseModel):
    """A truck's readings in a span, oldest first."""

    district: str
    id: str
    rows: list[TrackPoint]
    next_cursor: str | None


def fleet(deps: Deps, as_of_ms: int, offline_ms: int | None = None) -> list[Truck]:
    """Every truck with a terminal, by name. Those that never reported are offline."""
    entries, latest = trucks_at(deps.registry, as_of_ms), deps.store.latest()
    row_of = {int(asset): row for row, asset in enumerate(latest.asset)}
    number_of_key = numbers(deps, "truck")
    limit_ms = deps.settings.offline_ms if offline_ms is None else offline_ms
    clock_behind_ms = behind_ms(latest, deps.settings.clock_behind_ms)

    def truck(key: AssetKey) -> Truck:
        entry = entries.get(key.name) if key.district == deps.registry.district else None
        row = row_of.get(number_of_key.get(key, SILENT))
        lag_ms = 0 if row is None else int(clock_behind_ms[row])
        silent_ms = None if row is None else max(0, as_of_ms - int(latest.t_ms[row]) - lag_ms)
        return Truck(
            district=key.district,
            id=key.name,
            registered=entry is not None,
            offline=silent_ms is None or silent_ms > limit_ms,
            silent_s=None if silent_ms is None else silent_ms / 1000,
            clock_behind_s=lag_ms / 1000 or None,
            registration=None if entry is None else _registration(entry),
            latest=None if row is None else _latest(deps, latest, row),
        )

    keys = {*number_of_key, *(AssetKey(deps.registry.district, "truck", name) for name, entry in entries.items() if entry.terminal)}
    return [truck(key) for key in sorted(keys, key=lambda key: (key.district, key.name))]


def _registration(entry: Entry) -> Registration:
    return Registration(
        plate=entry.plate,
        type=entry.type,
        company_zh=entry.company_zh,
        company_en=entry.company_en,
        rated_kg=entry.rated_kg,
        tare_kg=entry.tare_kg,
        gross_limit_kg=entry.gross_limit_kg,
    )


def _latest(deps: Deps, latest: Latest, row: int) -> LatestReading:
    return LatestReading(
        at=deps.iso(latest.t_ms[row]),
        fix_at=deps.iso(latest.fix_ms[row]) if latest.fix_ms[row] >= 0 else None,
        position=point(latest.lat_e7[row], latest.lon_e7[row]),
        speed_kmh=measured(latest.speed_kmh[row]),
        heading_deg=measured(latest.heading_deg[row]),
        moving=known(latest.moving[row]),
        load_kg=measured(latest.load_kg[row]),
        loaded=known(latest.loaded[row]),
        site=str(latest.site[row]) or None,
    )


def _track_point(deps: Deps, readings: TruckReadings, row: int) -> TrackPoint:
    state = int(readings.load_state[row])
    return TrackPoint(
        at=deps.iso(readings.t_ms[row]),
        seq=int(readings.seq[row]),
        received_at=deps.iso(readings.received_ms[row]),
        reuploaded=known(readings.hist[row]),
        position=point(readings.lat_e7[row], readings.lon_e7[row]),
        speed_kmh=measured(readings.speed_kmh[row]),
        heading_deg=measured(readings.heading_deg[row]),
        load_kg=measured(readings.load_kg[row]),
        load_state=None if state < 0 else LOAD_STATES[state],
        body_up=known(readings.body_up[row]),
        cover_open=known(readings.cover_open[row]),
    )


@router.get("")
def trucks(
    deps: DepsOf,
    as_of: Annotated[InstantMs | None, Query(description="The instant at which silence is judged; now by default")] = None,
    offline_after_s: Annotated[float | None, Query(gt=0, description="Silence after which a truck is offline")] = None,
) -> Fleet:
    """The newest position, load and state of every truck."""
    as_of_ms = deps.clock() if as_of is None else as_of
    offline_ms = deps.settings.offline_ms if offline_after_s is None else round(offline_after_s * 1000)
    return Fleet(as_of=deps.iso(as_of_ms), offline_after_s=offline_ms / 1000, trucks=fleet(deps, as_of_ms, offline_ms))


@router.get("/{id}/track")
def track(
    deps: DepsOf,
    name: Annotated[str, Path(alias="id", description="The truck as its district names it")],
    from_ms: From = None,
    to_ms: To = None,
    district: District = None,
    limit: Annotated[int, Query(ge=1, le=20_000, description="Rows per page")] = 10_000,
    cursor: Cursor = None,
) -> Track:
    """What one truck reported; the last 24 hours by default."""
    longest_ms = deps.settings.longest_span_ms
    span = Span.of(from_ms, to_ms, now_ms=deps.clock(), default_ms=DAY_MS, longest_ms=longest_ms)
    number = number_of(deps, "truck", name, district, where="path.id")
    readings = deps.store.track(number, span.from_ms, span.to_ms)
    rows, next_cursor = page_rows([readings.t_ms, readings.seq], limit, cursor, oldest_first=True)
    points = [_track_point(deps, readings, int(row)) for row in rows]
    return Track(district=district or deps.registry.district, id=name, rows=points, next_cursor=next_cursor)
