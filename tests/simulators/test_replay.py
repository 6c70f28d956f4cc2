import gzip
import json
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from simulators.message import Message
from simulators.replay import LocalClock, RecordingError, read_recording, replay

NEW_YORK = ZoneInfo("America/New_York")
HEADER = "poll_time_file|lat|lon|vehicle|address|position_time\n"


@pytest.fixture(scope="module")
def jersey(jersey_city: Path) -> list[Message]:
    return list(read_recording(jersey_city, "jersey-city", district="jersey-city"))


def fixes(messages: list[Message]) -> dict[tuple[str, int], set[tuple[float, float]]]:
    found = defaultdict(set)
    for message in messages:
        reading = json.loads(message.payload)
        found[message.topic, reading["t_ms"]].add((reading["lat_deg"], reading["lon_deg"]))
    return found


def utc_ms(*when: int) -> int:
    return round(datetime(*when, tzinfo=UTC).timestamp() * 1_000)  # type: ignore[arg-type, misc]  # year, month, day, hour, minute, second


def test_the_jersey_city_recording_holds_what_its_description_says(jersey: list[Message]) -> None:
    found = fixes(jersey)
    assert len(jersey) == 98_968
    assert len(found) == 3_713
    assert len({topic for topic, _ in found}) == 139
    assert sum(len(places) > 1 for places in found.values()) == 588
    assert len({message.arrival_ms for message in jersey}) == 712


def test_the_jersey_city_recording_arrives_in_order_and_no_fix_before_it_was_taken(jersey: list[Message]) -> None:
    arrivals = [message.arrival_ms for message in jersey]
    assert arrivals == sorted(arrivals)
    assert max(json.loads(message.payload)["t_ms"] - message.arrival_ms for message in jersey) <= 0


def test_the_first_row_by_hand(jersey: list[Message]) -> None:
    arrival_ms, topic, payload = jersey[0]
    assert arrival_ms == utc_ms(2015, 12, 10, 3, 40, 2)
    assert topic == "plimsoll/v1/jersey-city/truck/101/reading"
    assert json.loads(payload) == {"t_ms": utc_ms(2015, 12, 7, 21, 15, 3), "lat_deg": 40.68778, "lon_deg": -74.09227}


def test_an_ambiguous_hour_is_the_newest_that_has_passed() -> None:
    clock, local = LocalClock(NEW_YORK), "2015-11-01T01:30:00"  # 05:30 UTC in summer time, 06:30 UTC after it
    assert clock.instant_ms("1", local, utc_ms(2015, 11, 1, 5, 31)) == utc_ms(2015, 11, 1, 5, 30)
    assert clock.instant_ms("2", local, utc_ms(2015, 11, 1, 6, 31)) == utc_ms(2015, 11, 1, 6, 30)
    assert clock.instant_ms("1", local, utc_ms(2015, 11, 1, 6, 31)) == utc_ms(2015, 11, 1, 5, 30), "a repeated fix stays what it was"


def test_the_devices_zone_follows_the_season() -> None:
    clock = LocalClock(NEW_YORK)
    assert clock.instant_ms("1", "2015-07-01T12:00:00", 0) == utc_ms(2015, 7, 1, 16)
    assert clock.instant_ms("1", "2015-12-01T12:00:00", 0) == utc_ms(2015, 12, 1, 17)


def test_our_own_recording_gives_back_what_was_sent(tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl.gz"
    lines = [
        {"arrival_ms": 5, "topic": "plimsoll/v1/d/truck/苏D1/reading", "payload": {"t_ms": 4, "plate": "苏"}},
        {"arrival_ms": 6, "topic": "t", "payload": '{"t_ms": 1e3'},
    ]
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    assert list(read_recording(path, "plimsoll", district="d")) == [
        Message(5, "plimsoll/v1/d/truck/苏D1/reading", '{"t_ms":4,"plate":"苏"}'.encode()),
        Message(6, "t", b'{"t_ms": 1e3'),
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "line 0: .*expected poll_time_file"),
        (HEADER + "2015-12-10T03:40:02|x|-74|1|a|2015-12-07T16:15:03\n", "line 2: .*could not convert"),
        (HEADER + "2015-12-10T03:40:02|nan|-74|1|a|2015-12-07T16:15:03\n", "line 2: .*Out of range"),
        (HEADER + "2015-12-10T03:40:02|40|-74|1|2015-12-07T16:15:03\n", "line 2: .*not enough values"),
        (HEADER + "2015-12-10T03:40:02|40|-74|1|a|2015-12-07T16:15:03Z\n", "line 2: .*states a zone"),
    ],
)
def test_a_line_that_is_not_of_the_format_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "polls.psv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecordingError, match=complaint):
        list(read_recording(path, "jersey-city", district="d"))


def test_an_unknown_format_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="expected one of jersey-city, plimsoll"):
        next(read_recording(tmp_path / "none", "gpx", district="d"))


class Wire:
    """Takes what is replayed, and the waits instead of waiting."""

    def __init__(self) -> None:
        self.said: list[object] = []

    def publish(self, topic: str, payload: bytes) -> None:
        self.said.append((topic, payload))

    def wait(self, wait_s: float) -> None:
        self.said.append(round(wait_s, 1))

    def drain(self) -> None:
        self.said.append("drained")


@pytest.fixture
def played() -> list[Message]:
    return [Message(60_000, "a", b"1"), Message(60_000, "b", b"2"), Message(3_660_000, "a", b"3")]


def test_a_replay_keeps_the_distances_in_time_at_its_speed(played: list[Message]) -> None:
    wire = Wire()
    replay(played, wire, speed=60)
    assert wire.said == [("a", b"1"), ("b", b"2"), 60.0, ("a", b"3"), "drained"]


def test_a_replay_without_a_speed_never_waits(played: list[Message]) -> None:
    wire = Wire()
    replay(played, wire)
    assert wire.said == [("a", b"1"), ("b", b"2"), ("a", b"3"), "drained"]
