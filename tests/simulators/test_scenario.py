import csv
import json
import tomllib
from collections import Counter
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from shapely.geometry import LineString, Polygon

from simulators.geography import along, rectangle
from simulators.scenario import Scenario
from simulators.wujin import scenario as wujin_2022


@pytest.fixture(scope="module")
def registry(wujin: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("registry")
    wujin.write_registry(folder)
    return folder


def rows(registry: Path, name: str) -> list[dict[str, str]]:
    with (registry / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def features(registry: Path, name: str) -> list[dict]:
    collection = json.loads((registry / f"{name}.geojson").read_text(encoding="utf-8"))
    assert collection["datum"] == "WGS-84"
    return collection["features"]


def test_the_fleet_is_the_published_one(wujin: Scenario):
    assert Counter(truck.type for truck in wujin.trucks) == {"smart": 196, "tarpaulin": 106, "other": 2}


def test_there_are_as_many_sites_as_published(wujin: Scenario):
    roles = Counter(site.role for site in wujin.sites)
    assert roles["construction"] == 12
    assert roles["disposal"] == 16
    assert (roles["landfill"], roles["incinerator"], roles["transfer"], roles["forbidden"]) == (1, 1, 2, 1)


def test_equal_seeds_give_equal_districts_and_others_do_not(wujin: Scenario, registry: Path, tmp_path: Path):
    wujin_2022().write_registry(tmp_path / "same")
    wujin_2022(seed=7).write_registry(tmp_path / "other")
    for file in registry.iterdir():
        assert (tmp_path / "same" / file.name).read_bytes() == file.read_bytes()
    assert (tmp_path / "other" / "trucks.csv").read_bytes() != (registry / "trucks.csv").read_bytes()


def test_each_truck_works_under_one_permit(wujin: Scenario):
    named = [truck.id for permit in wujin.permits for truck in permit.trucks]
    assert sorted(named) == sorted(truck.id for truck in wujin.trucks)


def test_every_disposal_site_is_served_and_the_hauls_are_long_enough_to_show_a_step(wujin: Scenario):
    assert {route.to_site.id for route in wujin.routes} == {site.id for site in wujin.sites if site.role == "disposal"}
    assert min(along(route.path)[-1] for route in wujin.routes) > 5_000


def test_trucks_whose_load_cannot_be_told_work_to_a_weighbridge(wujin: Scenario):
    special = [truck for truck in wujin.trucks if truck.type == "other"] + [wujin.clock_behind]
    assert all(wujin.permit_of[truck.id].route.to_site.id in wujin.scale_at for truck in special)


def test_sites_lie_apart_and_routes_touch_only_their_own(wujin: Scenario):
    shapes = {site.id: Polygon(rectangle(site.centre, site.width_m, site.height_m, site.turn_rad)) for site in wujin.sites}
    assert len({site.block for site in wujin.sites}) == len(wujin.sites)
    for route in wujin.routes:
        touched = {key for key, shape in shapes.items() if shape.intersects(LineString(route.path))}
        assert touched == {route.from_site.id, route.to_site.id}


def test_limits_follow_the_number_of_axles_and_leave_the_rated_payload(wujin: Scenario):
    for truck in (*wujin.trucks, *wujin.vehicles):
        assert truck.gross_limit_kg == {3: 25_000, 4: 31_000}[truck.axles]
        assert 10_000 < truck.rated_kg <= truck.gross_limit_kg - truck.tare_kg


def test_the_registry_names_its_zone_and_datum(registry: Path):
    head = tomllib.loads((registry / "registry.toml").read_text(encoding="utf-8"))
    assert head["district"] == "wujin"
    assert (head["zone"], head["cutoff"], head["datum"]) == ("Asia/Shanghai", "00:00", "WGS-84")


def test_the_registry_s_sites_are_sensible_closed_polygons_around_wujin(registry: Path):
    for feature in features(registry, "sites"):
        (ring,) = feature["geometry"]["coordinates"]
        shape = Polygon(ring)
        assert ring[0] == ring[-1]
        assert shape.is_valid
        west, south, east, north = shape.bounds
        assert 119.7 < west < east < 120.2
        assert 31.45 < south < north < 31.85
        sides_m = np.hypot(np.diff([lon for lon, _ in ring]) * 94_650, np.diff([lat for _, lat in ring]) * 111_195)
        assert sides_m.min() > 85
        assert sides_m.max() < 505


def test_the_registry_s_routes_join_their_sites(registry: Path):
    shapes = {one["properties"]["id"]: Polygon(one["geometry"]["coordinates"][0]) for one in features(registry, "sites")}
    for feature in features(registry, "routes"):
        line, facts = LineString(feature["geometry"]["coordinates"]), feature["properties"]
        assert shapes[facts["from_site"]].covers(line.interpolate(0))
        assert shapes[facts["to_site"]].covers(line.interpolate(line.length))
        assert facts["width_m"] == 50


def test_every_reference_in_the_registry_s_tables_is_kept(registry: Path):
    sites = {one["properties"]["id"] for one in features(registry, "sites")}
    routes = {one["properties"]["id"] for one in features(registry, "routes")}
    trucks = {row["id"] for row in rows(registry, "trucks")}
    assert len(trucks) == len({row["plate"] for row in rows(registry, "trucks")}) == 304 + 90
    assert {row["site"] for row in rows(registry, "scales") + rows(registry, "stations")} <= sites
    for permit in rows(registry, "permits"):
        assert {permit["from_site"], permit["to_site"]} <= sites
        assert permit["route"] in routes
        assert set(permit["trucks"].split(";")) <= trucks
        assert datetime.fromisoformat(permit["from"]) < datetime.fromisoformat(permit["to"])
        assert float(permit["volume_m3"]) > 0


def test_permitted_volumes_cover_the_year(registry: Path):
    assert sum(float(row["volume_m3"]) for row in rows(registry, "permits")) == pytest.approx(1_505_600 * 1.15, rel=0.01)


def test_densities_state_bank_and_loose(registry: Path):
    muck = {row["state"]: float(row["kg_per_m3"]) for row in rows(registry, "densities") if row["stream"] == "muck"}
    assert muck["bank"] > muck["loose"] > 0
