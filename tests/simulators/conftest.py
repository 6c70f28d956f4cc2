import gc
import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from simulators.play import Play, play
from simulators.scenario import Scenario
from simulators.wujin import scenario as wujin_2022

DAY = date(2022, 3, 16)


@pytest.fixture(scope="session")
def wujin() -> Scenario:
    return wujin_2022()


@pytest.fixture(scope="session")
def day_of_twenty(wujin: Scenario) -> Play:
    """One day, twenty readings to a message."""
    return play(wujin, DAY)


@pytest.fixture(scope="session")
def read(day_of_twenty: Play) -> list[tuple[int, str, dict[str, Any]]]:
    """Every reading of the day as (arrival, topic, object), in the order of arrival."""
    readings = list(_each(day_of_twenty))
    gc.freeze()  # half a million objects that stay: no test after this is to have them looked through again and again
    return readings


def _each(played: Play) -> Iterator[tuple[int, str, dict[str, Any]]]:
    for arrival_ms, topic, payload in played.messages:
        parsed = json.loads(payload)
        for one in parsed if isinstance(parsed, list) else [parsed]:
            yield arrival_ms, topic, one
