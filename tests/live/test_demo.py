"""The demo as a newcomer starts it: trucks move within seconds, Ctrl-C ends all of it, and a second start goes on where it was."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from storage.store import EmbeddedStore
from tests.live.programs import Program
from tests.live.servers import HOST, free_port

pytestmark = [pytest.mark.live, pytest.mark.slow]

READY_S = 15.0
"""The promise to a newcomer, on a machine that does nothing else."""
PATIENCE_S = 60.0
"""What a busy machine is given before the test gives up."""
STOP_S = 10.0
START = datetime.fromisoformat("2022-06-15T09:45:00+08:00")
SUMMARY = ("readings in", "trucks reporting", "cycles closed", "tonnes in today (ticket)", "flags (24 h)", "active alerts")


class Demo:
    """`plimsoll demo` on a terminal of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.http_port, self.mqtt_port = folder, free_port(), free_port()
        self.seen = b""
        self._terminal, own = pty.openpty()
        words = ["demo", "--data", str(folder), "--http-port", str(self.http_port), "--mqtt-port", str(self.mqtt_port)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "plimsoll", *words],
            stdin=own,
            stdout=own,
            stderr=own,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "140", "LINES": "50"},
            start_new_session=True,
        )
        os.close(own)
        self._reader = threading.Thread(target=self._watch, name="terminal")
        self._reader.start()

    @property
    def screen(self) -> str:
        """Everything that the terminal was sent."""
        return self.seen.decode("utf-8", "replace")

    def ask(self, path: str) -> Any:
        """What the API answers; None as long as it does not."""
        with suppress(OSError), urllib.request.urlopen(f"http://{HOST}:{self.http_port}{path}", timeout=10) as answer:
            return json.load(answer)
        return None

    def until(self, true: Callable[[], bool], what: str) -> float:
        """Wait for something; how long it took."""
        began_s = time.monotonic()
        while not true():
            assert self.process.poll() is None, f"the demo ended before {what}:\n{self.screen[-3000:]}\n{self.logs()}"
            assert time.monotonic() - began_s < PATIENCE_S, (
                f"{what} took longer than {PATIENCE_S:g} s:\n{self.screen[-3000:]}\n{self.logs()}"
            )
            time.sleep(0.1)
        return time.monotonic() - began_s

    def places(self) -> dict[str, tuple[float, float]]:
        """Where each truck is that has a position."""
        fleet = self.ask("/trucks") or {"trucks": []}
        latest = {truck["id"]: truck["latest"] for truck in fleet["trucks"]}
        return {name: tuple(one["position"].values()) for name, one in latest.items() if one and one["position"]}

    def now(self) -> datetime:
        """The scenario's clock, as the API reads it."""
        return datetime.fromisoformat(self.ask("/trucks")["as_of"])

    def parts(self) -> list[int]:
        """The processes that it has started."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(child) for task in tasks for child in task.read_text().split()]

    def interrupt(self) -> float:
        """Ctrl-C; how long it took to end, which must be with 0."""
        began_s = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(PATIENCE_S) == 0, f"{self.screen[-3000:]}\n{self.logs()}"
        return time.monotonic() - began_s

    def logs(self) -> str:
        return "\n".join(f"{log.name}: {log.read_text(encoding='utf-8')[-2000:]}" for log in sorted(self.folder.glob("*.log")))

    def close(self) -> None:
        parts = self.parts() if self.process.poll() is None else []
        self.process.kill()
        self.process.wait()
        for part in parts:
            with suppress(ProcessLookupError):
                os.kill(part, signal.SIGKILL)
        self._reader.join()
        os.close(self._terminal)

    def _watch(self) -> None:
        with suppress(OSError):  # that is how a terminal says that nobody writes to it any more
            while chunk := os.read(self._terminal, 65_536):
                self.seen += chunk


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Demo]]:
    """Starts the demo over one folder."""
    started: list[Demo] = []

    def again() -> Demo:
        started.append(Demo(tmp_path / "data"))
        return started[-1]

    yield again
    for demo in started:
        demo.close()


def test_trucks_move_within_seconds_and_a_second_start_goes_on(start: Callable[[], Demo]) -> None:
    demo = start()
    ready_s = demo.until(lambda: len(demo.places()) > 0, "the first truck was on the map")
    first = demo.places()
    ready_s += demo.until(lambda: any(demo.places().get(name, place) != place for name, place in first.items()), "a truck moved")
    ready_s += demo.until(lambda: all(word in demo.screen for word in SUMMARY), "the terminal showed the summary")
    assert ready_s < READY_S * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)), "a busy machine is given more, in proportion"
    assert demo.now() > START
    assert demo.ask("/health")["state"] == "ok"
    parts, last_seen, trucks = demo.parts(), demo.now(), set(demo.places())
    assert len(parts) == 3
    assert demo.interrupt() < STOP_S
    assert [part for part in parts if is_ours(part)] == []
    assert "Traceback" not in demo.screen + demo.logs()
    with EmbeddedStore(demo.folder / "journal.sqlite") as store:
        received = store.received()

    again = start()
    again.until(lambda: len(again.places()) > 0, "the API answered again")
    assert again.now() >= last_seen
    assert (again.now() - last_seen).total_seconds() < PATIENCE_S * 60, "the clock stood while nothing ran"
    assert trucks <= set(again.places())
    with EmbeddedStore(demo.folder / "journal.sqlite") as store:
        again.until(lambda: store.received()["truck/reading"] > received["truck/reading"], "new readings came in")
    assert again.interrupt() < STOP_S


def is_ours(process: int) -> bool:
    """Whether this process is still a part of the demo."""
    with suppress(OSError):
        return b"plimsoll" in Path(f"/proc/{process}/cmdline").read_bytes()
    return False


@pytest.mark.parametrize("option", ["--http-port", "--mqtt-port"])
def test_a_taken_port_is_said_in_one_line(tmp_path: Path, option: str) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        ports = {"--http-port": free_port(), "--mqtt-port": free_port()} | {option: port}
        words = [word for pair in ports.items() for word in map(str, pair)]
        demo = Program(["demo", "--data", str(tmp_path / "data"), *words], tmp_path / "demo.log")
        demo.start()
        assert demo.finish(PATIENCE_S) == 1
    assert demo.tail().startswith(f"plimsoll demo: port {port} is taken; choose another with")
    assert demo.tail().count("\n") == 1


def test_a_collector_says_in_one_line_that_its_port_is_taken(tmp_path: Path) -> None:
    registry = tmp_path / "registry"
    registry.mkdir()
    (registry / "registry.toml").write_text(
        'district = "d"\nname_zh = "d"\nname_en = "d"\nzone = "UTC"\ncutoff = "00:00"\ndatum = "WGS-84"\n', encoding="utf-8"
    )
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        settings = tmp_path / "settings.toml"
        settings.write_text(f"[data]\nfolder = '{tmp_path}'\nregistry = '{registry}'\n[endpoint]\nport = {port}\n", encoding="utf-8")
        collector = Program(["collect", "--settings", str(settings)], tmp_path / "log")
        collector.start()
        assert collector.finish(PATIENCE_S) == 1
    assert f"plimsoll collect: endpoint: cannot listen on {HOST} port {port}" in collector.tail()
    assert "Traceback" not in collector.tail()
