"""`plimsoll demo --once`: whole days over real MQTT as fast as they go, then the day's table beside the simulator's truth."""

import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from secrets import token_hex

from msgspec.structs import replace
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ingest.collector import Collector
from plimsoll import assembly
from plimsoll.clock import PlayedClock
from plimsoll.errors import PlimsollError
from plimsoll.judge import Line, judge, mismatches
from plimsoll.settings import Broker, Data, Endpoint, Settings
from plimsoll.settings import Collector as Pace
from simulators.play import Message, play
from simulators.publisher import Publisher
from simulators.scenario import Scenario
from simulators.truth import Truth
from storage.database import JournalError
from storage.journal import Journal
from storage.store import EmbeddedStore

FIRST_DAY = date(2022, 6, 15)
CATCH_UP_S = 120.0
LEAD_MESSAGES = 1_000
"""So far may the player be ahead of the collector: about a quarter of an hour of the scenario."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What to play, and through what."""

    scenario: Scenario
    days: int = 1
    batch: int = 20
    broker: tuple[str, int] | None = None  # None: through the collector's own endpoint
    folder: Path | None = None  # None: a temporary one


def run(what: Run, console: Console) -> int:
    """Play, print the table, and answer 0 if everything agrees."""
    with _folder(what) as folder:
        lines = compare(what, folder, console)
    console.print(_table(lines))
    wrong = mismatches(lines)
    console.print(f"{len(lines) - wrong} of {len(lines)} comparisons agree" + (f"; {wrong} do not" if wrong else ""))
    return 1 if wrong else 0


def compare(what: Run, folder: Path, console: Console) -> list[Line]:
    """Play the days into a journal in this folder, and compare."""
    what.scenario.write_registry(folder / "registry")
    settings = _settings(what, folder)
    days = [FIRST_DAY + timedelta(days=n) for n in range(what.days)]
    now = PlayedClock(0)
    with Journal.open(assembly.journal_path(settings), now) as journal:
        truths = _play(what, settings, journal, now, days, console)
    for day, truth in zip(days, truths, strict=True):
        truth.write(folder / "truth" / day.isoformat())
    with EmbeddedStore(assembly.journal_path(settings)) as store:
        return judge(store, truths, days)


def _play(what: Run, settings: Settings, journal: Journal, now: PlayedClock, days: Sequence[date], console: Console) -> list[Truth]:
    registry = assembly.registry(settings)
    with assembly.source(settings) as source:
        collector = assembly.collector(settings, now, source, journal, registry)
        with _at_work(collector), _publisher(settings) as publisher, _progress(console) as progress:
            return [_publish(what, day, now, publisher, collector, progress) for day in days]


def _publish(what: Run, day: date, now: PlayedClock, publisher: Publisher, collector: Collector, progress: Progress) -> Truth:
    """One day's messages, each at its time on the scenario's clock; then wait until the collector has them all."""
    task = progress.add_task(f"{day} making", total=None)
    played = play(what.scenario, day, what.batch)
    progress.update(task, description=f"{day} playing", total=len(played.messages))
    before = collector.tally.messages
    for number, message in enumerate(played.messages):
        _send(message, now, publisher)
        if number % 256 == 0:
            # A broker's queue would let the scenario's clock run ahead of receipt, and clocks are judged at receipt.
            _catch_up(collector, before + number - LEAD_MESSAGES)
            progress.update(task, completed=number)
    publisher.drain()
    _catch_up(collector, before + len(played.messages))
    progress.update(task, completed=len(played.messages), description=f"{day} played")
    return played.truth


def _send(message: Message, now: PlayedClock, publisher: Publisher) -> None:
    now.advance(message.arrival_ms)
    publisher.publish(message.topic, message.payload)


def _catch_up(collector: Collector, messages: int) -> None:
    """An acknowledgement of the endpoint says that the collector has it; a broker's says that the broker has."""
    stillness = threading.Event()
    for _ in range(round(CATCH_UP_S / 0.005)):
        if collector.tally.messages >= messages:
            return
        stillness.wait(0.005)
    raise PlimsollError(
        f"the collector has {collector.tally.messages} messages of {messages} after {CATCH_UP_S:g} s; "
        "expected all of them: look at the broker's log, and play again"
    )


@contextmanager
def _at_work(collector: Collector) -> Iterator[None]:
    stop = threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            collector.run(stop)
        except BaseException as error:  # carried over to the thread that waits
            failures.append(error)

    thread = threading.Thread(target=work, name="collector")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if failures:
        raise failures[0]


def _settings(what: Run, folder: Path) -> Settings:
    settings = Settings(data=Data(folder=folder, registry=folder / "registry"))
    if what.broker is None:
        return replace(settings, endpoint=Endpoint(port=free_port()))
    host, port = what.broker
    # A name of its own: the session of another run would bring that run's messages.
    return replace(
        settings, collector=Pace(source="broker"), broker=Broker(host=host, port=port, client_id=f"plimsoll-once-{token_hex(4)}")
    )


@contextmanager
def _publisher(settings: Settings) -> Iterator[Publisher]:
    host, port = (
        (settings.endpoint.host, settings.endpoint.port)
        if settings.collector.source == "endpoint"
        else (settings.broker.host, settings.broker.port)
    )
    with Publisher(host, port, client_id=f"plimsoll-simulators-{token_hex(4)}") as publisher:
        yield publisher


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def _folder(what: Run) -> Iterator[Path]:
    if what.folder is None:
        with tempfile.TemporaryDirectory(prefix="plimsoll-once-") as folder:
            yield Path(folder)
        return
    if (what.folder / assembly.JOURNAL_FILE).exists():
        raise JournalError(f"{what.folder} holds a journal already; a comparison with the truth needs an empty one: name another --data")
    yield what.folder


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("messages"), TimeRemainingColumn(), console=console
    )


def _table(lines: Sequence[Line]) -> Table:
    table = Table("", "derived", "truth", "tolerance", title="What was derived, beside what happened")
    for line in lines:
        table.add_row(
            ("" if line.agrees else "✗ ") + line.subject, line.measured, line.truth, line.tolerance, style="" if line.agrees else "bold red"
        )
    return table
