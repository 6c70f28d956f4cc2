from typing import Any

import httpx
import pytest

from core.columns import Ints
from core.events import DayTotals
from core.readings import IN


def days(client: httpx.Client, site: str, **params: str) -> dict[str, Any]:
    answer = client.get(f"/facilities/{site}/days", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_every_total_names_its_source_and_the_intake_counts_the_best_witness_alone(client: httpx.Client) -> None:
    (today,) = days(client, "L01", **{"from": "2022-06-01"})["days"]
    totals = {(total["stream"], total["source"]): total["mass_t"] for total in today["totals"]}
    assert totals == {("domestic", "ticket"): 300.54, ("domestic", "onboard"): 290.0, ("fly_ash", "ticket"): 100.0}
    assert today["intake"] == {"source": "ticket", "mass_t": 400.54, "share_of_capacity": 0.5007}


def test_days_without_tonnes_are_there_and_empty(client: httpx.Client) -> None:
    answer = days(client, "D01")
    assert [day["day"] for day in answer["days"]] == [f"2022-05-{day}" for day in range(26, 32)] + ["2022-06-01"]
    assert [len(day["totals"]) for day in answer["days"]] == [0, 0, 0, 0, 0, 1, 0]
    assert answer["days"][-1]["intake"] is None
    assert (answer["zone"], answer["cutoff"]) == ("Asia/Shanghai", "00:00")


def test_an_operating_day_is_provisional_until_a_day_after_it_ended(client: httpx.Client) -> None:
    recent = days(client, "L01", **{"from": "2022-05-30"})["days"]
    assert [(day["day"], day["provisional"]) for day in recent] == [("2022-05-30", False), ("2022-05-31", True), ("2022-06-01", True)]
    assert (recent[0]["begins_at"], recent[0]["ends_at"]) == ("2022-05-30T00:00:00.000+08:00", "2022-05-31T00:00:00.000+08:00")


def test_a_transfer_stations_capacity_is_that_of_the_stations_on_its_ground(client: httpx.Client) -> None:
    assert days(client, "X01")["facility"]["capacity_t_per_day"] == 200.0


def test_the_list_has_every_facility_of_the_registry_with_its_day(client: httpx.Client) -> None:
    listed = client.get("/facilities").json()
    assert [row["facility"]["id"] for row in listed] == ["C01", "D01", "L01", "X01"]
    assert listed[2]["day"]["day"] == "2022-06-01"
    yesterday = client.get("/facilities", params={"day": "2022-05-31"}).json()
    assert yesterday[1]["day"]["intake"] == {"source": "onboard", "mass_t": 45.0, "share_of_capacity": 0.05}


@pytest.mark.parametrize(
    ("site", "params", "status"),
    [
        ("nowhere", {}, 404),
        ("L01", {"from": "2022-06-02", "to": "2022-06-01"}, 422),
        ("L01", {"from": "2020-01-01", "to": "2022-06-01"}, 422),
        ("L01", {"from": "yesterday"}, 422),
    ],
)
def test_a_day_span_is_refused_clearly(client: httpx.Client, site: str, params: dict[str, str], status: int) -> None:
    answer = client.get(f"/facilities/{site}/days", params=params)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"code", "message", "where", "expected"}


def test_a_facility_that_only_received_on_board_estimates_says_so_even_with_no_capacity(world: Any) -> None:
    day: Ints = world.store.day_totals(0, 100_000).rows.day
    totals = DayTotals.of(site=["C01"], day=[day.max()], stream=["muck"], direction=[IN], source=["onboard"], mass_kg=[1], count=[1])
    world.results.replace(totals, None, world.clock())
    (today,) = days(world.client(), "C01", **{"from": "2022-06-01"})["days"]
    assert today["intake"] == {"source": "onboard", "mass_t": 0.001, "share_of_capacity": None}


def test_geometry_states_its_datum(client: httpx.Client) -> None:
    sites, routes = client.get("/sites").json(), client.get("/routes").json()
    assert (sites["type"], sites["datum"], len(sites["features"])) == ("FeatureCollection", "WGS-84", 5)
    assert routes["features"][0]["geometry"]["coordinates"] == [[119.95, 31.7], [120.0, 31.66]]
