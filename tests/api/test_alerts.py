from typing import Any

import pytest

from desk.books import Alert


def alert(number: int, **columns: Any) -> Alert:
    told = {
        "id": f"0198-{number:04d}",
        "kind": "overload_payload",
        "subject": "T1",
        "asset": 1,
        "flag_start_ms": 1_654_050_000_000,
        "start_ms": 1_654_050_000_000,
        "end_ms": None,
        "severity": 2,
        "at_ms": 1_654_050_000_000,
        "lat_e7": 317_000_000,
        "lon_e7": 1_199_500_000,
        "value": 18_900.0,
        "threshold": 16_500.0,
        "u": 780.0,
        "rows": 40,
        "raised_ms": 1_654_050_000_000,
        "changed_ms": 1_654_050_000_000,
    }
    return Alert(**{**told, **columns})


def enter(world: Any, *alerts: Alert) -> None:
    for entry in alerts:
        world.desk.put(entry)


def test_an_alert_carries_its_evidence_and_its_stable_id(world: Any) -> None:
    enter(world, alert(1, rang_ms=1_654_050_001_000))
    (row,) = world.client().get("/alerts").json()["rows"]
    assert (row["id"], row["kind"], row["subject"], row["asset_kind"], row["severity"]) == (
        "0198-0001",
        "overload_payload",
        "T1",
        "truck",
        "fail",
    )
    assert (row["value"], row["limit"], row["u"], row["unit"], row["rows"]) == (18_900.0, 16_500.0, 780.0, "kg", 40)
    assert (row["position"], row["rang_at"]) == ({"lat_deg": 31.7, "lon_deg": 119.95}, "2022-06-01T10:20:01.000+08:00")
    assert (row["active"], row["withdrawn_at"], row["acknowledged_by"]) == (True, None, None)


def test_the_programs_own_alerts_have_no_asset(world: Any) -> None:
    nothing = dict.fromkeys(("lat_e7", "lon_e7", "value", "threshold", "u", "flag_start_ms"))
    enter(world, alert(1, kind="stalled", subject="derive", asset=0, rows=0, **nothing))
    (row,) = world.client().get("/alerts").json()["rows"]
    assert (row["asset_kind"], row["district"], row["unit"], row["position"]) == (None, "wujin", None, None)


def test_a_wrong_clock_is_of_its_truck_and_measured_in_time(world: Any) -> None:
    enter(world, alert(1, kind="clock_behind", flag_start_ms=None, value=28_800_000, threshold=900_000))
    (row,) = world.client().get("/alerts").json()["rows"]
    assert (row["asset_kind"], row["subject"], row["value"], row["limit"], row["unit"]) == ("truck", "T1", 28_800_000, 900_000, "ms")


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_pages_join_even_where_many_alerts_were_raised_in_one_millisecond(world: Any, limit: int) -> None:
    enter(world, *(alert(number, raised_ms=1_654_050_000_000 + number // 4) for number in range(10)))
    client = world.client()
    seen: list[str] = []
    params: dict[str, Any] = {"limit": limit}
    while True:
        page = client.get("/alerts", params=params).json()
        seen += [row["id"] for row in page["rows"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert seen == [f"0198-{number:04d}" for number in reversed(range(10))]


def test_only_active_ones_are_given_when_asked(world: Any) -> None:
    enter(world, alert(1), alert(2, end_ms=1_654_051_000_000), alert(3, withdrawn_ms=1_654_051_000_000))
    rows = world.client().get("/alerts", params={"active": True}).json()["rows"]
    assert [row["id"] for row in rows] == ["0198-0001"]
