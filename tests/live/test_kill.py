"""kill -9 of the collector, again and again: what was acknowledged is in the journal, nothing counts twice, the results are the same."""

import random
import time
from collections.abc import Iterator, Sequence
from datetime import date

import pytest

from simulators.message import Message
from simulators.play import play
from simulators.wujin import scenario
from tests.live.fleet import Sender, publish
from tests.live.programs import District, Way, endpoint_way, running_district
from tests.live.readback import Said, journalled, missing, results, sent

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(600)]

SEED = 20220615
HOURS = 6
KILLS = {"endpoint": 10, "mosquitto": 4}
BEFORE_IT_LISTENS = {3, 7}
"""Lives that end while the collector starts: imports, recovery of the file, what is journalled and not derived."""
DERIVE_MS = "PLIMSOLL_COLLECTOR__DERIVE_MS"


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
