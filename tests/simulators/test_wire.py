"""The wire shape, checked against docs/wire.md by rules written here alone."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from simulators.play import Play

TOPIC = re.compile(r"plimsoll/v1/wujin/(truck|scale|station)/([^/+#\s]{1,64})/(reading|indication|weighing|movement|level)")
STREAMS = {"muck", "construction", "domestic", "kitchen", "bulky", "hazardous", "fly_ash"}
Check = Callable[[Any], bool]


def number(low: float, high: float) -> Check:
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def whole(low: int, high: int) -> Check:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def one_of(*words: str) -> Check:
    return lambda value: value in words


def text(longest: int) -> Check:
    return lambda value: isinstance(value, str) and 0 < len(value) <= longest


def boolean(value: object) -> bool:
    return isinstance(value, bool)


COMMON = {"t_ms": whole(946_684_800_000, 4_102_444_800_000), "seq": whole(0, 2**53), "hist": boolean}
LOADED = {"plate": text(32), "number": text(64), "stream": one_of(*STREAMS), "direction": one_of("in", "out")}
MEMBERS: dict[tuple[str, str], dict[str, Check]] = {
    ("truck", "reading"): {
        "lat_deg": number(-90, 90),
        "lon_deg": number(-180, 180),
        "speed_kmh": number(0, 250),
        "heading_deg": number(0, 360),
        "load_kg": number(-5_000, 100_000),
        "load_state": one_of("empty", "half", "full"),
        "body_up": boolean,
        "cover_open": boolean,
    },
    ("scale", "indication"): {"gross_kg": number(-1_000, 200_000), "stable": boolean},
    ("scale", "weighing"): {**LOADED, **dict.fromkeys(("gross_kg", "tare_kg", "net_kg"), whole(0, 200_000))},
    ("station", "movement"): {**LOADED, "mass_kg": whole(0, 200_000)},
    ("station", "level"): {"stock_kg": number(0, 10_000_000), "leachate_m3": number(0, 100_000)},
}
REQUIRED: dict[tuple[str, str], set[str]] = {
    ("truck", "reading"): {"seq", "speed_kmh", "heading_deg"},
    ("scale", "indication"): {"gross_kg"},
    ("scale", "weighing"): {"plate", "stream", "direction"},
    ("station", "movement"): {"mass_kg", "stream", "direction"},
    ("station", "level"): {"stock_kg", "leachate_m3"},
}


def test_every_message_is_as_the_wire_contract_says(read: list[tuple[int, str, dict[str, Any]]]):
    seen = set()
    for _, topic, one in read:
        match = TOPIC.fullmatch(topic)
        assert match, topic
        kind = match[1], match[3]
        seen.add(kind)
        checks = COMMON | MEMBERS[kind]
        wrong = {name: value for name, value in one.items() if not checks[name](value)}
        assert not wrong, (topic, one)
        assert REQUIRED[kind] | {"t_ms"} <= one.keys()
    assert seen == set(MEMBERS)


def test_a_position_has_both_members_or_none(read: list[tuple[int, str, dict[str, Any]]]):
    assert all(("lat_deg" in one) == ("lon_deg" in one) for _, _, one in read)
    assert 0 < sum("lat_deg" not in one for _, topic, one in read if "/truck/" in topic) < 0.01 * len(read)


def test_a_weighing_names_at_least_one_mass(read: list[tuple[int, str, dict[str, Any]]]):
    weighings = [one for _, topic, one in read if topic.endswith("/weighing")]
    assert all("gross_kg" in one or "tare_kg" in one for one in weighings)
    assert all({"gross_kg", "tare_kg"} <= one.keys() for one in weighings if "net_kg" in one)


def test_payloads_hold_up_to_twenty_readings_of_one_truck_in_order(day_of_twenty: Play):
    lengths = set()
    for _, topic, payload in day_of_twenty.messages:
        parsed = json.loads(payload)
        if isinstance(parsed, list):
            assert "/truck/" in topic
            seqs = [one["seq"] for one in parsed]
            assert seqs == sorted(set(seqs))
            lengths.add(len(parsed))
    assert max(lengths) == 20
    assert min(lengths) > 1


@pytest.mark.parametrize(
    ("initial", "cover", "body", "load"),
    [("S", "cover_open", "body_up", "load_kg"), ("T", None, "body_up", "load_kg"), ("O", None, None, "load_state")],
)
def test_each_type_of_terminal_reports_its_own_sensors(
    read: list[tuple[int, str, dict[str, Any]]], initial: str, cover: str | None, body: str | None, load: str
):
    names = {name for _, topic, one in read if topic.startswith(f"plimsoll/v1/wujin/truck/{initial}") for name in one}
    assert names & {"cover_open", "body_up", "load_kg", "load_state"} == {cover, body, load} - {None}
