"""``/tickets``: completed weighings, the evidence."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from api.assets import number_of
from api.deps import Deps, DepsOf, District
from api.instants import DAY_MS, From, Span, To
from api.paging import READ_ROWS, Cursor, Limit, Page, page_rows, pick
from api.units import direction
from core.events import Tickets
from storage.store import Stored

router = APIRouter(prefix="/tickets", tags=["tickets"])


class Ticket(BaseModel):
    """One completed weighing. The net is gross minus tare, whatever was printed."""

    district: str
    scale: str
    site: str | None
    number: str | None
    plate: str
    first_at: str
    second_at: str
    source: str  # "ticket": legal for trade
    gross_kg: int
    tare_kg: int
    net_kg: int
    stream: str
    direction: str
    paired: bool
    revision: int
    withdrawn: bool


def _ticket(deps: Deps, stored: Stored[Tickets], row: int) -> Ticket:
    rows, key = stored.rows, deps.store.assets()[int(stored.rows.asset[row])]
    sites = {scale.id: scale.site for scale in deps.registry.scales()} if key.district == deps.registry.district else {}
    return Ticket(
        district=key.district,
        scale=key.name,
        site=sites.get(key.name),
        number=str(rows.number[row]) or None,
        plate=str(rows.plate[row]),
        first_at=deps.iso(rows.start_ms[row]),
        second_at=deps.iso(rows.end_ms[row]),
        source="ticket",
        gross_kg=int(rows.gross_kg[row]),
        tare_kg=int(rows.tare_kg[row]),
        net_kg=int(rows.net_kg[row]),
        stream=str(rows.stream[row]),
        direction=direction(rows.direction[row]),
        paired=bool(rows.paired[row]),
        revision=int(stored.revision[row]),
        withdrawn=bool(stored.withdrawn[row]),
    )


@router.get("")
def tickets(
    deps: DepsOf,
    from_ms: From = None,
    to_ms: To = None,
    scale: Annotated[str | None, Query(max_length=64, description="One scale only")] = None,
    plate: Annotated[str | None, Query(max_length=32, description="One plate only")] = None,
    district: District = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Ticket]:
    """Weighings that overlap a span, newest first; the last 24 hours by default."""
    span = Span.of(from_ms, to_ms, now_ms=deps.clock(), default_ms=DAY_MS, longest_ms=deps.settings.longest_span_ms)
    asset = None if scale is None else number_of(deps, "scale", scale, district, where="query.scale")
    stored = deps.store.tickets(span.from_ms, span.to_ms, asset=asset, limit=READ_ROWS)
    if plate is not None:
        stored = pick(stored, stored.rows.plate == plate)
    key = [stored.rows.start_ms, stored.rows.asset, stored.rows.number, stored.rows.plate]
    rows, next_cursor = page_rows(key, limit, cursor)
    return Page(rows=[_ticket(deps, stored, int(row)) for row in rows], next_cursor=next_cursor)
