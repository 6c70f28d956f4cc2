"""Reads the registry's GeoJSON. Coordinates that do not say that they are WGS-84 are refused: GCJ-02 is hundreds of metres off."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from desk.entries import Line
from desk.sheets import Row, read_text, refusal

DATUM = "WGS-84"


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature's properties as a row, with its geometry still unread."""

    row: Row
    geometry: Any

    def polygon(self) -> tuple[Line, ...]:
        """The outline and its holes, each closed."""
        rings = self._coordinates("Polygon")
        if not isinstance(rings, list) or not rings:
            raise refusal(f"{self.row.place}, coordinates", rings, "a list of rings")
        return tuple(self._ring(ring) for ring in rings)

    def line(self) -> Line:
        positions = self._positions(self._coordinates("LineString"))
        if len(positions) < 2:
            raise refusal(f"{self.row.place}, coordinates", positions, "at least two positions")
        return positions

    def _coordinates(self, kind: str) -> Any:
        geometry = self.geometry if isinstance(self.geometry, dict) else {}
        if geometry.get("type") != kind:
            raise refusal(f"{self.row.place}, geometry type", geometry.get("type"), kind)
        return geometry.get("coordinates")

    def _ring(self, coordinates: Any) -> Line:
        ring = self._positions(coordinates)
        if len(ring) < 4 or ring[0] != ring[-1]:
            raise refusal(f"{self.row.place}, ring", ring, "at least four positions, the last like the first")
        return ring

    def _positions(self, coordinates: Any) -> Line:
        if not isinstance(coordinates, list):
            raise refusal(f"{self.row.place}, coordinates", coordinates, "a list of positions")
        return tuple(self._position(position) for position in coordinates)

    def _position(self, position: Any) -> tuple[float, float]:
        match position:
            case [int() | float() as lon_deg, int() | float() as lat_deg, *_] if abs(lon_deg) <= 180 and abs(lat_deg) <= 90:
                return float(lon_deg), float(lat_deg)
        raise refusal(f"{self.row.place}, position", position, "[longitude, latitude] in degrees")


def read_features(path: Path, properties: tuple[str, ...]) -> Iterator[Feature]:
    """The features of a GeoJSON file, counted from 1; none where there is no such file."""
    if not path.exists():
        return
    try:
        collection = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise refusal(f"{path.name}, line {error.lineno}", error.msg, "JSON") from error
    if not isinstance(collection, dict) or not isinstance(collection.get("features"), list):
        raise refusal(path.name, collection, "a FeatureCollection")
    if collection.get("datum") != DATUM:
        raise refusal(f"{path.name}, datum", collection.get("datum"), f'"{DATUM}", stated as a member of the FeatureCollection')
    for number, feature in enumerate(collection["features"], start=1):
        yield _feature(f"{path.name}, feature {number}", feature, properties)


def _feature(place: str, feature: Any, properties: tuple[str, ...]) -> Feature:
    if not isinstance(feature, dict) or not isinstance(feature.get("properties"), dict):
        raise refusal(place, feature, "a Feature with properties")
    given = feature["properties"]
    if missing := [name for name in properties if name not in given]:
        raise refusal(f"{place}, properties", sorted(given), f"the property {', '.join(missing)}")
    cells = {name: "" if given[name] is None else str(given[name]).strip() for name in properties}
    return Feature(Row(place, cells), feature.get("geometry"))
