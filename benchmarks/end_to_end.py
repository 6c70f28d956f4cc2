"""What does a reading cost from the device's publish to the disk and the derived tonnes, beside the loop that one writes by hand?

    python -m benchmarks.end_to_end [--readings 200000] [--sizes 1,20] [--ways endpoint,mosquitto,list,batching,sqlite] [--json FILE]

The trucks of the played district publish over a connection each. Plimsoll journals durably, removes repetitions, derives cycles, flags
and tonnes; it is done when all of it is stored. The hand-written loops store rows, and are done when all are written. CPU seconds are per
million readings, of every process but the publisher, from the moment that it is ready; nginx, which only lets the client speak to
Debian's old InfluxDB, is shown and not counted.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import day, handwritten
from benchmarks.load import Load, Message, Sent
from benchmarks.processes import Usage, usage
from benchmarks.report import show
from simulators import wujin
from storage.store import EmbeddedStore
from tests.live.servers import Server, free_port, listens, running_influxd, running_mosquitto, running_nginx, until

AUTOSAVE_S = 1800  # mosquitto's default: its cheapest
PATIENCE_S = 900.0


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be published, and what must be there afterwards."""

    messages: Sequence[Message]
    readings: int
    distinct: int
    moments: int
    connections: int
    rate: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What it took, by the process's part."""

    sent: Sent
    seconds: float
    used: dict[str, Usage]


class Meter:
    """Remembers what each process had used when the clock started."""

    def __init__(self, **processes: int) -> None:
        self._processes = processes
        self._before = {part: usage(process) for part, process in processes.items()}
        self._started = time.monotonic()

    def cost(self, sent: Sent) -> Cost:
        used = {part: usage(process).since(self._before[part]) for part, process in self._processes.items()}
        return Cost(sent, time.monotonic() - self._started, used)


# ---------------------------------------------------------------------- Plimsoll


def through_endpoint(task: Task, folder: Path) -> Cost:
    port = free_port()
    with collecting(folder, f"[endpoint]\nport = {port}\n") as (collector, store):
        until(lambda: listens(port), "the endpoint")
        return _collected(task, port, store, Meter(collector=collector))


def through_mosquitto(task: Task, folder: Path) -> Cost:
    with running_mosquitto(folder, autosave_s=AUTOSAVE_S) as broker:
        settings = f'[collector]\nsource = "broker"\n[broker]\nport = {broker.port}\n'
        with collecting(folder, settings) as (collector, store):
            return _collected(task, broker.port, store, Meter(collector=collector, broker=pid(broker)))


@contextmanager
def collecting(folder: Path, settings: str) -> Iterator[tuple[int, EmbeddedStore]]:
    """`plimsoll collect` as users run it: its process id, and its journal to read."""
    wujin.scenario().write_registry(folder / "registry")
    (folder / "plimsoll.toml").write_text(f'[data]\nfolder = "{folder}/data"\nregistry = "{folder}/registry"\n{settings}')
    command = [sys.executable, "-m", "plimsoll", "collect", "--settings", str(folder / "plimsoll.toml")]
    with subprocess.Popen(command) as process:
        try:
            until(lambda: (folder / "data" / "desk.sqlite").exists(), "the collector")  # made when the journal is there
            with EmbeddedStore(folder / "data" / "journal.sqlite") as store:
                until(lambda: _state(store, "source").get("state") == "ok", "the collector's source")
                yield process.pid, store
        finally:
            process.terminate()


def _collected(task: Task, port: int, store: EmbeddedStore, meter: Meter) -> Cost:
    sent = publish(task, port)
    until(lambda: _is_through(store, len(task.messages)), "the collector", PATIENCE_S)
    cost = meter.cost(sent)
    counts = store.counts().measurements["truck/reading"]
    cycles = len(store.cycles(0, 2**62))
    if counts.distinct != task.distinct or not cycles:
        raise AssertionError(f"{counts} and {cycles} cycles; expected {task.distinct} distinct readings, and cycles from them")
    return cost


def _is_through(store: EmbeddedStore, messages: int) -> bool:
    """Everything journalled, and everything journalled derived; the collector says so once a second."""
    time.sleep(0.1)
    journal = _state(store, "journal")
    return _state(store, "source")["messages"] == messages and journal["commit"] == journal["derived_commit"]


def _state(store: EmbeddedStore, part: str) -> Mapping[str, object]:
    return store.status().get(part, {})


# ---------------------------------------------------------------------- the loops


def loop_to_influxdb(sink: str, task: Task, folder: Path) -> Cost:
    with ExitStack() as stack:
        rooms = {name: folder / name for name in ("broker", "influxd", "nginx")}
        for room in rooms.values():
            room.mkdir()
        broker = stack.enter_context(running_mosquitto(rooms["broker"], autosave_s=AUTOSAVE_S))
        database = stack.enter_context(running_influxd(rooms["influxd"]))
        proxy = stack.enter_context(running_nginx(rooms["nginx"], database))
        _ask(database, "create database bench", method="POST")
        servers = {"broker": pid(broker), "database": pid(database), "nginx": pid(proxy)}
        cost = _looped(task, broker, sink, f"http://127.0.0.1:{proxy.port}", servers)
        answer = _ask(database, "select count(heading_deg) from truck")
    written = answer["results"][0]["series"][0]["values"][0][1]
    if written != task.moments:
        raise AssertionError(f"InfluxDB holds {written} points; expected {task.moments}")
    return cost


def loop_to_sqlite(task: Task, folder: Path) -> Cost:
    with running_mosquitto(folder, autosave_s=AUTOSAVE_S) as broker:
        return _looped(task, broker, "sqlite", str(folder / "loop.sqlite"), {"broker": pid(broker)})


def _looped(task: Task, broker: Server, sink: str, into: str, servers: dict[str, int]) -> Cost:
    command = [
        sys.executable,
        handwritten.__file__,
        "--port",
        str(broker.port),
        "--rows",
        str(task.readings),
        "--sink",
        sink,
        "--into",
        into,
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as loop:
        _hear(loop, b"ready")
        meter = Meter(collector=loop.pid, **servers)
        sent = publish(task, broker.port)
        _hear(loop, b"done")
        return meter.cost(sent)


def _hear(loop: "subprocess.Popen[bytes]", word: bytes) -> None:
    heard = loop.stdout.readline().strip() if loop.stdout else b"nothing"
    if heard != word:
        raise AssertionError(f"the loop said {heard!r}; expected {word!r}")


def _ask(database: Server, query: str, method: str = "GET") -> dict[str, list[dict[str, list[dict[str, list[list[int]]]]]]]:
    url = f"http://127.0.0.1:{database.port}/query?" + urllib.parse.urlencode({"db": "bench", "q": query})
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=60) as answer:
        found: dict[str, list[dict[str, list[dict[str, list[list[int]]]]]]] = json.load(answer)
    return found


# ---------------------------------------------------------------------- all of them

WAYS: dict[str, tuple[str, Callable[[Task, Path], Cost]]] = {
    "endpoint": ("Plimsoll, its endpoint", through_endpoint),
    "mosquitto": ("Plimsoll, mosquitto", through_mosquitto),
    "list": ("loop → InfluxDB, own list of points", partial(loop_to_influxdb, "list")),
    "batching": ("loop → InfluxDB, the client's batching", partial(loop_to_influxdb, "batching")),
    "sqlite": ("loop → SQLite rows", loop_to_sqlite),
}
PEERS = ("list", "batching")


def publish(task: Task, port: int) -> Sent:
    load = Load(port, task.messages, task.connections)
    try:
        return load.run(rate=task.rate)
    finally:
        load.close()


def pid(server: Server) -> int:
    if server.process is None:
        raise RuntimeError(f"{server.command[0]} does not run; expected a started server")
    return server.process.pid


def row(way: str, size: int, task: Task, cost: Cost) -> dict[str, object]:
    """CPU seconds per million readings, and peaks of memory."""
    per_million = {part: used.cpu_s / task.readings * 1e6 for part, used in cost.used.items()}
    counted = {part: used for part, used in cost.used.items() if part != "nginx"}
    return {
        "way": WAYS[way][0],
        "readings per message": size,
        "publisher": cost.sent.cpu_s / task.readings * 1e6,
        **{part: per_million.get(part) for part in ("broker", "collector", "database", "nginx")},
        "sum": sum(per_million[part] for part in counted),
        "k readings/s": task.readings / cost.seconds / 1000,
        "peak MB": " + ".join(f"{used.peak_mb:.0f} {part}" for part, used in counted.items()),
    }


def with_ratios(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """How many times less CPU than the loop with the client's batching, and than the cheaper one with a list."""
    sums = {(each["way"], each["readings per message"]): float(str(each["sum"])) for each in rows}
    for each in rows:
        for peer in PEERS:
            theirs = sums.get((WAYS[peer][0], each["readings per message"]))
            each[f"× less than {peer}"] = theirs / float(str(each["sum"])) if theirs else None
    return rows


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--readings", type=int, default=200_000)
    words.add_argument("--sizes", default="1,20", help="readings per message")
    words.add_argument("--ways", default=",".join(WAYS))
    words.add_argument("--connections", type=int, default=304, help="clients that publish (default: one per truck)")
    words.add_argument("--rate", type=float, default=float("inf"), help="at most so many messages a second (default: as fast as it goes)")
    words.add_argument("--json", type=Path)
    arguments = words.parse_args()
    singles = day.single_readings(arguments.readings)
    distinct, moments = day.distinct(singles), day.moments(singles)
    rows = []
    for size in map(int, arguments.sizes.split(",")):
        task = Task(day.together(singles, size), len(singles), distinct, moments, arguments.connections, arguments.rate)
        for way in arguments.ways.split(","):
            with tempfile.TemporaryDirectory(prefix="plimsoll-bench-") as folder:
                rows.append(row(way, size, task, WAYS[way][1](task, Path(folder))))
            print(rows[-1], file=sys.stderr, flush=True)
    pace = "as fast as it goes" if arguments.rate == float("inf") else f"{arguments.rate:g} messages/s"
    show(f"CPU seconds per million readings, end to end, {len(singles):,} readings, {pace}", with_ratios(rows), arguments.json)


if __name__ == "__main__":
    main()
