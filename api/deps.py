"""What the application is handed at its start, and how its resources reach it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Protocol, cast
from zoneinfo import ZoneInfo

from fastapi import Depends, Query, Request

from api.instants import DAY_MS, iso
from api.text import Language
from core.columns import OPEN_MS
from desk.books import NEVER_MS, Alert
from desk.registry import Registry
from storage.store import Store

Clock = Callable[[], int]
"""Milliseconds since 1970-01-01T00:00:00Z."""


class Alerts(Protocol):
    """The alert desk, as far as the API reads it."""

    def list(self, limit: int, *, active: bool = False, before_ms: int = NEVER_MS) -> Sequence[Alert]:
        """The newest alerts that entered the books before an instant, newest first; with ``active`` those only."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """Bounds and rhythms of the API and the console."""

    console: bool = True
    tile_url: str = ""  # a Leaflet template such as https://tiles.example/{z}/{x}/{y}.png; empty: a blank map
    tile_attribution: str = ""
    language: Language = "zh"  # of the console, where the address names none
    offline_ms: int = 600_000  # a truck silent for longer is offline
    clock_behind_ms: int = 900_000  # readings that come steadily later than this are of a wrong clock
    lag_ms: int = 60_000  # a part lagging more is degraded
    stale_ms: int = 60_000  # a part that has not told its state for longer is down
    longest_span_ms: int = 31 * DAY_MS
    longest_days: int = 400
    refresh_s: float = 2.0  # of the console
    live_interval_s: float = 1.0
    heartbeat_s: float = 15.0
    live_listeners: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Deps:
    """Everything the resources read. Nothing here is written to."""

    store: Store
    registry: Registry
    alerts: Alerts
    clock: Clock
    settings: ApiSettings = field(default_factory=ApiSettings)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.registry.zone)

    def iso(self, t_ms: int) -> str:
        """An instant in the district's local time."""
        return iso(t_ms, self.zone)

    def iso_unless_open(self, t_ms: int) -> str | None:
        """An instant, or None for one that has not come."""
        return None if t_ms == OPEN_MS else iso(t_ms, self.zone)


def deps_of(request: Request) -> Deps:
    """What this application was handed."""
    return cast("Deps", request.app.state.deps)


DepsOf = Annotated[Deps, Depends(deps_of)]
District = Annotated[str | None, Query(max_length=64, description="Where the asset belongs; the registry's district by default")]
