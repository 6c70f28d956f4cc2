"""A truck's readings as a few phases, and one small district of sites."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from core.derive import Derived, TruckStates, derive
from core.geofence import Role, Sites
from core.readings import TruckReadings
from core.rules import Rules, TruckSpecs

START_MS = 1_650_000_000_000
STEP_MS = 10_000
PIT, FILL, ROAD, SHED, NO_GO = (119.90, 31.70), (120.00, 31.70), (119.95, 31.70), (119.93, 31.70), (119.96, 31.70)


def _square(lon: float, lat: float) -> list[list[tuple[float, float]]]:
    return [[(lon - 0.002, lat - 0.002), (lon + 0.002, lat - 0.002), (lon + 0.002, lat + 0.002), (lon - 0.002, lat + 0.002)]]


@pytest.fixture(scope="session")
def sites() -> Sites:
    return Sites.of(
        ["pit", "fill", "shed", "no-go"],
        [Role.CONSTRUCTION, Role.DISPOSAL, Role.DEPOT, Role.FORBIDDEN],
        [_square(*PIT), _square(*FILL), _square(*SHED), _square(*NO_GO)],
    )


@pytest.fixture(scope="session")
def specs() -> TruckSpecs:
    return TruckSpecs.of(asset=[1], from_ms=[np.iinfo(np.int64).min], rated_kg=[15_000], tare_kg=[13_000], gross_limit_kg=[31_000])


@pytest.fixture(scope="session")
def play() -> Callable[..., TruckReadings]:
    """Readings of truck 1 every ten seconds, from phases: dicts of ``rows`` and columns, whose lists are spread evenly over them.

    ``at`` is a place or a pair of places to drive between, ``skip_ms`` a silence before the phase.
    """

    def build(*phases: dict[str, Any]) -> TruckReadings:
        columns: dict[str, list[Any]] = {name: [] for name in TruckReadings.names()}
        t_ms = START_MS - STEP_MS
        for phase in phases:
            rows = phase["rows"]
            part = (np.arange(rows) + 1) / rows
            at = phase.get("at", ROAD)
            start, end = (np.array(place) for place in (at if isinstance(at[0], tuple) else (at, at)))
            lon, lat = np.rint(1e7 * (start[:, None] + (end - start)[:, None] * part)).astype(np.int64)
            t_ms += phase.get("skip_ms", 0)
            columns["t_ms"] += (t_ms + STEP_MS * (1 + np.arange(rows))).tolist()
            columns["lat_e7"] += lat.tolist()
            columns["lon_e7"] += lon.tolist()
            for name, silent in (("speed_kmh", np.nan), ("load_kg", np.nan), ("load_state", -1), ("body_up", -1), ("cover_open", -1)):
                value = phase.get(name, silent)
                columns[name] += [value[row * len(value) // rows] for row in range(rows)] if isinstance(value, list) else [value] * rows
            t_ms += STEP_MS * rows
        count = len(columns["t_ms"])
        rest = {"asset": [1] * count, "seq": [0] * count, "received_ms": columns["t_ms"], "hist": [0] * count, "heading_deg": [0.0] * count}
        return TruckReadings.of(**columns | rest)

    return build


@pytest.fixture(scope="session")
def derived(sites: Sites, specs: TruckSpecs) -> Callable[..., Derived]:
    """What the readings of truck 1 say, from its first reading on."""

    def run(readings: TruckReadings, rules: Rules | None = None, specs: TruckSpecs = specs) -> Derived:
        return derive(readings, TruckStates.initial(np.array([1])), specs, sites, rules or Rules())

    return run
