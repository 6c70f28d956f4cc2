"""`plimsoll` as real processes on free loopback ports, each with a folder and a log of its own, ended by their process ids."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from storage.database import JournalError, Readers
from storage.store import EmbeddedStore
from tests.live.servers import HOST, free_port, listens

START_S = 60.0
"""So long may a start take on a machine that has other things to do."""
STOP_S = 30.0


class Way(NamedTuple):
    """How messages reach the collector: the port to publish to, and what the settings say of it."""

    name: str
    port: int
    settings: str


def endpoint_way() -> Way:
    port = free_port()
    return Way("endpoint", port, f"[endpoint]\nport = {port}\n")


def broker_way(port: int) -> Way:
    return Way("mosquitto", port, f'[collector]\nsource = "broker"\n[broker]\nport = {port}\n')


@dataclass
class Program:
    """One `plimsoll` command, startable again."""

    words: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "plimsoll", *self.words], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    @property
    def running(self) -> subprocess.Popen[bytes]:
        assert self.process is not None, "it was not started"
        return self.process

    def stop(self) -> int:
        """Ask it to end, and see how it did."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop it where it is; the next that it gets is `kill`."""
        os.kill(self.running.pid, signal.SIGSTOP)

    def finish(self, timeout_s: float) -> int:
        """Wait until it has done its work."""
        self._wait(timeout_s)
        code = self.running.returncode
        self.process = None
        return code

    def until(self, true: Callable[[], bool], what: str, timeout_s: float = START_S) -> None:
        """Wait for something to become true while it runs; say what did not, with the end of its log."""
        end_s = time.monotonic() + timeout_s
        while not true():
            assert self.running.poll() is None, f"{self.words[0]} ended with {self.running.returncode} before {what}:\n{self.tail()}"
            assert time.monotonic() < end_s, f"{what} took longer than {timeout_s:g} s:\n{self.tail()}"
            time.sleep(0.05)

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-3_000:]

    def _end(self, number: signal.Signals) -> int:
        if self.process is None:
            return 0
        if self.process.poll() is None:
            os.kill(self.process.pid, number)
        return self.finish(STOP_S)

    def _wait(self, timeout_s: float) -> None:
        try:
            self.running.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.running.kill()
            self.running.wait()
            raise AssertionError(f"{self.words[0]} did not end within {timeout_s:g} s:\n{self.tail()}") from None


class Position(NamedTuple):
    """How far a journal and its results are."""

    journalled: int
    derived: int
    change: int


class District:
    """A folder with registry, settings and data, and the collector and the API over it."""

    def __init__(self, folder: Path, way: Way) -> None:
        self.folder, self.way = folder, way
        self.registry, self.data, self.settings = folder / "registry", folder / "data", folder / "settings.toml"
        self.journal = self.data / "journal.sqlite"
        self.http_port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self.settings.write_text(
            f"[data]\nfolder = '{self.data}'\nregistry = '{self.registry}'\n{way.settings}[api]\nport = {self.http_port}\n",
            encoding="utf-8",
        )
        self.collector = Program(["--log", "info", "collect", "--settings", str(self.settings)], folder / "collector.log")
        self.api = Program(["serve", "--settings", str(self.settings)], folder / "api.log")
        self._started_ms = 0

    def write_registry(self, district: str, zone: str, **files: str) -> None:
        """A registry of this district with no other files than these."""
        self.registry.mkdir(exist_ok=True)
        names = "".join(f'{key} = "{district}"\n' for key in ("district", "name_zh", "name_en"))
        toml = f'{names}zone = "{zone}"\ncutoff = "00:00"\ndatum = "WGS-84"\n'
        for name, text in {"registry.toml": toml, **files}.items():
            (self.registry / name).write_text(text, encoding="utf-8")

    def start_collector(self) -> None:
        """Start it and wait until it takes messages."""
        self.spawn_collector()
        self.collector.until(self.takes_messages, f"the collector took messages through {self.way.name}")

    def spawn_collector(self) -> None:
        self._started_ms = time.time_ns() // 1_000_000
        self.collector.start()

    def takes_messages(self) -> bool:
        if self.way.name == "endpoint":
            return listens(self.way.port)
        with suppress(JournalError):  # no file yet, or nothing in it
            return bool(self.status("source").get("state") == "ok")
        return False

    def status(self, part: str) -> dict[str, Any]:
        """What a part says of itself since this start of the collector."""
        said = self.store.status().get(part, {})
        return said if said.get("updated_ms", 0) >= self._started_ms else {}

    def take_in(self, messages: int, timeout_s: float = 120.0) -> None:
        """Wait until the collector has taken so many messages since its start, and derived them."""
        self.collector.until(lambda: self.status("source").get("messages", 0) >= messages, f"taking in {messages:,} messages", timeout_s)
        self.derive(timeout_s)

    def derive(self, timeout_s: float = 120.0) -> None:
        """Wait until everything that is journalled is derived."""
        self.collector.until(lambda: self.position.journalled == self.position.derived, "deriving what is journalled", timeout_s)

    def start_api(self) -> None:
        self.api.start()
        self.api.until(lambda: listens(self.http_port), "the API answered")

    def ask(self, path: str) -> Any:
        """What the API answers."""
        with urllib.request.urlopen(f"http://{HOST}:{self.http_port}{path}", timeout=30) as answer:
            return json.load(answer)

    @cached_property
    def store(self) -> EmbeddedStore:
        return EmbeddedStore(self.journal)

    @cached_property
    def readers(self) -> Readers:
        return Readers(self.journal)

    @property
    def position(self) -> Position:
        with self.readers.snapshot() as db:
            return Position(*db.execute("select journalled, derived, change from position").fetchone())

    def close(self) -> None:
        """End what runs; both must end by themselves when they are asked."""
        codes = [self.api.stop(), self.collector.stop()]
        self.store.close()
        self.readers.close()
        assert codes == [0, 0], (
            f"exit codes of API and collector: {codes}\n{self.api.log.exists() and self.api.tail()}\n{self.collector.tail()}"
        )


@contextmanager
def running_district(folder: Path, way: Way) -> Iterator[District]:
    """A district whose processes end with the block; how they end is judged only where the block succeeded."""
    district = District(folder, way)
    try:
        yield district
    except BaseException:
        for part in (district.api, district.collector):
            if part.process is not None:
                part.kill()
        raise
    district.close()
