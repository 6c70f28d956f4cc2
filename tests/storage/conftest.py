from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.columns import MISSING
from core.readings import Readings, TruckReadings
from storage.journal import Journal
from storage.store import EmbeddedStore

NOON_MS = 1_751_889_600_000  # 2025-07-07T12:00:00Z


def make_rows(asset: int = 1, t_ms: Any = NOON_MS, **columns: Any) -> TruckReadings:
    """Readings of one truck at these times; what is not given was not measured."""
    times = np.atleast_1d(np.asarray(t_ms, np.int64))
    blank = {"seq": 0, "received_ms": times + 500, "hist": 0, "lat_e7": MISSING, "lon_e7": MISSING, "speed_kmh": np.nan}
    blank |= {"heading_deg": np.nan, "load_kg": np.nan, "load_state": -1, "body_up": -1, "cover_open": -1}
    values = blank | {"asset": asset, "t_ms": times} | columns
    return TruckReadings.of(**{name: np.broadcast_to(values[name], times.shape) for name in TruckReadings.names()})


def same_rows(left: Readings, right: Readings) -> bool:
    """Whether both tables hold the same rows in the same order, bit for bit."""
    pairs = [(getattr(left, name), getattr(right, name)) for name in left.names()]
    return all(a.tolist() == b.tolist() if a.dtype.kind == "U" else a.tobytes() == b.tobytes() for a, b in pairs)


def seal_through(journal: Journal, commit: int) -> None:
    while journal.seal(commit):
        pass


@pytest.fixture(scope="session")
def seal() -> Callable[[Journal, int], None]:
    """Seal to the end what is committed so far."""
    return seal_through


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    """An empty journal that seals whenever it is asked."""
    with Journal.open(path, lambda: NOON_MS, hot_rows=0, hot_batches=0) as opened:
        yield opened


@pytest.fixture
def store(journal: Journal) -> Iterator[EmbeddedStore]:
    with EmbeddedStore(journal.path) as opened:
        yield opened


@pytest.fixture(scope="session")
def rows() -> Callable[..., TruckReadings]:
    return make_rows


@pytest.fixture(scope="session")
def same() -> Callable[[Readings, Readings], bool]:
    return same_rows


@pytest.fixture(scope="session")
def noon_ms() -> int:
    return NOON_MS
