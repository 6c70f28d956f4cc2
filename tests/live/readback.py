"""What a collector left on disk, as text that two runs can be compared by."""

from collections.abc import Sequence
from typing import Any

from core.columns import Columns
from core.order import order_dedupe
from core.readings import BOOKKEEPING, Readings
from ingest import source
from ingest.decode import decode
from simulators.message import Message
from storage import readings
from storage.assets import MEASUREMENTS, AssetKey
from tests.live.programs import District

EVER_MS = 2**62
RECEIPTS = ("heard_ms", "late_ms", "steady_ms", "steady_late_ms")
"""What `Latest` tells of when readings came: no two runs agree on that."""
Said = dict[str, list[str]]


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
    winners: dict[str, Columns] = {what: order_dedupe(MEASUREMENTS[what].concat(own)).winners for what, own in of.items()}
    return {what: lines(table, names, BOOKKEEPING) for what, table in winners.items()}
