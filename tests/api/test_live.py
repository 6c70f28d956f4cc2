"""Server-sent events over a real server and real sockets: what a browser would get."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from api.app import create_app
from core.events import FlagKind, Flags

pytestmark = pytest.mark.live


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The application on a free port, stopped as an operator would stop it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            app.state.live.close()
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive(), "the server did not stop while a stream was open"


def events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Events as a browser reads them; a comment is an event without a name."""
    told: dict[str, Any] = {}
    for line in lines:
        if line.startswith(":"):
            yield {"comment": line[1:].strip()}
        elif line:
            name, _, value = line.partition(": ")
            told[name] = json.loads(value) if name == "data" else value
        elif told:
            yield told
            told = {}


@contextmanager
def listening(url: str, **kwargs: Any) -> Iterator[Iterator[dict[str, Any]]]:
    with httpx.Client(timeout=10) as client, client.stream("GET", f"{url}/live", **kwargs) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        yield events(response.iter_lines())


def app_of(world: Any, **settings: Any) -> FastAPI:
    return create_app(replace(world.deps, settings=replace(world.deps.settings, **settings)))


def all_flags(world: Any) -> Flags:
    flags: Flags = world.store.flags(0, 4_000_000_000_000).rows
    return flags


def test_a_listener_gets_the_fleet_at_once_then_what_changes_and_heartbeats_between(world: Any) -> None:
    with served(app_of(world)) as url, listening(url) as stream:
        assert next(stream) == {"retry": "3000"}
        fleet = next(stream)
        assert (fleet["event"], len(fleet["data"])) == ("trucks", 5)
        assert next(stream) == {"comment": "still here"}
        flags = all_flags(world)
        latest = world.store.latest()
        moved = latest.take([0])
        moved.t_ms[:] += 10_000
        world.results.replace(moved, {int(moved.asset[0]): 0}, world.clock())
        world.results.replace(flags.take(flags.kind == FlagKind.GAP), None, world.clock())
        told = [event for event in (next(stream) for _ in range(6)) if "event" in event][:3]
    assert sorted((event["event"], len(event["data"])) for event in told if event["event"] == "trucks") == [("trucks", 1)]
    assert {event["data"]["kind"] for event in told if event["event"] == "flag" and event["data"]["withdrawn"]} == {
        "overload_payload",
        "spillage",
    }


def test_a_listener_that_returns_misses_no_flag(world: Any) -> None:
    with served(app_of(world)) as url:
        with listening(url) as stream:
            seen = next(event for event in stream if "id" in event)["id"]
        flags = all_flags(world)
        world.results.replace(flags.take(flags.kind == FlagKind.GAP), None, world.clock())
        with listening(url, headers={"Last-Event-ID": seen}) as stream:
            told = [event for event in (next(stream) for _ in range(4)) if event.get("event") == "flag"]
    assert {event["data"]["kind"] for event in told} == {"overload_payload", "spillage"}


def test_listeners_that_go_are_forgotten_and_one_too_many_is_refused(world: Any) -> None:
    app = app_of(world, live_listeners=1)
    with served(app) as url:
        with listening(url) as stream:
            next(stream)
            refusal = httpx.get(f"{url}/live")
            assert (refusal.status_code, refusal.json()["error"]["code"]) == (503, "too_many_listeners")
        deadline = time.monotonic() + 10
        while app.state.live.listeners and time.monotonic() < deadline:
            time.sleep(0.05)
        with listening(url) as stream:
            assert next(stream) == {"retry": "3000"}


def test_a_listener_that_reads_nothing_holds_no_one_else_up(world: Any) -> None:
    async def stuck(url: str) -> asyncio.StreamWriter:
        host, port = url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port), limit=1)
        writer.write(b"GET /live?after=0 HTTP/1.1\r\nHost: plimsoll\r\n\r\n")
        await writer.drain()
        return writer

    async def run(url: str) -> str:
        writers = [await stuck(url) for _ in range(20)]
        async with httpx.AsyncClient(timeout=5) as client:
            state: str = (await client.get(f"{url}/health")).json()["state"]
        for writer in writers:
            writer.close()
        return state

    with served(app_of(world)) as url:
        assert asyncio.run(run(url)) == "ok"
