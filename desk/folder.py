"""The registry that is a folder: registry.toml, GeoJSON for what lies on the ground, CSV for everything else.

The folder is read once and whole. What is wrong in it is refused with file, row, column, value and what was expected.
"""

import tomllib
from collections.abc import Callable, Hashable
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar, cast
from zoneinfo import ZoneInfo

from desk.entries import (
    DENSITY_STATES,
    ROLE_NAMES,
    STREAMS,
    TRUCK_TYPES,
    Density,
    DensityState,
    Permit,
    RoleName,
    Route,
    Scale,
    Site,
    Station,
    Stream,
    Truck,
    TruckType,
)
from desk.geometry import DATUM, Feature, read_features
from desk.sheets import DAY_MIN, RegistryError, Row, minutes, read_rows, read_text, refusal

T = TypeVar("T")
Entries = list[tuple[Row, T]]

DISTRICT_KEYS = ("district", "name_zh", "name_en", "zone", "cutoff", "datum")
TRUCK_COLUMNS = ("id", "plate", "type", "axles", "rated_kg", "tare_kg", "gross_limit_kg", "company_zh", "company_en", "from")
SCALE_COLUMNS = ("id", "site", "name_zh", "name_en", "interval_kg")
STATION_COLUMNS = ("id", "site", "name_zh", "name_en", "capacity_t_per_day")
PERMIT_COLUMNS = ("id", "from_site", "to_site", "route", "hours", "volume_m3", "from", "to", "trucks")
DENSITY_COLUMNS = ("stream", "state", "kg_per_m3", "u_kg_per_m3", "from")
SITE_PROPERTIES = ("id", "role", "name_zh", "name_en", "capacity_t_per_day")
ROUTE_PROPERTIES = ("id", "from_site", "to_site", "width_m")
FILES = ("sites.geojson", "routes.geojson", "trucks.csv", "scales.csv", "stations.csv", "permits.csv", "densities.csv")


class FolderRegistry:
    """The registry of one district, read from registry.toml and whichever of `FILES` there are.

    Raises
    ------
    RegistryError
        When anything in the folder cannot be used; nothing of it is loaded then.
    """

    def __init__(self, folder: Path) -> None:
        _refuse_misspelt_files(folder)
        self._read_district(folder / "registry.toml")
        entries: Entries[Any]
        sites = _features(folder / "sites.geojson", SITE_PROPERTIES, _site)
        routes = _features(folder / "routes.geojson", ROUTE_PROPERTIES, _route)
        trucks = _rows(folder / "trucks.csv", TRUCK_COLUMNS, _truck)
        scales = _rows(folder / "scales.csv", SCALE_COLUMNS, _scale)
        stations = _rows(folder / "stations.csv", STATION_COLUMNS, _station)
        permits = _rows(folder / "permits.csv", PERMIT_COLUMNS, _permit)
        densities = _rows(folder / "densities.csv", DENSITY_COLUMNS, _density)

        for entries in (sites, routes, scales, stations, permits):
            _refuse_repeated(entries, "id")
        _refuse_repeated(trucks, "id", "from_ms")
        _refuse_repeated(trucks, "plate", "from_ms")
        _refuse_repeated(densities, "stream", "state", "from_ms")
        for entries, column in ((scales, "site"), (stations, "site"), (routes, "from_site"), (routes, "to_site")):
            _refuse_unknown(entries, column, sites, "sites.geojson")
        _refuse_unknown(permits, "from_site", sites, "sites.geojson")
        _refuse_unknown(permits, "to_site", sites, "sites.geojson")
        _refuse_unknown(permits, "route", routes, "routes.geojson")
        _refuse_unknown(permits, "trucks", trucks, "trucks.csv")

        self._sites, self._routes, self._trucks = _bare(sites), _bare(routes), _bare(trucks)
        self._scales, self._stations = _bare(scales), _bare(stations)
        self._permits, self._densities = _bare(permits), _bare(densities)

    def trucks(self) -> tuple[Truck, ...]:
        return self._trucks

    def sites(self) -> tuple[Site, ...]:
        return self._sites

    def scales(self) -> tuple[Scale, ...]:
        return self._scales

    def stations(self) -> tuple[Station, ...]:
        return self._stations

    def routes(self) -> tuple[Route, ...]:
        return self._routes

    def permits(self) -> tuple[Permit, ...]:
        return self._permits

    def densities(self) -> tuple[Density, ...]:
        return self._densities

    def _read_district(self, path: Path) -> None:
        row = _read_toml(path)
        if row.cells["datum"] != DATUM:
            raise row.refuse("datum", f'"{DATUM}"')
        cutoff_min = minutes(row.cells["cutoff"])
        if cutoff_min is None or cutoff_min == DAY_MIN:
            raise row.refuse("cutoff", "a local time of day such as 00:00")
        self.district, self.name_zh, self.name_en = row.name("district"), row.text("name_zh"), row.text("name_en")
        self.zone, self.cutoff_min = _zone(row), cutoff_min


def _refuse_misspelt_files(folder: Path) -> None:
    for path in sorted(folder.glob("*")):
        if path.suffix in {".csv", ".geojson"} and path.name not in FILES:
            raise refusal(f"{folder.name}, file", path.name, f"one of {', '.join(FILES)}")


def _read_toml(path: Path) -> Row:
    try:
        given = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise RegistryError(f"{path.name}: {error}; expected TOML; the registry was not loaded") from error
    if missing := [key for key in DISTRICT_KEYS if key not in given]:
        raise refusal(f"{path.name}, keys", sorted(given), f"the key {', '.join(missing)}")
    return Row(path.name, {key: str(given[key]).strip() for key in DISTRICT_KEYS})


def _zone(row: Row) -> str:
    try:
        return ZoneInfo(row.text("zone")).key
    except (KeyError, ValueError, OSError) as error:
        raise row.refuse("zone", "an IANA zone such as Asia/Shanghai") from error


def _rows(path: Path, columns: tuple[str, ...], entry: Callable[[Row], T]) -> Entries[T]:
    return [(row, entry(row)) for row in read_rows(path, columns)]


def _features(path: Path, properties: tuple[str, ...], entry: Callable[[Feature], T]) -> Entries[T]:
    return [(feature.row, entry(feature)) for feature in read_features(path, properties)]


def _bare(entries: Entries[T]) -> tuple[T, ...]:
    return tuple(entry for _, entry in entries)


def _refuse_repeated(entries: Entries[Any], *names: str) -> None:
    key, first = attrgetter(*names), dict[Hashable, Row]()
    for row, entry in entries:
        earlier = first.setdefault(key(entry), row)
        if earlier is not row:
            raise row.refuse(names[0], f"a value that {earlier.place} has not taken" + (" from the same instant on" if names[1:] else ""))


def _refuse_unknown(entries: Entries[Any], column: str, among: Entries[Any], file: str) -> None:
    known = {entry.id for _, entry in among}
    for row, _ in entries:
        if unknown := [name for name in row.names(column) if name not in known]:
            raise row.refuse(column, f"an id of {file}; {', '.join(unknown)} is none")


def _truck(row: Row) -> Truck:
    return Truck(
        id=row.name("id"),
        plate=row.text("plate"),
        type=cast("TruckType", row.word("type", TRUCK_TYPES)),
        axles=row.maybe_whole("axles"),
        rated_kg=row.maybe_number("rated_kg"),
        tare_kg=row.maybe_number("tare_kg"),
        gross_limit_kg=row.maybe_number("gross_limit_kg"),
        company_zh=row.maybe_text("company_zh"),
        company_en=row.maybe_text("company_en"),
        from_ms=row.maybe_instant_ms("from"),
        terminal=row.maybe_no("terminal"),
    )


def _site(feature: Feature) -> Site:
    row = feature.row
    return Site(
        id=row.text("id"),
        role=cast("RoleName", row.word("role", ROLE_NAMES)),
        name_zh=row.text("name_zh"),
        name_en=row.text("name_en"),
        capacity_t_per_day=row.maybe_number("capacity_t_per_day"),
        rings=feature.polygon(),
    )


def _route(feature: Feature) -> Route:
    row = feature.row
    return Route(
        id=row.text("id"),
        from_site=row.text("from_site"),
        to_site=row.text("to_site"),
        width_m=row.number("width_m"),
        line=feature.line(),
    )


def _scale(row: Row) -> Scale:
    return Scale(
        id=row.name("id"),
        site=row.text("site"),
        name_zh=row.text("name_zh"),
        name_en=row.text("name_en"),
        interval_kg=row.number("interval_kg"),
    )


def _station(row: Row) -> Station:
    return Station(
        id=row.name("id"),
        site=row.text("site"),
        name_zh=row.text("name_zh"),
        name_en=row.text("name_en"),
        capacity_t_per_day=row.maybe_number("capacity_t_per_day"),
    )


def _permit(row: Row) -> Permit:
    permit = Permit(
        id=row.text("id"),
        from_site=row.text("from_site"),
        to_site=row.text("to_site"),
        route=row.maybe_text("route") or None,
        hours=row.hours("hours"),
        volume_m3=row.number("volume_m3"),
        from_ms=row.instant_ms("from"),
        to_ms=row.instant_ms("to"),
        trucks=row.names("trucks"),
    )
    if permit.to_ms <= permit.from_ms:
        raise row.refuse("to", f"an instant after {row.cells['from']}")
    return permit


def _density(row: Row) -> Density:
    return Density(
        stream=cast("Stream", row.word("stream", STREAMS)),
        state=cast("DensityState", row.word("state", DENSITY_STATES)),
        kg_per_m3=row.number("kg_per_m3"),
        u_kg_per_m3=row.number("u_kg_per_m3", zero=True),
        from_ms=row.maybe_instant_ms("from"),
    )
