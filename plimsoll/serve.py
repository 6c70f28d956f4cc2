"""`plimsoll serve`: the API and the console page over the store that a collector writes."""

import signal
import socket
from contextlib import closing
from dataclasses import replace
from types import FrameType

import uvicorn

from api.app import create_app
from api.deps import ApiSettings, Deps
from api.live import Live
from desk.books import Books
from desk.file import DeskFile
from plimsoll import assembly
from plimsoll.clock import Clock, ScaledClock
from plimsoll.errors import PlimsollError
from plimsoll.settings import Settings
from storage.store import EmbeddedStore

DELAY_MS = 10_000
"""So long may the program itself take; a scenario's clock counts that many times faster."""


def run(settings: Settings) -> int:
    """Serve until SIGINT or SIGTERM."""
    own, now, journal = settings.api, assembly.clock(settings), assembly.journal_path(settings)
    if not journal.exists():
        raise PlimsollError(
            f"{journal} is not there; expected the journal that `plimsoll collect` makes: start it first, with the same settings"
        )
    with EmbeddedStore(journal) as store, closing(DeskFile(assembly.desk_path(settings))) as desk:
        deps = Deps(store=store, registry=assembly.registry(settings), alerts=Books(desk), clock=now, settings=_bounds(settings, now))
        app = create_app(deps)
        config = uvicorn.Config(app, host=own.host, port=own.port, log_level="warning", timeout_graceful_shutdown=3)
        server = Server(config, app.state.live)
        # uvicorn takes both over while it serves, and raises again what ended it: without our own the process would die of it.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, server.end)
        server.run()
    return 0


class Server(uvicorn.Server):
    """Ends the live streams before it waits for what is open."""

    def __init__(self, config: uvicorn.Config, live: Live) -> None:
        super().__init__(config)
        self._live = live

    def end(self, _number: int, _frame: FrameType | None) -> None:
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._live.close()
        await super().shutdown(sockets)


def _bounds(settings: Settings, now: Clock) -> ApiSettings:
    standard = ApiSettings(tile_url=settings.api.tile_url or "", clock_behind_ms=settings.alerts.clock_behind_ms)
    more_ms = round(DELAY_MS * (now.speed - 1)) if isinstance(now, ScaledClock) else 0
    return replace(
        standard,
        stale_ms=standard.stale_ms + more_ms,
        lag_ms=standard.lag_ms + more_ms,
        clock_behind_ms=standard.clock_behind_ms + more_ms,
    )
