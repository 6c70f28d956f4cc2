"""How fast does the endpoint acknowledge, and what does it cost, beside mosquitto?

    python -m benchmarks.endpoint [--messages 200000] [--connections 1,20,300] [--json FILE]

Each server runs in a process of its own and gets the same single readings at QoS 1 from the same raw client, which keeps a window of
unacknowledged messages open. The endpoint acknowledges when the journal has the readings on disk (SQLite, synchronous=FULL): once with
the journal alone behind it, once as the whole of `plimsoll collect`. mosquitto acknowledges from memory, and has no subscriber.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from benchmarks import day
from benchmarks.end_to_end import AUTOSAVE_S, collecting, pid
from benchmarks.load import WINDOW, Load, Message
from benchmarks.processes import usage
from benchmarks.report import show
from ingest.decode import decode
from ingest.endpoint import Endpoint
from plimsoll.clock import wall_ms
from storage.journal import Journal
from tests.live.servers import free_port, listens, running_mosquitto, until

Server = tuple[int, int]
"""Process id and port."""


def serve(port: int, path: Path) -> None:
    """Be the endpoint with the journal behind it, until ended."""
    with Journal.open(path, wall_ms) as journal, Endpoint("127.0.0.1", port) as endpoint:
        while True:
            delivery = endpoint.read(1.0)
            if delivery is not None:
                decoded = decode(delivery.messages, wall_ms(), journal.asset)
                journal.commit(decoded.tables, decoded.dead_letters)
                delivery.acknowledge()


@contextmanager
def endpoint_and_journal(folder: Path) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.endpoint", "--serve", str(port), "--journal", str(folder / "journal.sqlite")]
    with subprocess.Popen(command) as process:
        try:
            until(lambda: listens(port), "the endpoint")
            yield process.pid, port
        finally:
            process.terminate()


@contextmanager
def whole_collector(folder: Path) -> Iterator[Server]:
    port = free_port()
    with collecting(folder, f"[endpoint]\nport = {port}\n") as (process, _):
        yield process, port


@contextmanager
def mosquitto(folder: Path) -> Iterator[Server]:
    with running_mosquitto(folder, autosave_s=AUTOSAVE_S) as broker:
        yield pid(broker), broker.port


SERVERS: dict[str, Callable[[Path], AbstractContextManager[Server]]] = {
    "mosquitto, in memory": mosquitto,
    "endpoint, journal synced": endpoint_and_journal,
    "plimsoll collect, journal synced": whole_collector,
}


def measure(name: str, connections: int, messages: Sequence[Message]) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="plimsoll-bench-") as folder, SERVERS[name](Path(folder)) as (process, port):
        load = Load(port, messages, connections)
        before = usage(process)
        sent = load.run()
        used = usage(process).since(before)
        load.close()
    return {
        "server": name,
        "connections": connections,
        "acknowledged messages/s": len(messages) / sent.seconds,
        "CPU s per 100k": used.cpu_s / len(messages) * 1e5,
        "peak MB": used.peak_mb,
    }


def with_ratios(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    theirs = {row["connections"]: float(str(row["acknowledged messages/s"])) for row in rows if row["server"] == "mosquitto, in memory"}
    return [row | {"× mosquitto": float(str(row["acknowledged messages/s"])) / theirs[row["connections"]]} for row in rows]


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--messages", type=int, default=200_000)
    words.add_argument("--connections", default="1,20,300")
    words.add_argument("--json", type=Path)
    words.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    words.add_argument("--journal", type=Path, help=argparse.SUPPRESS)
    arguments = words.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.journal)
    messages = day.single_readings(arguments.messages)
    counts = [int(count) for count in arguments.connections.split(",")]
    rows = [measure(name, count, messages) for name in SERVERS for count in counts]
    title = f"Acknowledged messages per second, {len(messages):,} single readings, {WINDOW:,} unacknowledged at most"
    show(title, with_ratios(rows), arguments.json)


if __name__ == "__main__":
    main()
