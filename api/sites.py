"""``/sites`` and ``/routes``: the registry's geometry as GeoJSON, WGS-84."""

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel

from api.deps import Deps, DepsOf
from desk.entries import Route, Site

router = APIRouter(tags=["sites"])


class Feature(BaseModel):
    """A GeoJSON feature (RFC 7946)."""

    type: Literal["Feature"] = "Feature"
    properties: dict[str, Any]
    geometry: dict[str, Any]


class FeatureCollection(BaseModel):
    """A GeoJSON feature collection that states its datum."""

    type: Literal["FeatureCollection"] = "FeatureCollection"
    datum: Literal["WGS-84"] = "WGS-84"
    features: list[Feature]


def site_features(deps: Deps) -> FeatureCollection:
    """Every site as a polygon."""
    return FeatureCollection(features=[_site(site) for site in deps.registry.sites()])


def route_features(deps: Deps) -> FeatureCollection:
    """Every route as a line."""
    return FeatureCollection(features=[_route(route) for route in deps.registry.routes()])


def _site(site: Site) -> Feature:
    properties = {
        "id": site.id,
        "role": site.role,
        "name_zh": site.name_zh,
        "name_en": site.name_en,
        "capacity_t_per_day": site.capacity_t_per_day,
    }
    return Feature(properties=properties, geometry={"type": "Polygon", "coordinates": site.rings})


def _route(route: Route) -> Feature:
    properties = {"id": route.id, "from_site": route.from_site, "to_site": route.to_site, "width_m": route.width_m}
    return Feature(properties=properties, geometry={"type": "LineString", "coordinates": route.line})


@router.get("/sites")
def sites(deps: DepsOf) -> FeatureCollection:
    """Every site's polygon with its role and names."""
    return site_features(deps)


@router.get("/routes")
def routes(deps: DepsOf) -> FeatureCollection:
    """Every route's line."""
    return route_features(deps)
