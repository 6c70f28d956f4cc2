"""The collector's promises: durable before acknowledged, the same results however the stream was cut, and nothing twice."""

import json
import sqlite3
from collections import deque
from functools import partial

import numpy as np
import pytest

from core.events import Cycles, DayTotals, Tickets
from core.geofence import Role, Sites
from core.readings import TruckReadings, Weighings
from core.rules import Rules, TruckSpecs
from ingest.admission import Admission
from ingest.books import Books, Places
from ingest.collector import Collector
from ingest.deriver import Deriver
from ingest.source import Delivery, Message
from storage.journal import Journal
from storage.results import Results
from storage.store import EmbeddedStore

START_MS = 1_655_254_800_000  # 2022-06-15 09:00 in Shanghai
EVER = 2**62


class Given:
    """A source that delivers what the test gives it, and remembers what was acknowledged."""

    def __init__(self) -> None:
        self.waiting: deque[list[Message]] = deque()
        self.acknowledged: list[Message] = []
        self.drops = 0

    def read(self, timeout_s: float) -> Delivery | None:
        if not self.waiting:
            return None
        messages = self.waiting.popleft()
        return Delivery(messages, lambda: self.acknowledged.extend(messages))

    def drop(self) -> None:
        self.drops += 1

    def close(self) -> None:
        self.waiting.clear()

    def state(self) -> dict[str, object]:
        return {"waiting": len(self.waiting)}


def square(lon: float, lat: float, half: float = 0.002) -> list[list[tuple[float, float]]]:
    return [[(lon - half, lat - half), (lon + half, lat - half), (lon + half, lat + half), (lon - half, lat + half)]]


def specs_of(journal: Journal, unregistered: tuple[str, ...] = ()):
    def specs() -> TruckSpecs:
        trucks = [number for number, key in sorted(journal.assets().items()) if key.kind == "truck" and key.name not in unregistered]
        size = len(trucks)
        return TruckSpecs.of(
            asset=trucks,
            from_ms=np.full(size, np.iinfo(np.int64).min),
            rated_kg=np.full(size, 16_000.0),
            tare_kg=np.full(size, 15_000.0),
            gross_limit_kg=np.full(size, 31_000.0),
        )

    return specs


def collector_on(
    journal: Journal,
    source: Given,
    now_ms: int = START_MS + 86_400_000,
    *,
    unregistered: tuple[str, ...] = (),
    scale_site: str = "landfill",
    basis: str = "",
    low_disk_bytes: int = 0,
) -> Collector:
    sites = Sites.of(["east-yard", "north-fill"], [Role.CONSTRUCTION, Role.DISPOSAL], [square(119.9, 31.7), square(120.0, 31.8)])
    places = Places(
        site_of=lambda kind, name: {"scale-1": scale_site}.get(name, ""),
        gross_limits_kg=lambda plates, t_ms: np.full(len(plates), 31_000.0),
        zone="Asia/Shanghai",
        cutoff_min=0,
    )
    results = Results(journal)
    return Collector(
        source,
        journal,
        results,
        Deriver(journal, results, sites, specs_of(journal, unregistered), Rules()),
        Books(journal, results, places, Rules()),
        Admission(journal.quarantine_holds),
        lambda: now_ms,
        flush_s=0.0,
        basis=basis,
        low_disk_bytes=low_disk_bytes,
    )


def haul(truck: str, start_ms: int, payload_kg: float = 15_000.0) -> list[Message]:
    """One cycle in readings 30 s apart: stand empty, load, drive 60 readings, tip, stand."""
    messages = []
    for step in range(160):
        driving = 40 <= step < 100
        share = min(max((step - 40) / 60, 0.0), 1.0)
        load = 0.0 if step < 20 or step >= 110 else payload_kg * min(1.0, (step - 19) / 10)
        reading = {
            "t_ms": start_ms + step * 30_000,
            "lat_deg": 31.7 + 0.1 * share,
            "lon_deg": 119.9 + 0.1 * share,
            "speed_kmh": 30.0 if driving else 0.0,
            "load_kg": load,
            "body_up": 105 <= step < 112,
            "cover_open": not driving,
        }
        messages.append(Message(f"plimsoll/v1/wujin/truck/{truck}/reading", json.dumps(reading).encode()))
    return messages


def weighing(number: int, gross_kg: int, tare_kg: int) -> Message:
    ticket = {
        "t_ms": START_MS + number * 60_000, "number": f"A{number}", "plate": f"苏D{number:05d}", "gross_kg": gross_kg, "tare_kg": tare_kg,
        "stream": "domestic", "direction": "in",
    }  # fmt: skip
    return Message("plimsoll/v1/wujin/scale/scale-1/weighing", json.dumps(ticket).encode())


def play(collector: Collector, source: Given, *batches: list[Message], derive_each: bool = True) -> None:
    for batch in batches:
        source.waiting.append(batch)
        collector.turn()
        if derive_each:
            collector.derive()
    collector.derive()


def tables(path) -> tuple[list, ...]:
    with EmbeddedStore(path) as store:
        stored = store.cycles(0, EVER), store.flags(0, EVER), store.tickets(0, EVER), store.day_totals(0, 100_000)
        return tuple(
            [tuple(map(str, row)) for row in zip(*(getattr(part.rows, name).tolist() for name in part.rows.names()), strict=True)]
            for part in stored
        )


def test_a_haul_becomes_a_cycle_with_its_sites_and_payload(tmp_path):
    source = Given()
    with Journal.open(tmp_path / "j.sqlite", lambda: START_MS) as journal:
        play(collector_on(journal, source), source, haul("T1", START_MS))
        [cycle] = tables(journal.path)[0]
    cycle = dict(zip(Cycles.names(), cycle, strict=True))
    assert (cycle["load_site"], cycle["dump_site"]) == ("east-yard", "north-fill")
    assert cycle["payload_kg"] == "15000.0"
    assert float(cycle["haul_m"]) == pytest.approx(14_600, rel=0.05)


def test_the_results_do_not_depend_on_how_the_stream_was_cut_or_ordered(tmp_path):
    messages = [
        *haul("T1", START_MS),
        *haul("T2", START_MS + 3_600_000, 21_000.0),
        *(weighing(n, 20_000 + n * 20, 9_000) for n in range(5)),
    ]
    cuts = {
        "whole": [messages],
        "one by one": [[message] for message in messages],
        "shuffled": [list(part) for part in np.array_split(np.random.default_rng(7).permutation(np.array(messages, dtype=object)), 9)],
        "twice": [messages[:150], messages[100:], messages],
    }
    said = {}
    for name, batches in cuts.items():
        source = Given()
        with Journal.open(tmp_path / f"{name}.sqlite", lambda: START_MS) as journal:
            play(collector_on(journal, source), source, *[[Message(*message) for message in batch] for batch in batches])
            said[name] = sorted(map(str, (sorted(map(str, part)) for part in (strip_assets(part) for part in tables(journal.path)))))
    assert said["whole"] == said["one by one"] == said["shuffled"] == said["twice"]


def strip_assets(rows: list) -> list:
    """Assets are numbered in the order of their first reading: leave the number out."""
    return [row[1:] for row in rows]


def test_a_truck_that_was_offline_for_hours_ends_with_the_same_cycles(tmp_path):
    early, late = haul("T1", START_MS), haul("T1", START_MS + 5 * 3_600_000)
    orders = {"in order": [early, late], "late first": [late, early], "interleaved": [early[:50] + late, early[50:]]}
    said = {}
    for name, batches in orders.items():
        source = Given()
        with Journal.open(tmp_path / f"{name}.sqlite", lambda: START_MS) as journal:
            play(collector_on(journal, source), source, *batches)
            said[name] = tables(journal.path)
    assert said["in order"] == said["late first"] == said["interleaved"]
    assert len(said["in order"][0]) == 2


def test_tickets_are_summed_to_the_kilogram_per_day_and_site(tmp_path):
    source = Given()
    with Journal.open(tmp_path / "j.sqlite", lambda: START_MS) as journal:
        play(collector_on(journal, source), source, [weighing(n, 20_001 + n, 9_000) for n in range(7)])
        _, _, tickets, totals = tables(journal.path)
    assert len(tickets) == 7
    [total] = [dict(zip(DayTotals.names(), row, strict=True)) for row in totals]
    told = [total[name] for name in ("site", "stream", "source", "mass_kg", "count")]
    assert told == ["landfill", "domestic", "ticket", "77028", "7"]


def test_a_restart_goes_on_where_the_journal_is(tmp_path):
    messages = [*haul("T1", START_MS), weighing(1, 20_000, 9_000)]
    source = Given()
    with Journal.open(tmp_path / "j.sqlite", lambda: START_MS) as journal:
        play(collector_on(journal, source), source, messages[:90])
    with Journal.open(tmp_path / "j.sqlite", lambda: START_MS) as journal:
        collector = collector_on(journal, source)
        source.waiting.append(messages[90:])
        collector.turn()  # journalled and acknowledged; not derived: the process ends here
        assert len(source.acknowledged) == len(messages)
    with Journal.open(tmp_path / "j.sqlite", lambda: START_MS) as journal:
        collector_on(journal, source).derive()
        cycles, _, tickets, totals = tables(journal.path)
    assert (len(cycles), len(tickets), len(totals)) == (1, 1, 2)


def test_nothing_is_acknowledged_when_the_journal_cannot_commit(tmp_path, monkeypatch):
    source = Given()
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, timeout=0.1))  # it would wait five seconds for the lock
    with Journal.open(tmp_path / "j.sqlite", lambda: START_MS) as journal:
        collector = collector_on(journal, source)
        with sqlite3.connect(journal.path) as other:
            other.execute("begin immediate")
            source.waiting.append(haul("T1", START_MS))
            collector.take_in(source.read(0))
            assert (source.acknowledged, source.drops) == ([], 1)
            other.rollback()
        other.close()
        play(collector, source, haul("T1", START_MS))
        assert len(source.acknowledged) == 160
        assert len(journal.read(TruckReadings, None, 0, EVER)) == 160


def test_little_room_on_the_disk_is_said_loudly_before_it_is_full(tmp_path, caplog):
    with Journal.open(tmp_path / "j.sqlite", lambda: START_MS) as journal:
        states = []
        for low_disk_bytes in (0, 1 << 60):
            collector = collector_on(journal, Given(), low_disk_bytes=low_disk_bytes)
            collector.report()
            collector.report()
            with EmbeddedStore(journal.path) as store:
                states.append(store.status()["journal"]["state"])
    assert states == ["ok", "low disk"]
    assert len([record for record in caplog.records if "of disk are left" in record.message]) == 1


def test_what_cannot_be_read_is_acknowledged_and_kept(tmp_path):
    source = Given()
    with Journal.open(tmp_path / "j.sqlite", lambda: START_MS) as journal:
        play(collector_on(journal, source), source, [Message("plimsoll/v1/wujin/truck/T1/reading", b"{"), weighing(1, 20_000, 9_000)])
        assert len(source.acknowledged) == 2
        with EmbeddedStore(journal.path) as store:
            assert [(letter.reason, letter.payload) for letter in store.dead_letters()] == [("not_json", b"{")]
        assert len(journal.read(Weighings, None, 0, EVER)) == 1


def test_repeating_an_old_reading_changes_nothing(tmp_path):
    source = Given()
    with Journal.open(tmp_path / "j.sqlite", lambda: START_MS) as journal:
        collector = collector_on(journal, source)
        play(collector, source, haul("T1", START_MS), haul("T1", START_MS + 5 * 3_600_000))
        before = tables(journal.path)
        with EmbeddedStore(journal.path) as store:
            change = int(store.flags_changed(0).change.max(initial=0))
            play(collector, source, haul("T1", START_MS))
            assert tables(journal.path) == before
            assert len(store.flags_changed(change)) == 0


def test_tickets_of_a_scale_nobody_registered_are_kept_under_its_own_name(tmp_path):
    source = Given()
    ticket = weighing(1, 20_000, 9_000)
    with Journal.open(tmp_path / "j.sqlite", lambda: START_MS) as journal:
        play(collector_on(journal, source), source, [ticket._replace(topic=ticket.topic.replace("scale-1", "scale-9"))])
        _, _, tickets, totals = tables(journal.path)
    assert dict(zip(Tickets.names(), tickets[0], strict=True))["net_kg"] == "11000"
    assert totals[0][0] == "scale-9"


def test_registering_a_truck_brings_its_history_in(tmp_path):
    source = Given()
    hauls = [*haul("T1", START_MS), *haul("T1", START_MS + 5 * 3_600_000), *haul("T2", START_MS)]
    with Journal.open(tmp_path / "j.sqlite", lambda: START_MS) as journal:
        play(collector_on(journal, source, unregistered=("T1",), basis="without T1"), source, hauls)
        assert [cycle[0] for cycle in tables(journal.path)[0]] == ["2"]
        collector_on(journal, source, basis="with T1")  # killed before it derives: nothing has changed yet
        collector_on(journal, source, basis="with T1").derive()
        assert [cycle[0] for cycle in tables(journal.path)[0]] == ["1", "2", "1"]
    whole = tmp_path / "whole.sqlite"
    with Journal.open(whole, lambda: START_MS) as journal:
        play(collector_on(journal, source, basis="with T1"), source, hauls)
    assert tables(tmp_path / "j.sqlite") == tables(whole)


def test_a_start_with_the_same_registry_changes_nothing(tmp_path):
    source = Given()
    with Journal.open(tmp_path / "j.sqlite", lambda: START_MS) as journal:
        play(collector_on(journal, source, basis="one"), source, [*haul("T1", START_MS), weighing(1, 20_000, 9_000)])
        before = changes(journal)
        for basis in ("one", "two"):  # derived again under another name, the same comes out
            collector_on(journal, source, basis=basis).derive()
            assert changes(journal) == before


def test_a_scale_that_is_registered_elsewhere_takes_its_tonnes_along_and_leaves_a_trace(tmp_path):
    source = Given()
    with Journal.open(tmp_path / "j.sqlite", lambda: START_MS) as journal:
        play(collector_on(journal, source, basis="here"), source, [weighing(1, 20_000, 9_000)])
        collector_on(journal, source, scale_site="incinerator", basis="there").derive()
        with journal.readers.snapshot() as db:
            totals = db.execute("select site, mass_kg, withdrawn from day_totals order by site").fetchall()
    assert totals == [("incinerator", 11_000, 0), ("landfill", 11_000, 1)]


def changes(journal: Journal) -> int:
    """How many changes of results there have been."""
    with journal.readers.snapshot() as db:
        change: int = db.execute("select change from position").fetchone()[0]
    return change
