import hashlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.columns import MISSING
from core.readings import TruckReadings
from ingest.decode import HEAD_BYTES, Decoded, decode
from ingest.source import Message
from ingest.topics import BadTopicError, route_of
from ingest.wire import MAX_PAYLOAD_BYTES, TYPES, Reason
from storage.assets import AssetKey

T_MS = 1_700_000_000_000
TRUCK = "plimsoll/v1/wujin/truck/7/reading"
PREFIXES = (
    "wujin/truck/7/reading",
    "wujin/scale/s/indication",
    "wujin/scale/s/weighing",
    "wujin/station/t/movement",
    "wujin/station/t/level",
)


def decoded(*payloads: Any, topic: str = TRUCK) -> Decoded:
    messages = [Message(topic, payload if isinstance(payload, bytes) else json.dumps(payload).encode()) for payload in payloads]
    return decode(messages, T_MS, lambda _key: 1)


def trucks(*payloads: Any) -> TruckReadings:
    found = decoded(*payloads)
    assert found.dead_letters == []
    (table,) = found.tables
    assert isinstance(table, TruckReadings)
    return table


def test_values_are_quantised_to_the_nearest_step() -> None:
    table = trucks(
        {"t_ms": T_MS, "lat_deg": 31.12345678, "lon_deg": -179.99999999, "speed_kmh": 0.26, "heading_deg": 359.5, "load_kg": -0.4}
    )
    assert (table.lat_e7[0], table.lon_e7[0]) == (311_234_568, -1_800_000_000)
    assert (table.speed_kmh[0], table.heading_deg[0], table.load_kg[0]) == (0.3, 0.0, 0.0)
    assert not np.signbit(table.load_kg[0]), "a zero has no sign, or equal readings would differ in their bytes"


def test_absent_and_null_are_not_measured_and_zero_is_a_measurement() -> None:
    table = trucks(
        [{"t_ms": T_MS}, {"t_ms": T_MS + 1, "load_kg": None, "body_up": None}, {"t_ms": T_MS + 2, "load_kg": 0, "body_up": False}]
    )
    np.testing.assert_array_equal(table.load_kg, [np.nan, np.nan, 0])
    np.testing.assert_array_equal(table.body_up, [-1, -1, 0])
    np.testing.assert_array_equal(table.lat_e7, [MISSING] * 3)


@given(st.lists(st.floats(0, 250), min_size=1, max_size=20))
def test_quantising_again_changes_nothing(speeds: list[float]) -> None:
    once = trucks([{"t_ms": T_MS + index, "speed_kmh": speed} for index, speed in enumerate(speeds)])
    again = trucks([{"t_ms": T_MS + index, "speed_kmh": speed} for index, speed in enumerate(once.speed_kmh.tolist())])
    np.testing.assert_array_equal(once.speed_kmh, again.speed_kmh)
    assert np.abs(once.speed_kmh - speeds).max() <= 0.05 + 1e-12


def test_rows_belong_to_the_asset_of_their_topic() -> None:
    numbers = {AssetKey("wujin", "truck", "7"): 3, AssetKey("tianning", "truck", "7"): 5}
    topics = ("wujin/truck/7", "tianning/truck/7", "wujin/truck/7")
    messages = [
        Message(f"plimsoll/v1/{topic}/reading", json.dumps([{"t_ms": T_MS}] * (index + 1)).encode()) for index, topic in enumerate(topics)
    ]
    (table,) = decode(messages, T_MS, numbers.__getitem__).tables
    assert table.asset.tolist() == [3, 5, 5, 3, 3, 3]


def test_an_asset_without_a_good_reading_gets_no_number() -> None:
    def asset_of(key: AssetKey) -> int:
        raise AssertionError(f"{key} was asked for")

    found = decode([Message(TRUCK, b"{}"), Message(TRUCK, b'{"t_ms":5}'), Message(TRUCK, b"[]")], T_MS, asset_of)
    assert [letter.reason for letter in found.dead_letters] == ["bad_shape", "out_of_range"]


def test_a_message_whose_parts_would_only_join_with_its_neighbour_is_refused() -> None:
    halves = [b'[{"t_ms":1700000000000}', b'{"t_ms":1700000000001}]', b'{"t_ms":1700000000000},{"t_ms":1700000000001}']
    assert [letter.reason for letter in decoded(*halves).dead_letters] == ["not_json"] * 3


def test_good_messages_pass_beside_bad_ones() -> None:
    found = decoded({"t_ms": T_MS}, b"\xff", [{"t_ms": T_MS + 1}, {"t_ms": None}], {"t_ms": T_MS + 2, "x": {"y": 1}})
    assert found.tables[0].t_ms.tolist() == [T_MS, T_MS + 1, T_MS + 2]
    assert found.origins[0].message.tolist() == [0, 2, 3]
    assert found.origins[0].element.tolist() == [-1, 0, -1]
    assert [letter.detail for letter in found.dead_letters][1] == "[1] bad_shape: t_ms is null: Expected `int`, got `null`"


def test_a_large_payload_is_kept_as_head_and_hash() -> None:
    payload = b"x" * 10_000_000
    (letter,) = decoded(payload).dead_letters
    assert letter.reason == "too_large"
    assert (letter.payload, letter.size) == (payload[:HEAD_BYTES], len(payload))
    assert letter.sha256 == hashlib.sha256(payload).hexdigest()


def test_a_full_payload_of_brackets_is_refused_without_an_exception() -> None:
    for payload in (b"[" * MAX_PAYLOAD_BYTES, b'{"t_ms":' * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000):
        (letter,) = decoded(payload).dead_letters
        assert letter.reason == "not_json"


@pytest.mark.parametrize("member", [b'"\\u0071":1e999', b'"q":' + b"9" * 5_000, b'"q":-0', b'"q":{"a":[{}]}', b'"q":"a:b{[,"'])
def test_unknown_members_are_ignored_whatever_they_hold(member: bytes) -> None:
    assert len(trucks(b'{"t_ms":1700000000000,' + member + b"}")) == 1


@pytest.mark.parametrize("member", [b'"q":"\xff"', b'"\xff":1', b'"q":"\xed\xa0\x80"'])
def test_unknown_members_must_be_utf8_all_the_same(member: bytes) -> None:
    payload = b'{"t_ms":1700000000000,' + member + b"}"
    assert [letter.reason for letter in decoded(payload, {"t_ms": T_MS}).dead_letters] == ["not_json"]


def test_a_member_that_stands_twice_is_refused_alone_in_its_array() -> None:
    found = decoded(b'[{"t_ms":1700000000000,"load_kg":1},{"t_ms":1700000000001,"load_kg":1,"load_\\u006bg":2}]')
    assert found.tables[0].t_ms.tolist() == [T_MS]
    assert found.dead_letters[0].detail == "[1] bad_shape: load_kg stands there twice, expected once"


def test_every_refused_element_is_named_with_its_reason() -> None:
    elements: list[Any] = [{"t_ms": T_MS + index, "heading_deg": 400 if index % 2 else 40} for index in range(100)]
    found = decoded(elements)
    assert len(found.tables[0]) == 50
    (letter,) = found.dead_letters
    assert [part.split("]")[0] for part in letter.detail.split("; ")] == [f"[{index}" for index in range(1, 100, 2)]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)
members = st.sampled_from(sorted({name for wire in TYPES.values() for name in wire.__struct_fields__}))
readings = st.dictionaries(members, json_values | st.sampled_from([T_MS, "muck", "in", 5, 0.5, "full"]), max_size=8)
payloads = (
    st.binary(max_size=60)
    | json_values.map(lambda value: json.dumps(value).encode())
    | readings.map(lambda value: json.dumps(value | {"t_ms": T_MS}).encode())
    | st.lists(readings, max_size=4).map(lambda value: json.dumps(value).encode())
)


@given(st.lists(st.tuples(st.sampled_from(PREFIXES), payloads), max_size=8))
def test_anything_ends_as_readings_or_a_dead_letter_whatever_its_neighbours(sent: list[tuple[str, bytes]]) -> None:
    messages = [Message(f"plimsoll/v1/{topic}", payload) for topic, payload in sent]
    together = decode(messages, T_MS, lambda _key: 1)
    alone = [decode([message], T_MS, lambda _key: 1) for message in messages]
    assert together.dead_letters == [letter for single in alone for letter in single.dead_letters]
    assert sum(map(len, together.tables)) == sum(len(table) for single in alone for table in single.tables)
    assert {letter.reason for letter in together.dead_letters} <= {*Reason}


@given(st.text(max_size=20))
def test_a_name_in_a_topic_is_taken_or_refused(name: str) -> None:
    try:
        route = route_of(f"plimsoll/v1/{name}/truck/7/reading")
    except BadTopicError:
        return
    assert route.key == AssetKey(name, "truck", "7")
    assert name == name.strip()
    assert not set(name) & set("/+#\x00\n")
    assert 1 <= len(name) <= 64


def test_names_of_64_characters_are_taken_and_of_65_refused() -> None:
    assert route_of(f"plimsoll/v1/wujin/truck/{'渣' * 64}/reading").key.name == "渣" * 64
    with pytest.raises(BadTopicError, match="asset is"):
        route_of(f"plimsoll/v1/wujin/truck/{'渣' * 65}/reading")
