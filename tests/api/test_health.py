from typing import Any

import httpx
import pytest

from storage.database import JournalError


def broken() -> dict[str, dict[str, Any]]:
    raise JournalError("journal.sqlite: cannot read: disk I/O error")


def states(answer: httpx.Response) -> dict[str, str]:
    return {part["name"]: part["state"] for part in answer.json()["parts"]}


def test_a_well_pipeline_is_ok_with_each_part_and_its_lag(client: httpx.Client) -> None:
    answer = client.get("/health")
    assert (answer.status_code, answer.json()["state"]) == (200, "ok")
    (journal, source) = answer.json()["parts"]
    assert (journal["name"], journal["lag_s"], journal["detail"]) == ("journal", 0.12, {"commit": 1})
    assert (source["name"], source["lag_s"], source["updated_at"]) == ("source", 0.04, "2022-06-01T12:00:00.000+08:00")


@pytest.mark.parametrize(
    ("told", "part", "status"),
    [
        ({"state": "ok", "lag_ms": 90_000}, "degraded", 200),
        ({"state": "reconnecting", "lag_ms": 0}, "degraded", 200),
        ({"state": "down"}, "down", 503),
        ({}, "degraded", 200),
        ({"state": "ok", "lag_ms": None}, "ok", 200),
    ],
)
def test_the_whole_is_as_well_as_its_worst_part(world: Any, told: dict[str, Any], part: str, status: int) -> None:
    world.journal.put_status("source", told)
    answer = world.client().get("/health")
    assert (answer.status_code, answer.json()["state"], states(answer)) == (status, part, {"journal": "ok", "source": part})


def test_a_part_that_fell_silent_is_down_whatever_it_told_last(world: Any) -> None:
    world.clock.now_ms += 61_000
    answer = world.client().get("/health")
    assert (answer.status_code, states(answer)) == (503, {"journal": "down", "source": "down"})


def test_a_store_that_cannot_be_read_is_told_as_down_and_not_as_a_failure(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.store, "status", broken)
    answer = world.client().get("/health")
    assert (answer.status_code, states(answer)) == (503, {"store": "down"})


def test_metrics_are_read_from_the_store_at_every_scrape(world: Any) -> None:
    client = world.client()
    lines = set(client.get("/metrics").text.splitlines())
    assert {
        'plimsoll_readings_journalled_total{measurement="truck/reading"} 60.0',
        'plimsoll_readings_distinct{measurement="truck/reading"} 30.0',
        'plimsoll_readings_quarantined{measurement="truck/reading"} 1.0',
        'plimsoll_dead_letters{reason="not_json"} 1.0',
        'plimsoll_part_lag_seconds{part="source"} 0.04',
        'plimsoll_trucks{offline="true"} 3.0',
        "plimsoll_state 0.0",
        "plimsoll_live_listeners 0.0",
    } <= lines
    world.journal.put_status("source", {"state": "down"})
    assert "plimsoll_state 2.0" in client.get("/metrics").text
