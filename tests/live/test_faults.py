"""What may go wrong, and what then happens: every row of that table that a collector on its own can meet."""

import json
import resource
import time
import urllib.request
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from simulators.message import Message
from simulators.play import play
from simulators.wujin import scenario
from storage.assets import AssetKey
from tests.live.fleet import Sender, publish
from tests.live.programs import District, Program, Way, broker_way, endpoint_way, running_district
from tests.live.readback import Said, journalled, missing, results, sent
from tests.live.servers import HOST, Mosquitto

pytestmark = [pytest.mark.live, pytest.mark.slow]

SEED = 20220615
HOUR_MS = 3_600_000
ONE_PAGE = 8_192
"""Bytes: less than a page of the journal's file, so that no commit fits."""


@pytest.fixture(scope="module")
def messages() -> list[Message]:
    """Three hours of the night's work."""
    played = play(scenario(SEED), date(2022, 6, 15)).messages
    return [message for message in played if message.arrival_ms < played[0].arrival_ms + 3 * HOUR_MS]


def registered(district: District) -> District:
    """With the whole registry of the scenario."""
    scenario(SEED).write_registry(district.registry)
    return district


def settle(district: District, messages: Sequence[Message]) -> None:
    """Wait until the journal has all of these messages, and everything is derived."""
    district.collector.until(lambda: missing(district, messages) == 0, "the journal had every message", 120)
    district.derive()


def reading(t_ms: int, **more: object) -> bytes:
    return json.dumps({"t_ms": t_ms, "lat_deg": 31.7, "lon_deg": 119.9} | more).encode()


def test_a_broker_that_restarts_is_found_again_and_nothing_is_lost(tmp_path: Path, mosquitto: Mosquitto, messages: list[Message]) -> None:
    with running_district(tmp_path / "district", broker_way(mosquitto.port)) as district:
        registered(district).start_collector()
        with Sender(messages, district.way) as sender:
            sender.allowed = len(messages) // 3
            district.collector.until(lambda: sender.acknowledged > len(messages) // 4, "a quarter of the messages")
            mosquitto.stop()
            district.collector.until(lambda: district.status("source").get("state") == "down", "seeing that the broker is away")
            sender.allowed = len(messages)
            mosquitto.start()
            district.collector.until(lambda: sender.is_done, "the rest of the messages", 120)
        settle(district, messages)
        assert journalled(district) == sent(messages)
        assert district.status("source")["state"] == "ok"
        assert district.status("source")["connects"] > 1


def test_a_full_disk_acknowledges_nothing_and_recovers_when_there_is_room(
    district: District, messages: list[Message], way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLIMSOLL_COLLECTOR__DERIVE_MS", "5000")  # so that the disk fills up between the journal and the results
    registered(district)
    district.collector.words[:2] = ["--log", "error"]  # the log's file must stay below the limit too
    district.start_collector()
    with Sender(messages, way) as sender:
        sender.allowed = len(messages) // 2
        district.collector.until(lambda: missing(district, messages[: sender.allowed]) == 0, "the journal had the first half")
        district.collector.until(lambda: sender.acknowledged == sender.allowed, "the first half was acknowledged")
        before = district.position.journalled, district.store.received()
        fill_the_disk(district.collector, ONE_PAGE)
        sender.allowed = len(messages)
        district.collector.until(lambda: district.collector.log.read_text().count("stay unacknowledged") >= 2, "two refused commits", 60)
        district.collector.until(lambda: "derived again" in district.collector.log.read_text(), "a derivation that could not be stored", 60)
        assert (district.position.journalled, district.store.received()) == before
        assert district.position.derived < district.position.journalled
        if way.name == "endpoint":  # a broker acknowledges for itself, and keeps what it was not acknowledged
            assert sender.acknowledged == len(messages) // 2
        fill_the_disk(district.collector, resource.RLIM_INFINITY)
        district.collector.until(lambda: sender.is_done, "the rest of the messages", 120)
    settle(district, messages)
    assert journalled(district) == sent(messages)
    assert "Traceback" not in district.collector.tail()


def fill_the_disk(program: Program, limit_bytes: int) -> None:
    """From now on no file of this process can be written beyond so many bytes."""
    _, hard = resource.prlimit(program.running.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(program.running.pid, resource.RLIMIT_FSIZE, (limit_bytes, hard))


def test_what_cannot_be_read_is_acknowledged_kept_and_counted(district: District, way: Way) -> None:
    district.write_registry("wujin", "Asia/Shanghai")
    district.start_collector()
    topic, large = "plimsoll/v1/wujin/truck/T1/reading", b"[" + b" " * 2_000_000
    half = json.dumps([{"t_ms": 1_655_254_800_000, "speed_kmh": 1.0}, {"t_ms": "yesterday"}]).encode()
    unreadable = [
        (topic, b"{"),
        (topic, b"\xff\x00\x01"),
        (topic, large),
        (topic, half),
        ("plimsoll/v1/wujin/truck/T1/opinion", b"{}"),
    ]
    publish([Message(0, *one) for one in unreadable], way)
    district.take_in(len(unreadable))
    kept = {(letter.topic, letter.size, letter.payload) for letter in district.store.dead_letters()}
    assert kept == {(topic, len(payload), payload[: 64 * 1024]) for topic, payload in unreadable}
    assert sum(district.store.counts().dead_letters.values()) == len(unreadable)
    assert district.store.received()["truck/reading"] == 1, "the good half of an array is a reading"
    district.start_api()
    told = [line for line in metrics(district) if line.startswith("plimsoll") and "dead_letters" in line]
    assert sum(float(line.split()[-1]) for line in told) == len(unreadable), told


def metrics(district: District) -> list[str]:
    with urllib.request.urlopen(f"http://{HOST}:{district.http_port}/metrics", timeout=30) as answer:
        text: str = answer.read().decode()
    return text.splitlines()


def test_a_clock_that_is_hours_ahead_is_quarantined_and_stays_there(district: District, way: Way) -> None:
    district.write_registry("wujin", "Asia/Shanghai")
    district.start_collector()
    now_ms = time.time_ns() // 1_000_000
    ahead = Message(0, "plimsoll/v1/wujin/truck/T1/reading", reading(now_ms + 3 * HOUR_MS))
    right = Message(0, "plimsoll/v1/wujin/truck/T1/reading", reading(now_ms - 1_000))
    publish([ahead, right, ahead], way)
    district.take_in(3)
    counted = district.store.counts().measurements["truck/reading"]
    assert (counted.distinct, counted.quarantined) == (1, 1)
    assert district.store.latest().t_ms.tolist() == [now_ms - 1_000]
    assert district.collector.stop() == 0
    district.start_collector()
    publish([ahead], way)
    district.take_in(1)
    counted = district.store.counts().measurements["truck/reading"]
    assert (counted.distinct, counted.quarantined) == (1, 1), "decided once, and remembered over a restart"


def weighed_truck(whole: Said) -> str:
    """A truck with a cycle that only its rated payload tells: its terminal reports kilograms and no load state."""
    line = next(line for line in whole["cycles"] if ", nan," not in line)
    return line.split("'")[1].removeprefix("truck ")


def truck_in(district: District, name: str) -> Any:
    return next(truck for truck in district.ask("/trucks")["trucks"] if truck["id"] == name)


def test_an_unknown_truck_is_kept_and_registering_it_brings_its_history_in(
    district: District, messages: list[Message], way: Way, tmp_path: Path
) -> None:
    registered(district)
    everybody = (district.registry / "trucks.csv").read_text(encoding="utf-8")
    whole = results_of(tmp_path / "whole", messages)
    busy = weighed_truck(whole)
    (district.registry / "permits.csv").unlink()  # they name trucks
    without = "".join(line for line in everybody.splitlines(keepends=True) if not line.startswith(f"{busy},"))
    assert without != everybody
    (district.registry / "trucks.csv").write_text(without, encoding="utf-8")
    district.start_collector()
    publish(messages, way)
    district.take_in(len(messages))
    district.start_api()
    assert (truck_in(district, busy)["registered"], truck_in(district, busy)["latest"] is None) == (False, False)
    number = next(number for number, key in district.store.assets().items() if key == AssetKey("wujin", "truck", busy))
    assert len(district.store.track(number, 0, 2**62)) > 0
    assert len(district.store.cycles(0, 2**62, asset=number)) == 0
    assert [district.api.stop(), district.collector.stop()] == [0, 0]

    (district.registry / "trucks.csv").write_text(everybody, encoding="utf-8")
    change = district.position.change
    district.start_collector()
    district.collector.until(
        lambda: len(district.store.cycles(0, 2**62, asset=number)) > 0, "the cycles of the truck that is registered now"
    )
    assert results(district) == whole
    changed = district.position.change - change
    assert 0 < changed < sum(map(len, whole.values())) / 10, "what was known of the others stays as it is"
    district.start_api()
    assert truck_in(district, busy)["registered"]


def results_of(folder: Path, messages: Sequence[Message]) -> Said:
    """What is derived with the whole registry from the start."""
    with running_district(folder, endpoint_way()) as district:
        registered(district).start_collector()
        publish(messages, district.way)
        district.take_in(len(messages))
        return results(district)
