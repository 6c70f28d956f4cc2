"""The bureau's files of a scenario: TOML, CSV and GeoJSON as desk reads them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path as Folder
from typing import TYPE_CHECKING

from simulators.densities import DENSITIES
from simulators.geography import Path, to_deg

if TYPE_CHECKING:  # a scenario writes itself through this module
    from simulators.scenario import Permit, Route, Scale, Scenario, Site, Station, Truck

_FROM, _TO = "2022-01-01T00:00:00+08:00", "2023-01-01T00:00:00+08:00"
_HEADERS = {
    "trucks": "id,plate,type,axles,rated_kg,tare_kg,gross_limit_kg,company_zh,company_en,from,terminal",
    "scales": "id,site,name_zh,name_en,interval_kg",
    "stations": "id,site,name_zh,name_en,capacity_t_per_day",
    "permits": "id,from_site,to_site,route,hours,volume_m3,from,to,trucks",
    "densities": "stream,state,kg_per_m3,u_kg_per_m3,from",
}
Row = Sequence[object]


def write_registry(scenario: Scenario, folder: Folder) -> None:
    """Write all files of the registry into a folder, which is made when it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "registry.toml").write_text(_head(scenario), encoding="utf-8")
    _geojson(folder / "sites.geojson", map(_site, scenario.sites))
    _geojson(folder / "routes.geojson", map(_route, scenario.routes))
    _csv(folder, "trucks", [_truck(truck, "yes") for truck in scenario.trucks] + [_truck(truck, "no") for truck in scenario.vehicles])
    _csv(folder, "scales", map(_scale, scenario.scales))
    _csv(folder, "stations", map(_station, scenario.stations))
    _csv(folder, "permits", map(_permit, scenario.permits))
    _csv(folder, "densities", ((*density, "") for density in DENSITIES))


def _head(scenario: Scenario) -> str:
    pairs = {
        "district": scenario.district,
        "name_zh": scenario.name_zh,
        "name_en": scenario.name_en,
        "zone": scenario.zone,
        "cutoff": "00:00",
        "datum": "WGS-84",
    }
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in pairs.items())


def _truck(truck: Truck, terminal: str) -> Row:
    owner = truck.company
    return (
        *(truck.id, truck.plate, truck.type, truck.axles, truck.rated_kg, truck.tare_kg, truck.gross_limit_kg),
        *(owner.name_zh, owner.name_en, "", terminal),
    )


def _scale(scale: Scale) -> Row:
    return scale.id, scale.site.id, scale.name_zh, scale.name_en, scale.interval_kg


def _station(station: Station) -> Row:
    return station.id, station.site.id, station.name_zh, station.name_en, station.capacity_t_per_day


def _permit(permit: Permit) -> Row:
    route = permit.route
    trucks = ";".join(truck.id for truck in permit.trucks)
    return permit.id, route.from_site.id, route.to_site.id, route.id, permit.hours, permit.volume_m3, _FROM, _TO, trucks


def _site(site: Site) -> dict[str, object]:
    names = ("id", "role", "name_zh", "name_en", "capacity_t_per_day")
    return _feature({name: getattr(site, name) for name in names}, "Polygon", [_positions(site.ring_deg)])


def _route(route: Route) -> dict[str, object]:
    ends = {"from_site": route.from_site.id, "to_site": route.to_site.id}
    return _feature({"id": route.id, **ends, "width_m": route.width_m}, "LineString", _positions(to_deg(route.path)))


def _feature(properties: dict[str, object], shape: str, coordinates: object) -> dict[str, object]:
    return {"type": "Feature", "properties": properties, "geometry": {"type": shape, "coordinates": coordinates}}


def _positions(path_deg: Path) -> list[list[float]]:
    positions: list[list[float]] = path_deg.round(7).tolist()
    return positions


def _geojson(file: Folder, features: Iterable[dict[str, object]]) -> None:
    collection = {"type": "FeatureCollection", "datum": "WGS-84", "features": list(features)}
    file.write_text(json.dumps(collection, ensure_ascii=False, indent=1), encoding="utf-8")


def _csv(folder: Folder, name: str, rows: Iterable[Row]) -> None:
    with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(_HEADERS[name].split(","))
        writer.writerows(rows)
