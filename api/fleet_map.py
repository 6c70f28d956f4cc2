"""The map: sites and routes are drawn once, the trucks that changed go to the browser in one message per refresh.

Leaflet comes inside NiceGUI's package. There is no background unless the settings name a tile server, so the map needs no other host.
"""

import json
from typing import Any

from nicegui import ui

from api.board import Board
from api.deps import Deps
from api.flags import Flag
from api.sites import route_features, site_features
from api.text import Words, quantity, time_of_day
from api.trucks import LatestReading, Truck
from desk.text import ROLES, duration

STATIC = "/console"
CENTRE_DEG = (31.70, 119.95)
ARROW = '<path d="M0,-9.5 L6.5,7.5 L0,4 L-6.5,7.5 Z"/>'
DOT = '<circle r="5"/>'
STATES = ("loaded", "empty", "unknown", "offline", "flagged")
# What must be seen lies on top.
HEIGHT = {"offline": 0, "unknown": 200, "empty": 400, "loaded": 800}
FLAGGED_HEIGHT = 2_000

Drawn = dict[str, Any]


class FleetMap:
    """The map of one page, which remembers what its browser shows."""

    def __init__(self, deps: Deps, words: Words) -> None:
        self._deps, self._words = deps, words
        self._shown: dict[str, Drawn] = {}
        with ui.element("div").classes("panel map-panel"):
            with ui.element("div").classes("head"):
                ui.label(words("map")).classes("title")
                self._note = ui.label().classes("note")
            options = {"zoomControl": True, "attributionControl": bool(deps.settings.tile_url), "zoomSnap": 0.1, "zoomDelta": 0.5}
            self._map = ui.leaflet(center=CENTRE_DEG, zoom=11, options=options, additional_resources=[f"{STATIC}/fleet.js"])
            self._map.clear_layers()
            if deps.settings.tile_url:
                self._map.tile_layer(url_template=deps.settings.tile_url, options={"attribution": deps.settings.tile_attribution})
            ui.html(_legend(words, self._roles()), sanitize=False)

    def _roles(self) -> list[str]:
        present = {site.role for site in self._deps.registry.sites()}
        return [role for role in ROLES if role in present]

    async def draw(self) -> None:
        """Draw the ground, once the browser has its map."""
        await self._map.initialized()
        ground = {
            "sites": site_features(self._deps).model_dump(),
            "routes": route_features(self._deps).model_dump(),
            "language": self._words.language,
        }
        self._call("draw", ground)

    def show(self, board: Board) -> None:
        """Bring the trucks up to date: one call for all that changed."""
        flagged = {flag.asset for flag in board.flags if _rings(flag)}
        drawn = {truck["key"]: truck for truck in (self._drawn(truck, flagged) for truck in board.trucks) if truck}
        changed = [truck for key, truck in drawn.items() if self._shown.get(key) != truck]
        if changed:
            self._call("move", changed)
        self._shown |= drawn
        unplaced = sum(truck.latest is not None and truck.latest.position is None for truck in board.trucks)
        self._note.text = self._words("unplaced", count=unplaced) if unplaced else ""

    def look_at(self, lat_deg: float, lon_deg: float) -> None:
        self._call("show", lat_deg, lon_deg)

    def _call(self, function: str, *arguments: Any) -> None:
        spoken = ", ".join(json.dumps(argument, ensure_ascii=False) for argument in (self._map.id, *arguments))
        self._map.client.run_javascript(f"plimsoll.{function}({spoken})")

    def _drawn(self, truck: Truck, flagged: set[str]) -> Drawn | None:
        """A truck as the browser draws it; None when it was never placed."""
        latest = truck.latest
        if latest is None or latest.position is None:
            return None
        state = _state(truck, latest)
        alarming = truck.id in flagged
        return {
            "key": f"{truck.district}/{truck.id}",
            "lat_deg": latest.position.lat_deg,
            "lon_deg": latest.position.lon_deg,
            "heading_deg": latest.heading_deg,
            "moving": bool(latest.moving) and not truck.offline,
            "state": f"{state} flagged" if alarming else state,
            "z": FLAGGED_HEIGHT if alarming else HEIGHT[state],
            "lines": self._lines(truck, latest, state),
        }

    def _lines(self, truck: Truck, latest: LatestReading, state: str) -> list[str]:
        who = truck.registration.plate if truck.registration else self._words("unregistered")
        does = [self._words(f"truck_{state}")]
        if latest.load_kg is not None:
            does.append(self._words("load", load=quantity(latest.load_kg, "kg")))
        if latest.speed_kmh is not None:
            does.append(f"{latest.speed_kmh:.0f} km/h")
        seen = [self._words("seen", time=time_of_day(latest.at))]
        if truck.clock_behind_s is not None:
            seen.append(self._words("clock_behind", behind=self._words.of(duration(truck.clock_behind_s * 1000))))
        return [f"{truck.id} · {who}", " · ".join(does), *seen]


def _state(truck: Truck, latest: LatestReading) -> str:
    if truck.offline:
        return "offline"
    return "unknown" if latest.loaded is None else "loaded" if latest.loaded else "empty"


def _rings(flag: Flag) -> bool:
    return flag.active and flag.asset_kind == "truck" and flag.severity != "info"


def _legend(words: Words, roles: list[str]) -> str:
    """The legend's markup; nothing in it comes from outside."""
    trucks = [f'<span class="item {state}"><svg viewBox="-12 -12 24 24">{ARROW}</svg>{words(f"truck_{state}")}</span>' for state in STATES]
    standing = f'<span class="item empty"><svg viewBox="-12 -12 24 24">{DOT}</svg>{words("truck_standing")}</span>'
    sites = [f'<span class="item"><span class="swatch {role}"></span>{words.of(ROLES[role])}</span>' for role in roles]
    route = f'<span class="item"><span class="line"></span>{words("route")}</span>'
    rows = "".join(f'<div class="row">{"".join(items)}</div>' for items in ([*trucks, standing, route], sites))
    return f'<div class="legend">{rows}</div>'
