"""``/live``: what changes, as server-sent events.

A listener pulls: it is sent the trucks that reported and the flags that changed since its own last look. Nothing is queued for it, so a
slow one costs no memory; it skips positions in between and never a flag. The id of an event is the flag cursor, and a browser that
reconnects sends it back as ``Last-Event-ID``.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from api import flags, trucks
from api.deps import Deps
from api.errors import ApiError
from api.shared import Shared

router = APIRouter(tags=["live"])

FLAGS_AT_ONCE = 200

Sent = dict[tuple[str, str], str | None]
"""The instant at which a listener was last shown each truck."""


def event(name: str, data: str, number: int | None = None) -> bytes:
    """One server-sent event; ``data`` is a single line of JSON."""
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: {name}\ndata: {data}\n\n".encode()


class Live:
    """The listeners of one application, which share one reading of the fleet per interval."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._listeners = 0
        self._closing = False
        self._fleet = Shared(lambda: trucks.fleet(deps, deps.clock()), deps.settings.live_interval_s)

    @property
    def listeners(self) -> int:
        return self._listeners

    def close(self) -> None:
        """Let every stream end at its next look. A server that stops waits for open streams: call this before it does."""
        self._closing = True

    def admit(self) -> None:
        """Refuse a listener too many."""
        most = self._deps.settings.live_listeners
        if self._closing or self._listeners >= most:
            message = f"{self._listeners} listeners are connected already"
            raise ApiError(503, "too_many_listeners", message, where="/live", expected=f"at most {most} at once; try again later")

    async def stream(self, after: int | None) -> AsyncIterator[bytes]:
        """Events until the listener goes or the application closes."""
        self._listeners += 1
        try:
            async for chunk in self._events(after):
                yield chunk
        finally:
            self._listeners -= 1

    async def _events(self, after: int | None) -> AsyncIterator[bytes]:
        settings, loop = self._deps.settings, asyncio.get_running_loop()
        cursor = await run_in_threadpool(flags.newest_change, self._deps) if after is None else after
        sent: Sent = {}
        spoke_at = loop.time()
        yield b"retry: 3000\n\n"
        while not self._closing:
            chunks, cursor = await self._changes(sent, cursor)
            if not chunks and loop.time() - spoke_at >= settings.heartbeat_s:
                chunks = [b": still here\n\n"]
            for chunk in chunks:
                spoke_at = loop.time()
                yield chunk
            await asyncio.sleep(settings.live_interval_s)

    async def _changes(self, sent: Sent, cursor: int) -> tuple[list[bytes], int]:
        """Events since the last look; ``sent`` (each truck's instant) is brought up to date."""
        moved = [truck for truck in await self._fleet.get() if sent.get((truck.district, truck.id), "") != _reported_at(truck)]
        sent.update({(truck.district, truck.id): _reported_at(truck) for truck in moved})
        changed, cursor = await run_in_threadpool(flags.changed_after, self._deps, cursor, FLAGS_AT_ONCE)
        chunks = [event("flag", flag.model_dump_json(), flag.change) for flag in changed]
        if moved:
            rows = json.dumps([truck.model_dump() for truck in moved], ensure_ascii=False, separators=(",", ":"))
            chunks.append(event("trucks", rows, cursor))
        return chunks, cursor


def _reported_at(truck: trucks.Truck) -> str | None:
    return truck.latest.at if truck.latest else None


@router.get("/live", response_class=StreamingResponse, responses={200: {"content": {"text/event-stream": {}}}})
async def live(
    request: Request,
    last_event_id: Annotated[int | None, Header(ge=0)] = None,
    after: Annotated[int | None, Query(ge=0, description="Flags changed after this change number; from now on by default")] = None,
) -> StreamingResponse:
    """Stream ``trucks`` (a list of truck positions) and ``flag`` (one changed flag, withdrawn ones included) events."""
    hub: Live = request.app.state.live
    hub.admit()
    stream = hub.stream(after if last_event_id is None else last_event_id)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
