import json
from typing import Any

import httpx
import pytest

from core.events import Latest
from storage.database import JournalError

SHAPE = {"code", "message", "where", "expected"}


def broken() -> Latest:
    raise JournalError("journal.sqlite: cannot read: disk I/O error")


@pytest.mark.parametrize(
    ("path", "params", "status", "where"),
    [
        ("/nothing/here", {}, 404, "/nothing/here"),
        ("/trucks/T77/track", {}, 404, "path.id"),
        ("/cycles", {"truck": "T77"}, 404, "query.truck"),
        ("/cycles", {"limit": 0}, 422, "query.limit"),
        ("/cycles", {"limit": "many"}, 422, "query.limit"),
        ("/cycles", {"cursor": "%%%"}, 422, "query.cursor"),
        ("/cycles", {"cursor": "WzFd"}, 422, "query.cursor"),
        ("/cycles", {"from": "2022-06-01T00:00:00"}, 422, "query.from"),
        ("/cycles", {"from": "noon"}, 422, "query.from"),
        ("/cycles", {"from": "9999-01-01T00:00:00Z"}, 422, "query.from"),
        ("/cycles", {"from": "2022-06-01T00:00:00Z", "to": "2022-06-01T00:00:00Z"}, 422, "query.from"),
        ("/cycles", {"from": "2022-01-01T00:00:00Z"}, 422, "query.from"),
        ("/flags", {"kind": "overweight"}, 422, "query.kind"),
        ("/trucks", {"offline_after_s": -1}, 422, "query.offline_after_s"),
    ],
)
def test_every_refusal_has_the_one_shape_and_says_where(client: httpx.Client, path: str, params: Any, status: int, where: str) -> None:
    answer = client.get(path, params=params)
    error = answer.json()["error"]
    assert (answer.status_code, error["where"], set(error)) == (status, where, SHAPE)
    assert all(isinstance(text, str) and text for text in error.values())


def test_a_refusal_names_the_value_and_what_was_expected(client: httpx.Client) -> None:
    error = client.get("/cycles", params={"from": "noon"}).json()["error"]
    assert "'noon'" in error["message"]
    assert "ISO 8601" in error["expected"]


def test_a_method_that_is_not_there_is_refused_in_the_same_shape(client: httpx.Client) -> None:
    answer = client.post("/trucks")
    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == "method_not_allowed"


def test_a_failure_of_ours_shows_no_insides(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.store, "latest", broken)
    answer = world.client().get("/trucks")
    assert answer.status_code == 500
    assert answer.json()["error"] == {
        "code": "internal",
        "message": "the server failed to answer; its log has the cause",
        "where": "/trucks",
        "expected": "an answer",
    }


def test_the_openapi_document_describes_every_path_and_the_error(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {
        *("/trucks", "/trucks/{id}/track", "/cycles", "/tickets", "/facilities", "/facilities/{id}/days", "/flags", "/alerts"),
        *("/sites", "/routes", "/health", "/metrics", "/live"),
    }
    assert "ErrorBody" in document["components"]["schemas"]
    assert "cdn" not in json.dumps(document)
    assert client.get("/docs").status_code == 404
