from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from core.columns import OPEN_MS
from core.events import Cycles, FlagKind, Flags
from core.readings import TruckReadings
from storage.journal import Journal
from storage.results import Results
from storage.store import EmbeddedStore, Store

Rows = Callable[..., TruckReadings]
Seal = Callable[[Journal, int], None]


def cycles(**columns: Any) -> Cycles:
    n = len(columns["asset"])
    return Cycles.of(**{name: columns.get(name, [""] * n if dtype.kind == "U" else np.zeros(n)) for name, dtype in Cycles.dtypes().items()})


@pytest.fixture
def driven(journal: Journal, store: EmbeddedStore) -> Store:
    """Cycles of truck 1 from 10 to 20 and 30 to 40, of truck 2 from 15 on."""
    Results(journal).replace(cycles(asset=[1, 1, 2], start_ms=[10, 30, 15], end_ms=[20, 40, OPEN_MS]), {1: 0, 2: 0}, 0)
    return store


@pytest.mark.parametrize(
    ("from_ms", "to_ms", "starts"),
    [(0, 10, []), (0, 11, [10]), (20, 21, [10, 15]), (21, 30, [15]), (0, 100, [10, 15, 30]), (41, 10**15, [15])],
)
def test_cycles_are_in_a_span_when_they_overlap_it(driven: Store, from_ms: int, to_ms: int, starts: list[int]) -> None:
    assert driven.cycles(from_ms, to_ms).rows.start_ms.tolist() == starts


def test_of_more_than_the_limit_the_newest_are_returned_oldest_first(driven: Store) -> None:
    assert driven.cycles(0, 100, limit=2).rows.start_ms.tolist() == [15, 30]
    assert driven.cycles(0, 100, asset=1, limit=1).rows.start_ms.tolist() == [30]


def test_numbers_may_come_from_numpy(driven: Store) -> None:
    assert driven.cycles(np.int64(0), np.int64(100), asset=np.int64(2)).rows.start_ms.tolist() == [15]  # type: ignore[arg-type] # on purpose
    assert len(driven.track(np.int64(2), np.int64(0), np.int64(100))) == 0  # type: ignore[arg-type] # as above


def test_flags_are_asked_for_by_kind(journal: Journal, store: EmbeddedStore) -> None:
    columns = {name: [0, 0] for name in Flags.names()} | {"asset": [1, 1], "kind": [1, 3], "start_ms": [5, 5], "end_ms": [6, 6]}
    Results(journal).replace(Flags.of(**columns), {1: 0}, 0)
    assert store.flags(0, 10, kind=FlagKind.SPILLAGE).rows.kind.tolist() == [3]
    assert store.flags(0, 10, asset=2).rows.kind.tolist() == []
    assert store.flags_changed(1, limit=5).rows.kind.tolist() == [3]
    assert store.flags_changed(0, limit=1).change.tolist() == [1]


def test_a_track_is_the_same_from_hot_and_sealed_rows(journal: Journal, store: EmbeddedStore, seal: Seal, rows: Rows, noon_ms: int) -> None:
    times = noon_ms + np.arange(0, 86_400_000, 3_600_000)
    journal.commit([rows(1, times), rows(2, times)])
    for _ in range(2):
        track = store.track(1, noon_ms, noon_ms + 86_400_000)
        assert track.t_ms.tolist() == times.tolist()
        assert set(track.asset.tolist()) == {1}
        seal(journal, 1)


def test_an_empty_journal_answers_with_empty_tables(store: EmbeddedStore) -> None:
    assert len(store.latest()) == len(store.track(1, 0, 10)) == len(store.tickets(0, 10)) == len(store.day_totals(0, 10)) == 0
    assert store.assets() == store.status() == {}
    assert store.dead_letters() == []
    assert store.counts().measurements["scale/weighing"].distinct == 0
    assert store.received() == dict.fromkeys(store.counts().measurements, 0)
