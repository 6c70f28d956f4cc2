import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import fields
from datetime import date, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulators.play import Play, play, play_from
from simulators.scenario import Scenario
from simulators.shifts import local_ms
from simulators.truth import TrueCycle
from simulators.wujin import scenario as wujin_2022

DAY = date(2022, 3, 16)  # as in conftest.py
AHEAD_MS = 300_000
Read = list[tuple[int, str, dict[str, Any]]]
Track = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def day_of_one(wujin: Scenario) -> Play:
    return play(wujin, DAY, batch=1)


@pytest.fixture(scope="module")
def tracks(read: Read) -> dict[str, Track]:
    """What a careful receiver has of each truck: first contents of each identity, in order of device time."""
    kept: dict[str, dict[tuple[int, int], dict[str, Any]]] = defaultdict(dict)
    for arrival_ms, topic, one in read:
        if "/truck/" in topic and one["t_ms"] <= arrival_ms + AHEAD_MS:
            kept[topic.split("/")[4]].setdefault((one["t_ms"], one["seq"]), one)
    return {truck: _track([rows[key] for key in sorted(rows)]) for truck, rows in kept.items()}


def _track(rows: list[dict[str, Any]]) -> Track:
    names = ("t_ms", "lat_deg", "lon_deg", "speed_kmh", "load_kg", "body_up", "cover_open")
    return {name: np.array([row.get(name, np.nan) for row in rows], dtype=float) for name in names}


def _between(track: Track, name: str, from_ms: int, to_ms: int) -> np.ndarray:
    return track[name][(track["t_ms"] >= from_ms) & (track["t_ms"] <= to_ms)]


def whole_cycles(played: Play, *sensors: str) -> list[TrueCycle]:
    return [cycle for cycle in played.truth.cycles if not cycle.cut and cycle.sensor in sensors]


def test_equal_seeds_play_equal_days(day_of_twenty: Play):
    again = play(wujin_2022(), DAY)
    assert again.messages == day_of_twenty.messages
    assert again.truth == day_of_twenty.truth


def test_messages_come_in_the_order_of_their_arrival_and_none_before_its_last_reading(day_of_twenty: Play, read: Read):
    arrivals = [message.arrival_ms for message in day_of_twenty.messages]
    assert arrivals == sorted(arrivals)
    early = [one for arrival_ms, _, one in read if one["t_ms"] >= arrival_ms]
    assert len(early) == day_of_twenty.truth.counts[0].quarantined


def test_what_happens_does_not_depend_on_how_readings_are_put_together(day_of_twenty: Play, read: Read, day_of_one: Play):
    for name in ("cycles", "tickets", "tonnage", "faults"):
        assert getattr(day_of_twenty.truth, name) == getattr(day_of_one.truth, name)
    ones = [(topic, json.loads(payload)) for _, topic, payload in day_of_one.messages]
    assert _identities((topic, one) for _, topic, one in read) == _identities(ones)


def _identities(readings: Iterable[tuple[str, dict[str, Any]]]) -> set[tuple[str, int, int]]:
    return {(topic, one["t_ms"], one.get("seq", 0)) for topic, one in readings}


def test_a_receiver_finds_what_the_truth_counts(day_of_twenty: Play, read: Read):
    rows: dict[str, Read] = defaultdict(list)
    for reading in read:
        rows[_measurement(reading[1])].append(reading)
    messages = Counter(_measurement(message.topic) for message in day_of_twenty.messages)
    for counts in day_of_twenty.truth.counts:
        admitted = [(topic, one) for arrival_ms, topic, one in rows[counts.measurement] if one["t_ms"] <= arrival_ms + AHEAD_MS]
        identities = _identities(admitted)
        variants = {(topic, frozenset(one.items())) for topic, one in admitted}
        ahead = len(rows[counts.measurement]) - len(admitted)
        found = (len(identities), len(admitted) - len(variants), len(variants) - len(identities), ahead)
        assert found == (counts.readings, counts.duplicates, counts.conflicts, counts.quarantined)
        assert counts.messages == messages[counts.measurement]


def _measurement(topic: str) -> str:
    """truck/reading, of plimsoll/v1/wujin/truck/S001/reading."""
    return "/".join(topic.split("/")[3::2])


def test_every_true_cycle_is_visible_in_the_readings(wujin: Scenario, day_of_twenty: Play, tracks: dict[str, Track]):
    trucks = {truck.id: truck for truck in wujin.trucks}
    cycles = whole_cycles(day_of_twenty, "weight")
    assert len(cycles) > 300
    for cycle in cycles:
        truck, track = trucks[cycle.truck], tracks[cycle.truck]
        haul = np.median(_between(track, "load_kg", cycle.depart_ms, cycle.arrive_ms))
        error = 0.035 * truck.gross_limit_kg
        assert cycle.delivered_kg - error < haul < cycle.payload_kg + error
        assert _between(track, "load_kg", cycle.start_ms - 60_000, cycle.start_ms).max() < 0.2 * truck.rated_kg
        assert _between(track, "load_kg", cycle.end_ms, cycle.end_ms + 60_000).max() < 0.2 * truck.rated_kg
        assert _between(track, "body_up", cycle.arrive_ms, cycle.end_ms + 60_000).any()
        assert not _between(track, "body_up", cycle.start_ms, cycle.arrive_ms).any()
        assert _between(track, "speed_kmh", cycle.depart_ms, cycle.arrive_ms).max() > 20
        assert _between(track, "speed_kmh", cycle.start_ms, cycle.full_ms).max() < 5


def test_covers_are_shut_on_the_haul_unless_planted_otherwise(day_of_twenty: Play, tracks: dict[str, Track]):
    smart = [cycle for cycle in whole_cycles(day_of_twenty, "weight") if cycle.truck.startswith("S")]
    assert sum(cycle.fault == "open_cover" for cycle in smart) > 0
    for cycle in smart:
        cover = _between(tracks[cycle.truck], "cover_open", cycle.depart_ms, cycle.arrive_ms)
        assert cover.all() if cycle.fault == "open_cover" else not cover.any()


def test_spilt_loads_fall_by_their_size(day_of_twenty: Play, tracks: dict[str, Track]):
    spills = {(fault.asset, fault.start_ms): fault for fault in day_of_twenty.truth.faults if fault.kind == "spillage"}
    cycles = [cycle for cycle in whole_cycles(day_of_twenty, "weight") if cycle.fault == "spillage"]
    assert cycles
    for cycle in cycles:
        (spill,) = [f for (truck, at_ms), f in spills.items() if truck == cycle.truck and cycle.depart_ms < at_ms < cycle.arrive_ms]
        before = _between(tracks[cycle.truck], "load_kg", cycle.depart_ms, spill.start_ms)
        after = _between(tracks[cycle.truck], "load_kg", spill.end_ms, cycle.arrive_ms)
        assert before.mean() - after.mean() == pytest.approx(spill.size, abs=450)


def test_a_stuck_sensor_repeats_itself_while_the_truck_works(day_of_twenty: Play, tracks: dict[str, Track]):
    for cycle in whole_cycles(day_of_twenty, "stuck"):
        assert len(set(_between(tracks[cycle.truck], "load_kg", cycle.start_ms, cycle.end_ms))) == 1


def test_the_clock_that_is_behind_tells_its_cycles_eight_hours_early(wujin: Scenario, day_of_twenty: Play):
    cycles = [cycle for cycle in day_of_twenty.truth.cycles if cycle.truck == wujin.clock_behind.id]
    assert cycles
    assert all(cycle.clock_ms == -8 * 3_600_000 and cycle.dump_site in wujin.scale_at for cycle in cycles)
    assert all(cycle.clock_ms == 0 for cycle in day_of_twenty.truth.cycles if cycle.truck != wujin.clock_behind.id)


def test_trucks_move_like_trucks_but_where_a_jump_is_planted(day_of_twenty: Play, tracks: dict[str, Track]):
    jumps = {fault.asset for fault in day_of_twenty.truth.faults if fault.kind == "gps_jump"}
    fastest = {truck: _fastest_kmh(track) for truck, track in tracks.items()}
    assert all(kmh < 80 for truck, kmh in fastest.items() if truck not in jumps)
    assert all(fastest[truck] > 200 for truck in jumps)
    assert max(np.nanmax(track["speed_kmh"]) for track in tracks.values()) < 70


def _fastest_kmh(track: Track) -> float:
    fixed = ~np.isnan(track["lat_deg"])
    lat, lon, t_ms = (track[name][fixed] for name in ("lat_deg", "lon_deg", "t_ms"))
    metres = np.hypot(np.diff(lat) * 111_195, np.diff(lon) * 94_650)
    return float((metres / np.diff(t_ms)).max() * 3_600)


def test_tickets_on_the_wire_add_up_to_the_true_tonnage(wujin: Scenario, day_of_twenty: Play, read: Read):
    halves: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for _, topic, one in read:
        if topic.endswith("/weighing"):
            halves[topic.split("/")[4], one["number"]] |= {name: one[name] for name in ("gross_kg", "tare_kg") if name in one}
    net: dict[str, int] = defaultdict(int)
    for (scale, _), masses in halves.items():
        net[scale] += masses["gross_kg"] - masses["tare_kg"]
    for scale in wujin.scales:
        truth = sum(row.mass_kg for row in day_of_twenty.truth.tonnage if row.site == scale.site.id and row.source == "ticket")
        assert net[scale.id] == truth > 0


def test_onboard_tonnage_is_what_was_dumped_at_sites_without_a_weighbridge(wujin: Scenario, day_of_twenty: Play):
    dumped: dict[str, float] = defaultdict(float)
    for cycle in day_of_twenty.truth.cycles:
        if cycle.cut != "end" and cycle.dump_site in wujin.unweighed:
            dumped[cycle.dump_site] += cycle.delivered_kg
    onboard = {row.site: row.mass_kg for row in day_of_twenty.truth.tonnage if row.source == "onboard"}
    assert onboard == pytest.approx(dumped, abs=20)


def test_every_kind_of_fault_is_planted(day_of_twenty: Play):
    assert {fault.kind for fault in day_of_twenty.truth.faults} == {
        *("overload_payload", "overload_gross", "spillage", "illegal_dump", "off_route", "open_cover", "stuck_load"),
        *("gps_jump", "clock_ahead", "clock_behind", "late_batch", "gap", "ticket_overload_gross", "ticket_mismatch"),
    }


def test_late_batches_are_marked_as_history(day_of_twenty: Play, read: Read):
    marked = sum(one.get("hist", False) for _, _, one in {(t, o["t_ms"]): (a, t, o) for a, t, o in read}.values())
    assert marked == sum(fault.size for fault in day_of_twenty.truth.faults if fault.kind == "late_batch")


def test_the_truth_can_be_read_back(day_of_twenty: Play, tmp_path: Path):
    day_of_twenty.truth.write(tmp_path)
    with (tmp_path / "cycles.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["truck"] for row in rows] == [cycle.truck for cycle in day_of_twenty.truth.cycles]
    assert tuple(rows[0]) == TrueCycle._fields
    assert len(json.loads((tmp_path / "counts.json").read_text(encoding="utf-8"))) == 5
    assert {file.stem for file in tmp_path.iterdir()} == {field.name for field in fields(day_of_twenty.truth)}


@pytest.mark.slow
def test_consecutive_days_fit_together_and_go_on_without_end(wujin: Scenario):
    midnight = local_ms(wujin, DAY + timedelta(days=1))
    start, end = midnight - 1_200_000, midnight + 1_200_000
    messages = list(takewhile(lambda message: message.arrival_ms < end, play_from(wujin, start, batch=1)))
    arrivals = [message.arrival_ms for message in messages]
    assert arrivals == sorted(arrivals)
    assert start <= arrivals[0] < start + 2_000
    assert np.diff(arrivals).max() < 30_000
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for message in messages:
        one = json.loads(message.payload)
        if "/truck/" in message.topic and not one.get("hist"):
            rows[message.topic].append(one)
    crossed = 0
    for track in rows.values():
        before = [one for one in track if midnight - 60_000 <= one["t_ms"] < midnight and "lat_deg" in one]
        after = [one for one in track if midnight <= one["t_ms"] < midnight + 60_000 and "lat_deg" in one]
        if before and after:
            crossed += 1
            last, first = max(before, key=lambda one: one["t_ms"]), min(after, key=lambda one: one["t_ms"])
            metres = np.hypot((first["lat_deg"] - last["lat_deg"]) * 111_195, (first["lon_deg"] - last["lon_deg"]) * 94_650)
            assert metres < (first["t_ms"] - last["t_ms"]) / 1_000 * 22 + 30
    assert crossed > 20
