"""`plimsoll demo`: collector, API with the console page, and simulators, each a process of its own, on one scenario clock.

The data folder holds everything: registry, settings, clock, journal, logs. A second start goes on with all of it.
"""

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.table import Table

from core.columns import OPEN_MS
from core.days import operating_day
from core.events import FlagKind
from core.readings import IN
from desk.books import Books
from desk.file import DeskFile
from plimsoll import assembly
from plimsoll.clock import ScaledClock
from plimsoll.errors import PlimsollError
from plimsoll.settings import Api, Data, Endpoint, Settings
from simulators.scenario import Scenario
from storage.store import EmbeddedStore

FOLDER = Path("plimsoll-data/demo")
START = "2022-06-15T09:45:00+08:00"
"""A weekday's morning: the day's construction sites are at work, and landfill, incinerator and stations are open."""
READY_S = 60.0
STOP_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """What to start, and where."""

    folder: Path
    scenario: Scenario
    seed: int
    speed: float
    batch: int
    http_port: int
    mqtt_port: int


def run(what: Demo, console: Console) -> int:
    """Run until Ctrl-C; 0 when everything stopped cleanly, 1 when a part died."""
    what.folder.mkdir(parents=True, exist_ok=True)
    for port in (what.http_port, what.mqtt_port):
        _refuse_taken(port)
    what.scenario.write_registry(what.folder / "registry")
    settings, settings_file = _settings(what)
    start_ms = int(datetime.fromisoformat(START).timestamp() * 1000)
    now = ScaledClock.resume(what.folder / "clock.json", start_ms=start_ms, speed=what.speed)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    console.print(f"playing {what.scenario.name_en} at {what.speed:g}× real speed; data and logs in {what.folder}; Ctrl-C stops")
    with _processes(what, settings_file, stop) as parts:
        _show(what, settings, now, parts, stop, console)
    now.remember()
    died = [part.name for part in parts if part.died]
    if died:
        raise PlimsollError(
            f"{', '.join(died)} ended by itself; expected to run until Ctrl-C: see {what.folder}/*.log; everything else was stopped"
        )
    return 0


def _settings(what: Demo) -> tuple[Settings, Path]:
    """The settings of all processes, and the file that tells them."""
    folder = what.folder.absolute()
    settings = Settings(
        data=Data(folder=folder, registry=folder / "registry", clock=folder / "clock.json"),
        endpoint=Endpoint(port=what.mqtt_port),
        api=Api(port=what.http_port),
    )
    file = folder / "settings.toml"
    file.write_text(
        f"[data]\nfolder = '{folder}'\nregistry = '{folder / 'registry'}'\nclock = '{folder / 'clock.json'}'\n"
        f"[endpoint]\nport = {what.mqtt_port}\n[api]\nport = {what.http_port}\n",
        encoding="utf-8",
    )
    return settings, file


class Part:
    """One process of the demo, with its log."""

    def __init__(self, name: str, words: list[str], log: Path) -> None:
        self.name, self._log = name, log.open("ab")
        # A session of its own: Ctrl-C reaches this process only, which then ends the parts in order.
        command = [sys.executable, "-m", "plimsoll", *words]
        self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and our own words
            command, stdout=self._log, stderr=self._log, stdin=subprocess.DEVNULL, start_new_session=True
        )
        self.died = False

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def end(self) -> None:
        self.died = self.ended
        if not self.died:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
                self.died = True
        self._log.close()


@contextlib.contextmanager
def _processes(what: Demo, settings: Path, stop: threading.Event) -> Iterator[list[Part]]:
    """Start the parts in order, each when the one before it answers; end them in the opposite order."""
    parts: list[Part] = []

    def start(name: str, words: list[str], port: int | None = None) -> None:
        if stop.is_set() or any(part.ended for part in parts):
            return
        parts.append(Part(name, words, what.folder / f"{name}.log"))
        if port is not None:
            _wait_for(port, parts[-1], stop)

    try:
        start("collector", ["collect", "--settings", str(settings)], what.mqtt_port)
        play = ["--settings", str(settings), "--port", str(what.mqtt_port), "--seed", str(what.seed), "--batch", str(what.batch)]
        start("simulators", ["simulate", *play])
        start("api", ["serve", "--settings", str(settings)], what.http_port)
        yield parts
    finally:
        for part in reversed(parts):
            part.end()


def _wait_for(port: int, part: Part, stop: threading.Event) -> None:
    deadline = time.monotonic() + READY_S
    while not (_answers(port) or part.ended or stop.wait(0.1)):
        if time.monotonic() > deadline:
            raise PlimsollError(f"{part.name} does not answer on port {port} after {READY_S:g} s; see its log")


def _refuse_taken(port: int) -> None:
    if _answers(port):
        raise PlimsollError(f"port {port} is taken; choose another with --http-port or --mqtt-port, or end what listens there")


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
        return True
    return False


def _show(what: Demo, settings: Settings, now: ScaledClock, parts: list[Part], stop: threading.Event, console: Console) -> None:
    """The live summary, until told to stop or a part has ended."""
    page = f"http://127.0.0.1:{what.http_port}"
    with (
        EmbeddedStore(assembly.journal_path(settings)) as store,
        contextlib.closing(DeskFile(assembly.desk_path(settings))) as desk,
        Live(console=console, auto_refresh=False, transient=False) as live,
    ):
        while not (stop.is_set() or any(part.ended for part in parts)):
            live.update(summary(store, Books(desk), now(), what.scenario.zone, page), refresh=True)
            now.remember()
            stop.wait(1.0)


def summary(store: EmbeddedStore, books: Books, now_ms: int, zone: str, page: str) -> Table:
    """What a glance should tell: readings in, cycles closed, tonnes today, flags, alerts."""
    today = int(operating_day(np.array([now_ms]), zone, 0)[0])
    cycles = store.cycles(now_ms - 86_400_000, now_ms, limit=100_000).rows
    flags = store.flags(now_ms - 86_400_000, now_ms, limit=100_000).rows
    totals = store.day_totals(today, today + 1).rows
    table = Table(
        title=f"{datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}   {page}", show_header=False
    )
    table.add_row("readings in", f"{sum(store.received().values()):,}")
    table.add_row("trucks reporting", f"{len(store.latest()):,}")
    table.add_row("cycles closed (24 h)", f"{int((cycles.end_ms != OPEN_MS).sum()):,}")
    for source in ("ticket", "movement", "onboard"):
        mine = (totals.source == source) & (totals.direction == IN)
        table.add_row(f"tonnes in today ({source})", f"{totals.mass_kg[mine].sum() / 1000:,.1f}")
    kinds, counts = np.unique(flags.kind, return_counts=True)
    told = ", ".join(f"{FlagKind(kind).name.lower()} {count}" for kind, count in zip(kinds.tolist(), counts.tolist(), strict=True))
    table.add_row("flags (24 h)", told or "none")
    table.add_row("active alerts", f"{len(books.list(1_000, active=True)):,}")
    return table
