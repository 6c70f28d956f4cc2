import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from desk.entries import Hours
from desk.registry import FolderRegistry, Registry, RegistryError, core_sites, gross_limits_kg, truck_specs, trucks_at
from simulators.registry import write_registry
from simulators.wujin import scenario

Load = Callable[..., FolderRegistry]
JULY_MS = int(datetime(2022, 6, 30, 16, tzinfo=UTC).timestamp() * 1000)


def test_a_vehicle_has_a_terminal_unless_the_bureau_says_no(files: dict[str, str], load: Load) -> None:
    header, *rows = files["trucks.csv"].splitlines()
    told = "\n".join([f"{header},terminal", *(f"{row},{word}" for row, word in zip(rows, ("no", "yes", "", "no"), strict=True))])
    assert [truck.terminal for truck in load({"trucks.csv": told}).trucks()] == [False, True, True, False]
    assert all(truck.terminal for truck in load({}).trucks())
    with pytest.raises(RegistryError, match=r"trucks.csv, row 2, column terminal.*maybe.*yes, no"):
        load({"trucks.csv": told.replace(",no", ",maybe", 1)})


def test_a_folder_answers_with_everything_that_stands_in_it(load: Load) -> None:
    registry: Registry = load()
    assert (registry.district, registry.name_zh, registry.name_en) == ("wujin", "武进区", "Wujin")
    assert (registry.zone, registry.cutoff_min) == ("Asia/Shanghai", 0)
    assert [truck.id for truck in registry.trucks()] == ["T2", "T1", "T1", "T3"]
    assert [(site.id, site.role, site.capacity_t_per_day) for site in registry.sites()] == [
        ("C01", "construction", None),
        ("L01", "landfill", 1000.0),
    ]
    assert len(registry.sites()[0].rings) == 2
    assert registry.routes()[0].line == ((119.905, 31.705), (120.005, 31.705))
    assert registry.scales()[0].interval_kg == 20
    assert registry.stations()[0].capacity_t_per_day == 200
    assert registry.permits()[0].trucks == ("T1", "T2")
    assert registry.permits()[0].hours == Hours(19 * 60, 6 * 60)
    assert registry.densities()[0].kg_per_m3 == 1800


def test_a_district_needs_only_its_own_description(load: Load, files: dict[str, str]) -> None:
    registry = load({name: None for name in files if name != "registry.toml"})
    assert registry.trucks() == registry.sites() == registry.permits() == ()


def test_a_registration_without_an_instant_holds_from_the_first_reading(load: Load) -> None:
    specs = truck_specs(load(), {"T1": 7})
    assert specs.asset.tolist() == [7, 7]
    assert specs.from_ms.tolist() == [np.iinfo(np.int64).min, JULY_MS]
    assert specs.rated_kg.tolist() == [16500, 17500]


def test_specs_are_sorted_by_journal_number_and_leave_out_trucks_that_never_reported(load: Load) -> None:
    specs = truck_specs(load(), {"T3": 1, "T2": 9, "T1": 4, "stranger": 2})
    assert specs.asset.tolist() == [1, 4, 4, 9]
    assert len(truck_specs(load(), {})) == 0


def test_what_the_bureau_does_not_know_is_nan_to_the_core(load: Load) -> None:
    specs = truck_specs(load(), {"T3": 1})
    assert math.isnan(specs.rated_kg[0])
    assert math.isnan(specs.gross_limit_kg[0])


def test_a_plate_carries_the_limit_in_force_when_it_was_weighed(load: Load) -> None:
    limits = gross_limits_kg(load(), np.array(["苏D10001", "苏D10001", "苏D30003", "沪A1"]), np.array([JULY_MS - 1, JULY_MS, 0, 0]))
    assert limits[:2].tolist() == [30000, 31000]
    assert np.isnan(limits[2:]).all()


def test_the_registration_of_an_instant_is_the_newest_begun_by_then(load: Load) -> None:
    assert trucks_at(load(), JULY_MS - 1)["T1"].rated_kg == 16500
    assert trucks_at(load(), JULY_MS)["T1"].rated_kg == 17500


def test_sites_reach_the_core_in_the_registrys_order_with_holes_and_roles(load: Load) -> None:
    sites = core_sites(load())
    assert sites.ids.tolist() == ["C01", "L01"]
    lon_deg, lat_deg = np.array([119.901, 119.9055, 120.005, 119.95]), np.array([31.701, 31.7045, 31.705, 31.705])
    located = sites.locate(np.round(lat_deg * 1e7).astype(np.int32), np.round(lon_deg * 1e7).astype(np.int32))
    assert located.tolist() == [0, -1, 1, -1]


@pytest.mark.parametrize("file", ["sites.geojson", "routes.geojson"])
@pytest.mark.parametrize("datum", ['"datum": "GCJ-02", ', ""])
def test_geometry_that_does_not_say_wgs84_is_refused(load: Load, files: dict[str, str], file: str, datum: str) -> None:
    with pytest.raises(RegistryError, match=rf"{file}, datum.*WGS-84"):
        load({file: files[file].replace('"datum": "WGS-84", ', datum)})


def test_a_file_with_a_byte_order_mark_is_read(load: Load, files: dict[str, str]) -> None:
    assert len(load({"trucks.csv": b"\xef\xbb\xbf" + files["trucks.csv"].encode()}).trucks()) == 4


def test_columns_of_the_bureaus_own_are_left_alone(load: Load) -> None:
    assert load({"scales.csv": "note,id,site,name_zh,name_en,interval_kg\n旧,S1,L01,一号磅,Scale 1,20\n"}).scales()[0].id == "S1"


SPOILED = [
    ("trucks.csv", ",16000,", ",heavy,", ["trucks.csv, row 2, column rated_kg", "'heavy'", "a number above 0"]),
    ("trucks.csv", ",14500,", ",-1,", ["trucks.csv, row 2, column tare_kg", "'-1'"]),
    ("trucks.csv", ",14500,", ",inf,", ["row 2, column tare_kg", "'inf'"]),
    ("trucks.csv", "tarpaulin,4", "tarpaulin,4.5", ["row 2, column axles", "a whole number"]),
    ("trucks.csv", "tarpaulin", "tarp", ["row 2, column type", "one of smart, tarpaulin"]),
    ("trucks.csv", "T2,", "T/2,", ["row 2, column id", "'T/2'"]),
    ("trucks.csv", "T2,", ",", ["row 2, column id", "some text"]),
    ("trucks.csv", "+08:00", "", ["row 3, column from", "an instant with its offset"]),
    ("trucks.csv", "gross_limit_kg", "gross_kg", ["trucks.csv, row 1", "the column gross_limit_kg"]),
    ("trucks.csv", "T3,苏D30003,other,,,,,,,", "T3,苏D30003", ["trucks.csv, row 5", "10 cells"]),
    ("trucks.csv", "T3,苏D30003", "T2,苏D30003", ["trucks.csv, row 5, column id", "'T2'", "row 2"]),
    ("trucks.csv", "T3,苏D30003", "T3,苏D20002", ["trucks.csv, row 5, column plate", "row 2"]),
    ("trucks.csv", "T2,", '"T2"x,', ["trucks.csv, line 2", "RFC 4180"]),
    ("scales.csv", "S1,L01", "S1,L09", ["scales.csv, row 2, column site", "'L09'", "sites.geojson"]),
    ("scales.csv", "S1,L01,一号磅,Scale 1,20", "S1,L01,一号磅,Scale 1,0", ["row 2, column interval_kg"]),
    ("stations.csv", "M1,L01", "M1,X", ["stations.csv, row 2, column site"]),
    ("permits.csv", "19:00-06:00", "7pm-6am", ["permits.csv, row 2, column hours", "'7pm-6am'", "19:00-06:00"]),
    ("permits.csv", "19:00-06:00", "24:00-06:00", ["column hours"]),
    ("permits.csv", "T1;T2", "T1;T9", ["permits.csv, row 2, column trucks", "T9 is none"]),
    ("permits.csv", ",R01,", ",R9,", ["permits.csv, row 2, column route"]),
    ("permits.csv", "2023-01-01", "2021-01-01", ["permits.csv, row 2, column to", "an instant after"]),
    ("densities.csv", "muck", "mud", ["densities.csv, row 2, column stream"]),
    ("densities.csv", "muck,bank,1800,90,\n", "muck,bank,1800,90,\nmuck,bank,1700,90,\n", ["densities.csv, row 3, column stream", "row 2"]),
    ("registry.toml", "Asia/Shanghai", "Asia/Changzhou", ["registry.toml, column zone", "'Asia/Changzhou'", "IANA"]),
    ("registry.toml", "00:00", "24:00", ["registry.toml, column cutoff"]),
    ("registry.toml", "WGS-84", "BD-09", ["registry.toml, column datum"]),
    ("registry.toml", 'district = "wujin"\n', "", ["registry.toml", "the key district"]),
    ("registry.toml", "district =", "district", ["registry.toml", "TOML"]),
    ("sites.geojson", '"landfill"', '"dump"', ["sites.geojson, feature 2, column role", "'dump'"]),
    ("sites.geojson", '"capacity_t_per_day": 1000', '"capacity_t": 1000', ["feature 2", "the property capacity_t_per_day"]),
    ("sites.geojson", '"id": "L01"', '"id": "C01"', ["sites.geojson, feature 2, column id", "feature 1"]),
    ("sites.geojson", "[119.9, 31.7]]", "[119.9, 31.71]]", ["sites.geojson, feature 1, ring", "the last like the first"]),
    ("sites.geojson", "[119.91, 31.7]", "[31.7, 119.91]", ["sites.geojson, feature 1, position", "[31.7, 119.91]"]),
    ("sites.geojson", "[119.91, 31.7]", '["119.91", 31.7]', ["feature 1, position"]),
    ("sites.geojson", '"Polygon"', '"MultiPolygon"', ["feature 1, geometry type", "'MultiPolygon'", "Polygon"]),
    ("sites.geojson", '"FeatureCollection"', '"FeatureCollection', ["sites.geojson, line 1", "JSON"]),
    ("routes.geojson", '"to_site": "L01"', '"to_site": "L9"', ["routes.geojson, feature 1, column to_site"]),
    ("routes.geojson", "[[119.905, 31.705], ", "[", ["routes.geojson, feature 1", "at least two positions"]),
]


@pytest.mark.parametrize(("file", "good", "bad", "says"), SPOILED)
def test_what_cannot_be_used_is_refused_with_its_place_and_what_was_expected(
    load: Load, files: dict[str, str], file: str, good: str, bad: str, says: list[str]
) -> None:
    assert good in files[file]
    with pytest.raises(RegistryError) as refused:
        load({file: files[file].replace(good, bad, 1)})
    for part in [*says, "the registry was not loaded"]:
        assert part in str(refused.value)


def test_a_file_that_is_not_utf8_is_refused_by_name(load: Load, files: dict[str, str]) -> None:
    with pytest.raises(RegistryError, match=r"trucks\.csv, byte \d+.*expected UTF-8"):
        load({"trucks.csv": files["trucks.csv"].encode("gbk")})


def test_a_folder_without_a_description_is_refused(load: Load) -> None:
    with pytest.raises(RegistryError, match=r"registry\.toml cannot be read"):
        load({"registry.toml": None})


def test_a_misspelt_file_is_an_error_not_a_silence(load: Load, files: dict[str, str]) -> None:
    with pytest.raises(RegistryError, match=r"'truck\.csv', expected one of .*trucks\.csv"):
        load({"trucks.csv": None, "truck.csv": files["trucks.csv"]})


def test_the_scenarios_registry_is_in_order(tmp_path: Path) -> None:
    write_registry(scenario(), tmp_path / "registry")
    registry = FolderRegistry(tmp_path / "registry")
    smart = [truck for truck in registry.trucks() if truck.type == "smart"]
    assert (registry.district, len(smart)) == ("wujin", 196)
    assert len(core_sites(registry).ids) == len(registry.sites())
