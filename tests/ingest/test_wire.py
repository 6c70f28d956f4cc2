"""The golden cases of the wire contract: tests/wire/<case>/message.json becomes expected.json."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.columns import MISSING
from core.readings import Readings
from ingest.decode import Decoded, decode
from ingest.source import Message
from ingest.wire import TYPES, Reason
from storage.assets import MEASUREMENTS, AssetKey, measurement_of

CASES = sorted(path for path in (Path(__file__).parents[1] / "wire").iterdir() if path.is_dir())
RECEIVED_MS = 1_700_000_000_500


class Assets:
    """Numbers for keys, as the journal gives them."""

    def __init__(self) -> None:
        self.keys: list[AssetKey] = []

    def __call__(self, key: AssetKey) -> int:
        if key not in self.keys:
            self.keys.append(key)
        return self.keys.index(key) + 1


def payload_of(message: dict[str, Any]) -> bytes:
    if "hex" in message:
        return bytes.fromhex(message["hex"])
    if "repeat" in message:
        return str(message["repeat"]).encode() * int(message["times"])
    text: str = message["text"] if "text" in message else json.dumps(message["payload"], ensure_ascii=False)
    return text.encode()


def message_of(case: Path) -> Message:
    message = json.loads((case / "message.json").read_text(encoding="utf-8"))
    return Message(message["topic"], payload_of(message))


def plain(value: Any) -> Any:
    """A column's value as expected.json has it: null where nothing was measured."""
    value = value.item()
    return None if value != value or value == MISSING else value


def rows_of(table: Readings, assets: Assets) -> list[dict[str, Any]]:
    names = [name for name in table.names() if name not in {"asset", "received_ms"}]
    keys = [assets.keys[number - 1] for number in table.asset.tolist()]
    return [
        {"asset": [key.district, key.kind, key.name], **{name: plain(getattr(table, name)[row]) for name in names}}
        for row, key in enumerate(keys)
    ]


def outcome(decoded: Decoded, assets: Assets) -> dict[str, Any]:
    found: dict[str, Any] = {measurement_of(type(table)): rows_of(table, assets) for table in decoded.tables}
    for letter in decoded.dead_letters:
        found["dead_letter"] = {"reason": letter.reason, "detail": letter.detail}
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_golden_message_becomes_what_is_expected(case: Path) -> None:
    assets = Assets()
    decoded = decode([message_of(case)], RECEIVED_MS, assets)
    assert outcome(decoded, assets) == json.loads((case / "expected.json").read_text(encoding="utf-8"))
    assert all((table.received_ms == RECEIVED_MS).all() for table in decoded.tables)


def test_what_becomes_of_a_message_does_not_depend_on_its_neighbours() -> None:
    assets = Assets()
    messages = [message_of(case) for case in CASES]
    together = decode(messages, RECEIVED_MS, assets)
    alone = [decode([message], RECEIVED_MS, assets) for message in messages]
    assert together.dead_letters == [letter for decoded in alone for letter in decoded.dead_letters]
    for table in together.tables:
        parts = [part for decoded in alone for part in decoded.tables if type(part) is type(table)]
        assert rows_of(table, assets) == rows_of(type(table).concat(parts), assets)  # type: ignore[arg-type]


def test_every_reason_that_decoding_can_give_has_a_golden_case() -> None:
    given = {json.loads((case / "expected.json").read_text(encoding="utf-8")).get("dead_letter", {}).get("reason") for case in CASES}
    assert given - {None} == {*Reason} - {Reason.FLOOD}, "flood depends on many readings and stands in test_admission.py"


def test_the_types_and_the_tables_name_the_same_measurements() -> None:
    assert set(TYPES) == set(MEASUREMENTS)


def test_every_reason_and_every_measurement_is_in_the_contract() -> None:
    contract = (Path(__file__).parents[2] / "docs" / "wire.md").read_text(encoding="utf-8")
    assert [f"`{reason}`" for reason in Reason if f"| `{reason}` |" not in contract] == []
    for name, wire in TYPES.items():
        section = contract.split(f"### {name}\n")[1].split("###")[0]
        members = {*wire.__struct_fields__} - {"t_ms", "seq", "hist"}
        assert [member for member in sorted(members) if f"`{member}`" not in section] == []


def test_the_array_case_tells_where_its_rows_stood() -> None:
    case = next(case for case in CASES if case.name == "array_with_refused_elements")
    origin = decode([message_of(case)], RECEIVED_MS, Assets()).origins[0]
    np.testing.assert_array_equal(origin.message, [0, 0])
    np.testing.assert_array_equal(origin.element, [0, 4])
