"""``/flags``: the core's verdicts. Each explains itself: the rule, its limit, what was measured, how surely, from what, when and where."""

from bisect import bisect_left
from typing import Annotated, Literal, NamedTuple, get_args

import numpy as np
from fastapi import APIRouter, Query
from pydantic import BaseModel

from api.assets import number_of
from api.deps import Deps, DepsOf, District
from api.instants import DAY_MS, From, Span, To
from api.paging import READ_ROWS, Cursor, Limit, Page, page_rows, pick
from api.units import Point, measured, point
from core.events import FlagKind, Flags, Severity
from storage.store import Stored

router = APIRouter(prefix="/flags", tags=["flags"])


class Meaning(NamedTuple):
    """What a kind of flag compares, in which unit, and which source speaks."""

    unit: str
    source: str
    rule: str


MEANINGS = {
    FlagKind.OVERLOAD_PAYLOAD: Meaning("kg", "onboard", "the payload of the haul is over the truck's rated payload"),
    FlagKind.OVERLOAD_GROSS: Meaning("kg", "onboard", "payload plus tare is over the gross limit of the truck's axle class"),
    FlagKind.SPILLAGE: Meaning("kg", "onboard", "the load fell by a step while the truck was on its way"),
    FlagKind.GPS_JUMP: Meaning("m", "position", "the fix is farther away than any truck could have driven"),
    FlagKind.GAP: Meaning("ms", "silence", "no reading came for longer than the limit"),
    FlagKind.TICKET_OVERLOAD_GROSS: Meaning("kg", "ticket", "the weighed gross is over the gross limit of the truck's axle class"),
    FlagKind.TICKET_MISMATCH: Meaning("kg", "ticket", "the printed net is not gross minus tare"),
}

FlagName = Literal["overload_payload", "overload_gross", "spillage", "gps_jump", "gap", "ticket_overload_gross", "ticket_mismatch"]
SeverityName = Literal["info", "conditional", "fail"]
FLAG_NAMES: dict[int, FlagName] = dict(zip(FlagKind, get_args(FlagName), strict=True))
SEVERITY_NAMES: dict[int, SeverityName] = dict(zip(Severity, get_args(SeverityName), strict=True))


class Flag(BaseModel):
    """A verdict about a span of one asset's time."""

    district: str
    asset_kind: str
    asset: str
    kind: FlagName
    severity: SeverityName
    rule: str
    rules_version: str
    source: str
    start_at: str
    end_at: str | None
    active: bool
    at: str
    position: Point | None
    unit: str
    value: float | None
    limit: float | None
    u: float | None
    rows: int
    revision: int
    withdrawn: bool
    change: int


def recent(deps: Deps, span: Span, limit: int) -> list[Flag]:
    """The newest flags."""
    return _page(deps, deps.store.flags(span.from_ms, span.to_ms, limit=limit), limit, None).rows


def how_many(deps: Deps, span: Span, severity: Severity) -> int:
    """How many flags of this severity or a graver one overlap a span."""
    return int((deps.store.flags(span.from_ms, span.to_ms, limit=READ_ROWS).rows.severity >= severity).sum())


def newest_change(deps: Deps) -> int:
    """The number after which no flag has changed: found by bisection, so that nothing but its neighbours is read."""

    def more_after(change: int) -> bool:
        return len(deps.store.flags_changed(change, 1)) > 0

    past = 1
    while more_after(past):
        past *= 2
    return bisect_left(range(past), True, key=lambda change: not more_after(change))


def changed_after(deps: Deps, change: int, limit: int) -> tuple[list[Flag], int]:
    """Flags that changed after a change number, withdrawn ones included, oldest change first; and the number to go on from."""
    stored = deps.store.flags_changed(change, limit)
    changed = [_flag(deps, stored, int(row)) for row in np.argsort(stored.change)]
    return changed, max((flag.change for flag in changed), default=change)


def _page(deps: Deps, stored: Stored[Flags], limit: int, cursor: str | None) -> Page[Flag]:
    rows, next_cursor = page_rows([stored.rows.start_ms, stored.rows.asset, stored.rows.kind], limit, cursor)
    return Page(rows=[_flag(deps, stored, int(row)) for row in rows], next_cursor=next_cursor)


def _flag(deps: Deps, stored: Stored[Flags], row: int) -> Flag:
    rows, key = stored.rows, deps.store.assets()[int(stored.rows.asset[row])]
    kind, end_at = FlagKind(int(rows.kind[row])), deps.iso_unless_open(rows.end_ms[row])
    meaning = MEANINGS[kind]
    return Flag(
        district=key.district,
        asset_kind=key.kind,
        asset=key.name,
        kind=FLAG_NAMES[kind],
        severity=SEVERITY_NAMES[int(rows.severity[row])],
        rule=meaning.rule,
        rules_version=str(rows.rules[row]),
        source=meaning.source,
        start_at=deps.iso(rows.start_ms[row]),
        end_at=end_at,
        active=end_at is None and not bool(stored.withdrawn[row]),
        at=deps.iso(rows.at_ms[row]),
        position=point(rows.lat_e7[row], rows.lon_e7[row]),
        unit=meaning.unit,
        value=measured(rows.value[row]),
        limit=measured(rows.limit[row]),
        u=measured(rows.u[row]),
        rows=int(rows.rows[row]),
        revision=int(stored.revision[row]),
        withdrawn=bool(stored.withdrawn[row]),
        change=int(stored.change[row]),
    )


@router.get("")
def flags(
    deps: DepsOf,
    from_ms: From = None,
    to_ms: To = None,
    kind: FlagName | None = None,
    severity: Annotated[SeverityName | None, Query(description="This severity or a graver one")] = None,
    truck: Annotated[str | None, Query(max_length=64, description="One truck only")] = None,
    scale: Annotated[str | None, Query(max_length=64, description="One scale only")] = None,
    district: District = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Flag]:
    """Flags that hold and overlap a span, newest first; the last 24 hours by default. Withdrawn ones are told by ``/live``."""
    span = Span.of(from_ms, to_ms, now_ms=deps.clock(), default_ms=DAY_MS, longest_ms=deps.settings.longest_span_ms)
    asset = _asset(deps, truck, scale, district)
    wanted = None if kind is None else FlagKind[kind.upper()]
    stored = deps.store.flags(span.from_ms, span.to_ms, asset=asset, kind=wanted, limit=READ_ROWS)
    if severity is not None:
        stored = pick(stored, stored.rows.severity >= Severity[severity.upper()])
    return _page(deps, stored, limit, cursor)


def _asset(deps: Deps, truck: str | None, scale: str | None, district: str | None) -> int | None:
    if truck is not None:
        return number_of(deps, "truck", truck, district, where="query.truck")
    return None if scale is None else number_of(deps, "scale", scale, district, where="query.scale")
