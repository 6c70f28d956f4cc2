"""The truck whose clock is behind is found in a played day, and none of those that send late."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.columns import MISSING
from core.derive import TruckStates, derive
from core.geofence import Sites
from core.order import order_dedupe
from core.readings import TruckReadings
from core.rules import Rules, TruckSpecs
from desk.clocks import behind_ms
from desk.rules import AlertRules
from simulators.scenario import Scenario

HOUR_MS = 3_600_000
AHEAD_MS = 300_000


@pytest.fixture(scope="module")
def arrived(wujin: Scenario, read: list[tuple[int, str, dict[str, Any]]]) -> TruckReadings:
    """What is admitted of the fleet's readings, as it came, by the times alone. Trucks are numbered as in the scenario."""
    number = {truck.id: row for row, truck in enumerate(wujin.trucks)}
    told = [
        (number[topic.split("/")[4]], one["t_ms"], one["seq"], arrival_ms, one.get("hist", False))
        for arrival_ms, topic, one in read
        if topic.endswith("/reading") and one["t_ms"] <= arrival_ms + AHEAD_MS
    ]
    times = dict(zip(("asset", "t_ms", "seq", "received_ms", "hist"), np.array(told, np.int64).T, strict=True))
    nothing = {"U": "", "f": np.nan, "i": -1}
    absent = {name: np.full(len(told), nothing[dtype.kind]) for name, dtype in TruckReadings.dtypes().items()}
    place = dict.fromkeys(("lat_e7", "lon_e7"), np.full(len(told), MISSING))
    return TruckReadings.of(**absent | place | times)


def wrong_clocks(wujin: Scenario, readings: TruckReadings, rules: AlertRules) -> dict[str, float]:
    """The trucks whose clocks are found behind, and by how much [h]."""
    states, nowhere = TruckStates.initial(np.arange(len(wujin.trucks))), Sites.of([], [], [])
    latest = derive(order_dedupe(readings).winners, states, TruckSpecs.empty(), nowhere, Rules()).latest
    found = behind_ms(latest, rules.clock_behind_ms)
    return {wujin.trucks[truck].id: round(ms / HOUR_MS, 1) for truck, ms in zip(latest.asset.tolist(), found.tolist(), strict=True) if ms}


@pytest.mark.parametrize("speed", [1, 60])
def test_the_clock_that_is_behind_is_found_all_day_and_no_other(wujin: Scenario, arrived: TruckReadings, speed: int) -> None:
    begin_ms, rules = int(arrived.received_ms.min()), AlertRules().at_speed(speed)
    for hour in range(1, 25, 3):
        until = arrived.take(arrived.received_ms <= begin_ms + hour * HOUR_MS)
        assert wrong_clocks(wujin, until, rules) == {wujin.clock_behind.id: 8.0}


def test_a_played_half_hour_is_enough(wujin: Scenario, arrived: TruckReadings) -> None:
    begin_ms = int(arrived.received_ms.min())
    for minutes, found in ((15, {}), (30, {wujin.clock_behind.id: 8.0})):
        until = arrived.take(arrived.received_ms <= begin_ms + minutes * 60_000)
        assert wrong_clocks(wujin, until, AlertRules()) == found


def test_without_the_mark_what_was_kept_without_a_line_is_still_no_clock_fault(wujin: Scenario, arrived: TruckReadings) -> None:
    arrived = replace(arrived, hist=np.zeros_like(arrived.hist))
    kept = arrived.received_ms - arrived.t_ms > 15 * 60_000
    came_ms = np.unique(arrived.received_ms[kept & (arrived.asset != wujin.trucks.index(wujin.clock_behind))])
    assert len(came_ms) > 10
    for at_ms in came_ms[:: len(came_ms) // 12].tolist():
        assert set(wrong_clocks(wujin, arrived.take(arrived.received_ms <= at_ms), AlertRules())) <= {wujin.clock_behind.id}
