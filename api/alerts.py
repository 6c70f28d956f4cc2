"""``/alerts``: what a person must handle. A flag that rang or entered the books, or a trouble of the program itself."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from api.deps import Deps, DepsOf
from api.flags import MEANINGS, SEVERITY_NAMES, SeverityName
from api.paging import READ_ROWS, Cursor, Limit, Page, decode_cursor, encode_cursor
from api.units import Point, point
from desk.books import Alert as Entry

router = APIRouter(prefix="/alerts", tags=["alerts"])

UNITS = {kind.name.lower(): meaning.unit for kind, meaning in MEANINGS.items()} | {"clock_behind": "ms"}


class Alert(BaseModel):
    """An alert with its evidence, which stays when the flag is withdrawn."""

    id: str
    kind: str
    subject: str  # the asset's name; of the program's own alerts the stage or channel
    asset_kind: str | None  # null: the program's own trouble
    district: str
    severity: SeverityName
    active: bool
    start_at: str
    end_at: str | None
    at: str
    position: Point | None
    unit: str | None
    value: float | None
    limit: float | None
    u: float | None
    rows: int
    raised_at: str
    rang_at: str | None  # null: entered the books silently
    withdrawn_at: str | None
    acknowledged_at: str | None
    acknowledged_by: str | None


def newest(deps: Deps, limit: int, *, active: bool = False) -> list[Alert]:
    """The newest alerts."""
    return [_alert(deps, entry) for entry in deps.alerts.list(limit, active=active)]


def how_many_open(deps: Deps) -> int:
    """How many active alerts nobody has acknowledged."""
    return sum(not entry.acknowledged for entry in deps.alerts.list(READ_ROWS, active=True))


def _alert(deps: Deps, entry: Entry) -> Alert:
    key = deps.store.assets().get(entry.asset)
    return Alert(
        id=entry.id,
        kind=entry.kind,
        subject=entry.subject,
        asset_kind=key.kind if key else None,
        district=key.district if key else deps.registry.district,
        severity=SEVERITY_NAMES[entry.severity],
        active=entry.active,
        start_at=deps.iso(entry.start_ms),
        end_at=_iso(deps, entry.end_ms),
        at=deps.iso(entry.at_ms),
        position=None if entry.lat_e7 is None or entry.lon_e7 is None else point(entry.lat_e7, entry.lon_e7),
        unit=UNITS.get(entry.kind),
        value=entry.value,
        limit=entry.threshold,
        u=entry.u,
        rows=entry.rows,
        raised_at=deps.iso(entry.raised_ms),
        rang_at=_iso(deps, entry.rang_ms),
        withdrawn_at=_iso(deps, entry.withdrawn_ms),
        acknowledged_at=_iso(deps, entry.acknowledged_ms),
        acknowledged_by=entry.acknowledged_by,
    )


def _iso(deps: Deps, t_ms: int | None) -> str | None:
    return None if t_ms is None else deps.iso(t_ms)


@router.get("")
def alerts(
    deps: DepsOf,
    active: Annotated[bool, Query(description="Only those whose span lasts")] = False,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Alert]:
    """Alerts by when they entered the books, newest first."""
    if cursor is None:
        entries = deps.alerts.list(limit + 1, active=active)
    else:
        raised_ms, last_id = decode_cursor(cursor, (0, ""))
        # Many may have been raised in one millisecond: the page goes on inside it.
        since_cursor = deps.alerts.list(READ_ROWS, active=active, before_ms=int(raised_ms) + 1)
        entries = [entry for entry in since_cursor if (entry.raised_ms, entry.id) < (raised_ms, last_id)]
    page = entries[:limit]
    more = len(entries) > limit
    next_cursor = encode_cursor((page[-1].raised_ms, page[-1].id)) if more else None
    return Page(rows=[_alert(deps, entry) for entry in page], next_cursor=next_cursor)
