"""Real refuse trucks through the whole way in: 98,968 polled rows become 3,713 fixes, whichever way they come and however often."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from core.columns import MISSING
from core.readings import TruckReadings
from simulators.message import Message
from simulators.replay import read_recording
from tests.live.programs import District, Program

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(600)]

ROWS, FIXES, TRUCKS, CONFLICTED = 98_968, 3_713, 139, 588
DAY_MS = 86_400_000
EVER_MS = 2**62
Place = tuple[int, int]


@pytest.fixture(scope="module")
def recording(jersey_city: Path) -> list[Message]:
    return list(read_recording(jersey_city, "jersey-city", district="jersey-city"))


@pytest.fixture(scope="module")
def places(recording: list[Message]) -> dict[tuple[str, int], set[Place]]:
    """Every position that the feed gave for a truck and a device time, in 1e-7 degree."""
    found = defaultdict(set)
    for message in recording:
        said = json.loads(message.payload)
        found[message.topic.split("/")[4], said["t_ms"]].add((round(said["lat_deg"] * 1e7), round(said["lon_deg"] * 1e7)))
    return found


def replay(district: District, file: Path) -> None:
    """`plimsoll replay`, from its start until everything is acknowledged."""
    words = ["replay", str(file), "--format", "jersey-city", "--port", str(district.way.port)]
    program = Program(words, district.folder / "replay.log")
    program.start()
    assert program.finish(240) == 0, program.tail()


def fixes(district: District) -> dict[tuple[str, int], list[Place]]:
    """The journal, as read."""
    found = defaultdict(list)
    for asset, key in district.store.assets().items():
        track: TruckReadings = district.store.track(asset, 0, EVER_MS)
        for t_ms, place in zip(track.t_ms.tolist(), zip(track.lat_e7.tolist(), track.lon_e7.tolist(), strict=True), strict=True):
            found[key.name, t_ms].append(place)
    return found


def test_polled_rows_become_the_distinct_fixes_and_a_second_replay_changes_nothing(
    district: District, jersey_city: Path, recording: list[Message], places: dict[tuple[str, int], set[Place]]
) -> None:
    assert (len(recording), len(places), sum(len(own) > 1 for own in places.values())) == (ROWS, FIXES, CONFLICTED)
    district.write_registry("jersey-city", "America/New_York")
    district.start_collector()
    replay(district, jersey_city)
    district.take_in(ROWS)
    assert district.status("source")["messages"] == ROWS

    first = fixes(district)
    counts = district.store.counts()
    assert (len(first), len({truck for truck, _ in first})) == (FIXES, TRUCKS)
    assert first == {identity: [max(own)] for identity, own in places.items()}, "of several positions the greater encoding wins"
    assert counts.measurements["truck/reading"].distinct == FIXES
    assert counts.measurements["truck/reading"].conflicts == sum(len(own) - 1 for own in places.values())
    assert counts.measurements["truck/reading"].quarantined == 0
    assert counts.dead_letters == {}

    judge_latest(district, first)
    district.start_api()
    judge_offline(district, first, as_of_ms=recording[-1].arrival_ms)

    before = district.position.change, said(district)
    replay(district, jersey_city)
    district.take_in(2 * ROWS)
    assert fixes(district) == first
    assert district.store.counts().measurements["truck/reading"].conflicts == counts.measurements["truck/reading"].conflicts
    assert (district.position.change, said(district)) == before


def judge_latest(district: District, first: dict[tuple[str, int], list[Place]]) -> None:
    """Every truck's last fix is the newest by device time."""
    names = {asset: key.name for asset, key in district.store.assets().items()}
    latest = district.store.latest()
    newest_ms = {truck: max(t_ms for name, t_ms in first if name == truck) for truck in names.values()}
    assert {names[asset]: t_ms for asset, t_ms in zip(latest.asset.tolist(), latest.t_ms.tolist(), strict=True)} == newest_ms
    assert (latest.lat_e7 != MISSING).all()
    shown = [
        (names[asset], fix_ms, place)
        for asset, fix_ms, *place in zip(
            latest.asset.tolist(), latest.fix_ms.tolist(), latest.lat_e7.tolist(), latest.lon_e7.tolist(), strict=True
        )
    ]
    assert [first[name, fix_ms] for name, fix_ms, _ in shown] == [[tuple(place)] for _, _, place in shown]
    assert {name: fix_ms for name, fix_ms, _ in shown} == newest_ms


def judge_offline(district: District, first: dict[tuple[str, int], list[Place]], as_of_ms: int) -> None:
    """As of the last poll, exactly the trucks that were silent for a day are offline, and none of them moves."""
    fleet = district.ask(f"/trucks?as_of={as_of_ms}&offline_after_s={DAY_MS / 1000:g}")["trucks"]
    newest_ms = {truck: max(t_ms for name, t_ms in first if name == truck) for truck, _ in first}
    silent = {truck for truck, t_ms in newest_ms.items() if as_of_ms - t_ms >= DAY_MS}
    assert len(fleet) == TRUCKS
    assert {truck["id"] for truck in fleet if truck["offline"]} == silent
    assert len(silent) == 70
    assert not any(truck["registered"] for truck in fleet)
    moving = [truck["id"] for truck in fleet if truck["offline"] and truck["latest"]["moving"]]
    assert moving == []


def said(district: District) -> tuple[object, ...]:
    """Everything that a read tells of the results, numbers of changes included."""
    store = district.store
    stored = store.cycles(0, EVER_MS), store.flags(0, EVER_MS), store.tickets(0, EVER_MS), store.day_totals(0, 100_000)
    events = [[np.asarray(getattr(part.rows, name)).tolist() for name in part.rows.names()] for part in stored]
    traces = [(part.revision.tolist(), part.withdrawn.tolist(), part.change.tolist()) for part in stored]
    latest = store.latest()
    return str(events), traces, str([getattr(latest, name).tolist() for name in latest.names()])
