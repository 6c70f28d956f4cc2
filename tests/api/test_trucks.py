from typing import Any

import httpx
import pytest


def by_id(client: httpx.Client, **params: Any) -> dict[str, Any]:
    trucks = client.get("/trucks", params=params).json()["trucks"]
    return {f"{truck['district']}/{truck['id']}": truck for truck in trucks}


def test_every_truck_that_reported_or_is_registered_with_a_terminal_is_listed_once(client: httpx.Client) -> None:
    assert sorted(by_id(client)) == ["liyang/T1", "wujin/T1", "wujin/T9", "wujin/stranger", "wujin/渣2"]


def test_a_truck_tells_its_position_load_and_registration(client: httpx.Client) -> None:
    truck = by_id(client)["wujin/T1"]
    assert truck["registration"]["plate"] == "苏D10001"
    assert truck["latest"] == {
        "at": "2022-06-01T11:59:55.000+08:00",
        "fix_at": "2022-06-01T11:59:55.000+08:00",
        "position": {"lat_deg": 31.7, "lon_deg": 119.95},
        "speed_kmh": 36.0,
        "heading_deg": 90.0,
        "moving": True,
        "load_kg": 16000.0,
        "loaded": True,
        "site": None,
    }
    assert (truck["offline"], truck["silent_s"]) == (False, 5.0)


def test_what_was_not_measured_is_null_and_never_zero(client: httpx.Client) -> None:
    latest = by_id(client)["wujin/stranger"]["latest"]
    assert [latest[name] for name in ("fix_at", "position", "speed_kmh", "load_kg", "loaded", "moving", "site")] == [None] * 7
    assert by_id(client)["wujin/渣2"]["latest"]["load_kg"] == 0.0


def test_unregistered_trucks_are_kept_and_shown_as_such(client: httpx.Client) -> None:
    trucks = by_id(client)
    assert [name for name, truck in trucks.items() if not truck["registered"]] == ["liyang/T1", "wujin/stranger"]


@pytest.mark.parametrize(
    ("params", "offline"),
    [
        ({}, ["liyang/T1", "wujin/T9", "wujin/渣2"]),
        ({"offline_after_s": 3600}, ["liyang/T1", "wujin/T9"]),
        ({"as_of": "2022-06-01T13:00:00+08:00"}, ["liyang/T1", "wujin/T1", "wujin/T9", "wujin/stranger", "wujin/渣2"]),
        ({"as_of": "2022-06-01T03:41:00Z"}, ["liyang/T1", "wujin/T9"]),
        ({"as_of": 1_654_056_000_000}, ["liyang/T1", "wujin/T9", "wujin/渣2"]),
    ],
)
def test_offline_is_judged_at_the_instant_that_was_asked(client: httpx.Client, params: dict[str, Any], offline: list[str]) -> None:
    assert [name for name, truck in by_id(client, **params).items() if truck["offline"]] == offline


def test_a_clock_that_is_behind_is_shown_and_makes_no_truck_look_silent(world: Any) -> None:
    hour_ms = 3_600_000
    latest = world.store.latest()
    row = latest.asset == world.number["渣2"]
    for name, ms in (("late_ms", 8 * hour_ms), ("steady_late_ms", 8 * hour_ms)):
        getattr(latest, name)[row] = ms
    latest.heard_ms[row], latest.steady_ms[row] = world.clock() - 1_000, world.clock() - hour_ms
    latest.t_ms[row] = world.clock() - 1_000 - 8 * hour_ms
    world.results.replace(latest, dict.fromkeys(latest.asset.tolist(), -1), world.clock())
    trucks = by_id(world.client())
    assert {name: truck["clock_behind_s"] for name, truck in trucks.items() if truck["clock_behind_s"]} == {"wujin/渣2": 28_800.0}
    assert (trucks["wujin/渣2"]["silent_s"], trucks["wujin/渣2"]["offline"]) == (1.0, False)
    assert trucks["wujin/T9"]["clock_behind_s"] is None


def test_a_track_comes_oldest_first_in_pages_that_join_without_gap_or_overlap(client: httpx.Client) -> None:
    seen: list[str] = []
    params: dict[str, Any] = {"limit": 12}
    while True:
        page = client.get("/trucks/T1/track", params=params).json()
        seen += [row["at"] for row in page["rows"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert len(seen) == 30
    assert seen == sorted(set(seen))


def test_a_span_is_half_open(client: httpx.Client) -> None:
    params = {"from": "2022-06-01T11:59:35+08:00", "to": "2022-06-01T11:59:55+08:00"}
    rows = client.get("/trucks/T1/track", params=params).json()["rows"]
    assert [row["at"][11:19] for row in rows] == ["11:59:35", "11:59:45"]


def test_a_plus_sign_that_arrives_as_a_space_is_still_an_offset(client: httpx.Client) -> None:
    rows = client.get("/trucks/T1/track?from=2022-06-01T11:59:35+08:00&to=2022-06-01T11:59:55+08:00").json()["rows"]
    assert len(rows) == 2


def test_a_chinese_name_works_url_encoded_and_a_registered_truck_without_readings_has_an_empty_track(client: httpx.Client) -> None:
    assert client.get("/trucks/%E6%B8%A32/track").json()["id"] == "渣2"
    assert client.get("/trucks/T9/track").json()["rows"] == []


def test_the_same_name_in_another_district_is_another_truck(client: httpx.Client) -> None:
    assert client.get("/trucks/T1/track", params={"district": "liyang"}).json()["rows"] == []
    assert client.get("/trucks/渣2/track", params={"district": "liyang"}).status_code == 404
