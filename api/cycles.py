"""``/cycles``: every load → haul → dump, with its payload and the evidence for both edges."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from api.assets import number_of
from api.deps import Deps, DepsOf, District
from api.instants import DAY_MS, From, Span, To
from api.paging import READ_ROWS, Cursor, Limit, Page, page_rows
from api.units import measured
from core.events import Cycles, Sign
from storage.store import Stored

router = APIRouter(prefix="/cycles", tags=["cycles"])


class Payload(BaseModel):
    """What the truck's own sensor says it carried. A suspicion: a ticket is evidence, and the two are never added together."""

    source: str
    mass_kg: float | None
    u_kg: float | None
    rows: int
    rules_version: str


class Cycle(BaseModel):
    """One load → haul → dump of one truck."""

    district: str
    truck: str
    start_at: str
    depart_at: str | None
    arrive_at: str | None
    end_at: str | None  # null: not dumped yet
    load_site: str | None
    dump_site: str | None
    payload: Payload
    haul_m: int
    load_signs: list[str]
    dump_signs: list[str]
    revision: int
    withdrawn: bool


def signs(bits: int) -> list[str]:
    """The names of the evidence in a bit set."""
    return [str(sign.name).lower() for sign in Sign if sign & int(bits)]


def _cycle(deps: Deps, stored: Stored[Cycles], row: int) -> Cycle:
    rows, key = stored.rows, deps.store.assets()[int(stored.rows.asset[row])]
    return Cycle(
        district=key.district,
        truck=key.name,
        start_at=deps.iso(rows.start_ms[row]),
        depart_at=deps.iso_unless_open(rows.depart_ms[row]),
        arrive_at=deps.iso_unless_open(rows.arrive_ms[row]),
        end_at=deps.iso_unless_open(rows.end_ms[row]),
        load_site=str(rows.load_site[row]) or None,
        dump_site=str(rows.dump_site[row]) or None,
        payload=Payload(
            source="onboard",
            mass_kg=measured(rows.payload_kg[row]),
            u_kg=measured(rows.payload_u_kg[row]),
            rows=int(rows.plateau_rows[row]),
            rules_version=str(rows.rules[row]),
        ),
        haul_m=int(rows.haul_m[row]),
        load_signs=signs(rows.load_signs[row]),
        dump_signs=signs(rows.dump_signs[row]),
        revision=int(stored.revision[row]),
        withdrawn=bool(stored.withdrawn[row]),
    )


@router.get("")
def cycles(
    deps: DepsOf,
    from_ms: From = None,
    to_ms: To = None,
    truck: Annotated[str | None, Query(max_length=64, description="One truck only")] = None,
    district: District = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Cycle]:
    """Cycles that overlap a span, newest first; the last 24 hours by default."""
    span = Span.of(from_ms, to_ms, now_ms=deps.clock(), default_ms=DAY_MS, longest_ms=deps.settings.longest_span_ms)
    asset = None if truck is None else number_of(deps, "truck", truck, district, where="query.truck")
    stored = deps.store.cycles(span.from_ms, span.to_ms, asset=asset, limit=READ_ROWS)
    rows, next_cursor = page_rows([stored.rows.start_ms, stored.rows.asset], limit, cursor)
    return Page(rows=[_cycle(deps, stored, int(row)) for row in rows], next_cursor=next_cursor)
