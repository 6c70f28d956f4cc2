"""kill -9 of the collector, again and again: what was acknowledged is in the journal, nothing counts twice, the results are the same."""

import random
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import pytest

from core.columns import Columns
from core.order import order_dedupe
from core.readings import BOOKKEEPING, Readings
from ingest import source
from ingest.decode import decode
from simulators.message import Message
from simulators.play import play
from simulators.publisher import Publisher, PublisherError
from simulators.wujin import scenario
from storage import readings
from storage.assets import MEASUREMENTS, AssetKey
from tests.live.programs import District, Way, endpoint_way, running_district
from tests.live.servers import HOST

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(600)]

SEED = 20220615
HOURS = 6
KILLS = {"endpoint": 10, "mosquitto": 4}
BEFORE_IT_LISTENS = {3, 7}
"""Lives that end while the collector starts: imports, recovery of the file, what is journalled and not derived."""
DERIVE_MS = "PLIMSOLL_COLLECTOR__DERIVE_MS"
RECEIPTS = ("heard_ms", "late_ms", "steady_ms", "steady_late_ms")
"""What `Latest` tells of when readings came: no two runs agree on that."""
EVER_MS = 2**62
Said = dict[str, list[str]]


@pytest.fixture(scope="module")
def messages() -> list[Message]:
    """The night's work: loads, weighings, late batches, duplicates and conflicts."""
    played = play(scenario(SEED), date(2022, 6, 15)).messages
    return [message for message in played if message.arrival_ms < played[0].arrival_ms + HOURS * 3_600_000]


@pytest.fixture(autouse=True)
def little_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small batches and frequent derivation, so that more kills fall into a commit or between it and what follows."""
    monkeypatch.setenv("PLIMSOLL_COLLECTOR__FLUSH_MS", "2")
    monkeypatch.setenv(DERIVE_MS, "100")


@pytest.fixture(scope="module")
def undisturbed(messages: list[Message], tmp_path_factory: pytest.TempPathFactory) -> Said:
    """What is said after a run in which nothing happens."""
    with running_district(tmp_path_factory.mktemp("undisturbed"), endpoint_way()) as district:
        scenario(SEED).write_registry(district.registry)
        district.start_collector()
        publish(messages, district.way)
        district.take_in(len(messages))
        return results(district)


class Sender:
    """A fleet on a thread of its own: publishes as far as it may, and repeats what was not acknowledged."""

    def __init__(self, messages: Sequence[Message], way: Way) -> None:
        self.allowed = self.acknowledged = 0
        self._messages, self._way = messages, way
        self._gone = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fleet")

    def __enter__(self) -> "Sender":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._gone.set()
        self._thread.join()

    @property
    def is_done(self) -> bool:
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._publish()
        except PublisherError:
            if not self._gone.is_set():  # otherwise the test has failed already, and says why
                raise

    def _publish(self) -> None:
        with Publisher(HOST, self._way.port, client_id="fleet", window=300, patience_s=60, progress=self._note) as publisher:
            for number, message in enumerate(self._messages):
                while number >= self.allowed and not self._gone.is_set():
                    publisher.wait(0.02)
                if self._gone.is_set():
                    return
                publisher.publish(message.topic, message.payload)
            publisher.drain()

    def _note(self, acknowledged: int) -> None:
        self.acknowledged = acknowledged


def publish(messages: Sequence[Message], way: Way) -> None:
    with Publisher(HOST, way.port, client_id="again", patience_s=120) as publisher:
        for message in messages:
            publisher.publish(message.topic, message.payload)


def tables_of(messages: Sequence[Message], numbers: dict[AssetKey, int]) -> list[Readings]:
    """The readings of these messages, whose assets get numbers where they have none."""
    decoded = decode([source.Message(m.topic, m.payload) for m in messages], 0, lambda key: numbers.setdefault(key, len(numbers) + 1))
    assert not decoded.dead_letters
    return decoded.tables


def missing(district: District, messages: Sequence[Message]) -> int:
    """How many readings of these messages, content included, the journal does not have."""
    numbers = {key: number for number, key in district.store.assets().items()}
    with district.readers.snapshot() as db:
        return sum(int((~readings.contains(db, table)).sum()) for table in tables_of(messages, numbers))


def lines(table: Columns, names: dict[int, str], leave_out: Sequence[str] = ()) -> list[str]:
    """A table's rows as sorted text, assets by their names: numbers follow the order of arrival."""
    columns: list[list[Any]] = [getattr(table, name).tolist() for name in table.names() if name not in leave_out]
    if "asset" in table.names():
        columns[table.names().index("asset")] = [names[asset] for asset in table.asset.tolist()]  # type: ignore[attr-defined]  # it has one
    return sorted(map(str, zip(*columns, strict=True)))


def results(district: District) -> Said:
    """Everything that was derived."""
    store, names = district.store, {number: f"{key.kind} {key.name}" for number, key in district.store.assets().items()}
    parts = {
        "cycles": store.cycles(0, EVER_MS).rows,
        "flags": store.flags(0, EVER_MS).rows,
        "tickets": store.tickets(0, EVER_MS).rows,
        "totals": store.day_totals(0, 100_000).rows,
        "latest": store.latest(),
    }
    return {what: lines(table, names, RECEIPTS) for what, table in parts.items()}


def journalled(district: District) -> Said:
    """The journal, as read, without when and how each reading came."""
    names = {number: key.name for number, key in district.store.assets().items()}
    with district.readers.snapshot() as db:
        return {what: lines(readings.read(db, table, None, 0, EVER_MS), names, BOOKKEEPING) for what, table in MEASUREMENTS.items()}


def sent(messages: Sequence[Message]) -> Said:
    """What the journal must hold after these messages: one reading per identity."""
    numbers: dict[AssetKey, int] = {}
    tables = tables_of(messages, numbers)
    names = {number: key.name for key, number in numbers.items()}
    of: dict[str, list[Any]] = {what: [one for one in tables if isinstance(one, table)] for what, table in MEASUREMENTS.items()}
    winners: dict[str, Columns] = {what: order_dedupe(type(own[0]).concat(own)).winners for what, own in of.items()}
    return {what: lines(table, names, BOOKKEEPING) for what, table in winners.items()}


def lives(district: District, messages: Sequence[Message], sender: Sender, kills: int) -> Iterator[int]:
    """Kill the collector, each time somewhere in the next part of the messages; yields how many were acknowledged by then."""
    rng = random.Random(SEED)
    rows = [message.payload.count(b'"t_ms"') for message in messages]
    ends = [len(messages) * (life + 1) // (kills + 1) for life in range(kills)]
    for life, (begin, end) in enumerate(zip([0, *ends], ends, strict=False)):
        if life:
            district.spawn_collector()
        sender.allowed = end
        if life in BEFORE_IT_LISTENS:
            time.sleep(rng.uniform(0.2, 2.5))
        else:
            receive(district, rng.uniform(0.05, 0.9) * sum(rows[begin:end]))
            time.sleep(rng.uniform(0.0, 0.1))
        # Stopped first, so that what it has said until this instant arrives and is counted. A stopped process does nothing before it dies.
        district.collector.freeze()
        time.sleep(0.2)
        acknowledged = sender.acknowledged
        district.collector.kill()
        yield acknowledged


def receive(district: District, readings_more: float) -> None:
    """Wait until the journal was given so many readings more."""
    goal = sum(district.store.received().values()) + readings_more
    district.collector.until(lambda: sum(district.store.received().values()) >= goal, f"{goal:,.0f} readings")


def test_a_collector_that_is_killed_loses_nothing_and_doubles_nothing(
    district: District, messages: list[Message], undisturbed: Said, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario(SEED).write_registry(district.registry)
    district.start_collector()
    with Sender(messages, way) as sender:
        for acknowledged in lives(district, messages, sender, KILLS[way.name]):
            if way.name == "endpoint":  # there an acknowledgement is the collector's; a broker gives its own
                assert missing(district, messages[:acknowledged]) == 0
        assert acknowledged < len(messages)
        sender.allowed = len(messages)
        monkeypatch.setenv(DERIVE_MS, "600000")
        district.start_collector()
        district.collector.until(lambda: sender.is_done, "the rest of the messages", 120)
    assert sender.acknowledged == len(messages)
    district.collector.until(lambda: missing(district, messages) == 0, "the journal had everything that was acknowledged", 120)
    district.collector.kill()
    assert district.position.derived < district.position.journalled, "the last kill finds readings that nothing was derived from"
    monkeypatch.setenv(DERIVE_MS, "100")
    district.start_collector()
    district.derive()
    assert journalled(district) == sent(messages)
    assert results(district) == undisturbed

    taken, change = district.status("source")["messages"], district.position.change
    again = messages[len(messages) // 3 :]
    publish(again, way)
    district.take_in(taken + len(again))
    assert journalled(district) == sent(messages)
    assert results(district) == undisturbed
    assert district.position.change == change, "a redelivery changes no result"


def test_the_night_has_something_of_everything(undisturbed: Said, messages: list[Message]) -> None:
    assert {what for what, rows in undisturbed.items() if not rows} == set()
    assert [what for what, rows in sent(messages).items() if not rows] == []
