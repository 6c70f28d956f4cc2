from typing import Any, get_args

import httpx
import pytest

from api.flags import FLAG_NAMES, FlagName
from core.events import FlagKind


def rows(client: httpx.Client, path: str, **params: Any) -> list[dict[str, Any]]:
    answer = client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["rows"]
    return found


def test_cycles_come_newest_first_with_payload_uncertainty_and_evidence(client: httpx.Client) -> None:
    newest, _, oldest = rows(client, "/cycles")
    assert (newest["truck"], newest["end_at"], newest["depart_at"], newest["dump_signs"]) == ("T1", None, None, [])
    assert newest["payload"] == {"source": "onboard", "mass_kg": None, "u_kg": None, "rows": 0, "rules_version": "1"}
    assert oldest["start_at"] == "2022-06-01T09:00:00.000+08:00"
    assert oldest["payload"] == {"source": "onboard", "mass_kg": 18900.0, "u_kg": 780.0, "rows": 300, "rules_version": "1"}
    assert (oldest["load_site"], oldest["dump_site"], oldest["haul_m"]) == ("C01", "D01", 9300)
    assert (oldest["load_signs"], oldest["dump_signs"]) == (["load", "site"], ["load", "lift", "site"])


@pytest.mark.parametrize(
    ("params", "trucks"),
    [
        ({"truck": "渣2"}, ["渣2"]),
        ({"truck": "T9"}, []),
        ({"from": "2022-06-01T09:30:00+08:00", "to": "2022-06-01T09:40:00+08:00"}, ["T1"]),
        ({"to": "2022-06-01T00:00:00Z"}, []),
    ],
)
def test_cycles_are_chosen_by_truck_and_by_an_overlapping_span(client: httpx.Client, params: dict[str, str], trucks: list[str]) -> None:
    assert [cycle["truck"] for cycle in rows(client, "/cycles", **params)] == trucks


def test_a_page_ends_with_the_cursor_of_the_next_and_the_last_with_none(client: httpx.Client) -> None:
    first = client.get("/cycles", params={"limit": 2}).json()
    second = client.get("/cycles", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [cycle["start_at"][11:16] for cycle in first["rows"] + second["rows"]] == ["11:40", "10:00", "09:00"]
    assert second["next_cursor"] is None


def test_a_ticket_is_evidence_and_says_so(client: httpx.Client) -> None:
    newest, paired = rows(client, "/tickets")
    assert (newest["number"], newest["paired"], newest["direction"], newest["stream"]) == ("A-2", False, "in", "fly_ash")
    assert (paired["scale"], paired["site"], paired["source"]) == ("S1", "L01", "ticket")
    assert (paired["gross_kg"], paired["tare_kg"], paired["net_kg"]) == (30_020, 13_480, 16_540)
    assert (paired["first_at"][11:16], paired["second_at"][11:16]) == ("11:10", "11:15")


def test_tickets_are_found_by_plate_and_by_scale(client: httpx.Client) -> None:
    assert [ticket["number"] for ticket in rows(client, "/tickets", plate="苏D10001")] == ["A-1"]
    assert len(rows(client, "/tickets", scale="S1")) == 2
    assert client.get("/tickets", params={"scale": "S2"}).status_code == 404


def test_a_flag_explains_itself(client: httpx.Client) -> None:
    *_, overload = rows(client, "/flags")
    assert overload == {
        "district": "wujin",
        "asset_kind": "truck",
        "asset": "T1",
        "kind": "overload_payload",
        "severity": "fail",
        "rule": "the payload of the haul is over the truck's rated payload",
        "source": "onboard",
        "start_at": "2022-06-01T09:30:00.000+08:00",
        "end_at": "2022-06-01T09:31:00.000+08:00",
        "active": False,
        "at": "2022-06-01T09:30:00.000+08:00",
        "position": {"lat_deg": 31.7, "lon_deg": 119.95},
        "unit": "kg",
        "value": 18900.0,
        "limit": 16500.0,
        "u": 780.0,
        "rules_version": "1",
        "rows": 40,
        "revision": 0,
        "withdrawn": False,
        "change": overload["change"],
    }


@pytest.mark.parametrize(
    ("params", "kinds"),
    [
        ({}, ["spillage", "gap", "overload_payload"]),
        ({"kind": "gap"}, ["gap"]),
        ({"severity": "conditional"}, ["spillage", "overload_payload"]),
        ({"truck": "渣2"}, ["spillage"]),
        ({"scale": "S1"}, []),
        ({"limit": 1}, ["spillage"]),
    ],
)
def test_flags_are_chosen_by_kind_severity_and_asset(client: httpx.Client, params: dict[str, Any], kinds: list[str]) -> None:
    assert [flag["kind"] for flag in rows(client, "/flags", **params)] == kinds


def test_every_kind_of_flag_has_its_name_in_the_api() -> None:
    assert {FLAG_NAMES[kind]: kind.name.lower() for kind in FlagKind} == {name: name for name in get_args(FlagName)}
