from collections.abc import Callable
from pathlib import Path

import numpy as np

from core.columns import OPEN_MS
from core.readings import Movements, TruckReadings
from storage.journal import Journal
from storage.store import EmbeddedStore

Rows = Callable[..., TruckReadings]
Same = Callable[..., bool]


def test_a_quarantined_row_is_not_read_and_is_remembered_by_identity(
    journal: Journal, store: EmbeddedStore, rows: Rows, noon_ms: int
) -> None:
    ahead = rows(1, noon_ms + np.arange(3), load_kg=[1.0, np.nan, 2.5])
    journal.commit([], quarantined=[ahead])
    assert len(journal.read(TruckReadings, None, 0, int(OPEN_MS))) == 0
    again = rows(1, noon_ms + np.arange(4), received_ms=noon_ms + 10**6, load_kg=9.0)
    assert journal.quarantine_holds(again).tolist() == [True, True, True, False]
    assert journal.quarantine_holds(rows(2, noon_ms)).tolist() == [False]
    assert store.counts().measurements["truck/reading"].quarantined == 3


def test_a_redelivery_adds_nothing_and_another_content_is_kept_too(journal: Journal, rows: Rows, noon_ms: int) -> None:
    for received_ms in (5, 9):
        journal.commit([], quarantined=[rows(1, noon_ms, load_kg=1.0, received_ms=received_ms)])
    journal.commit([], quarantined=[rows(1, noon_ms, load_kg=2.0)])
    kept = journal.quarantined(TruckReadings, 1)
    assert kept.load_kg.tolist() == [1.0, 2.0]
    assert kept.received_ms[0] == 5


def test_the_quarantine_outlives_a_restart(path: Path, rows: Rows, noon_ms: int, same: Same) -> None:
    ahead = rows(3, [noon_ms, noon_ms + 1], load_kg=[0.1 + 0.2, np.nan], lat_e7=[1, -(2**31)], hist=1)
    with Journal.open(path, lambda: 0) as journal:
        journal.commit([], quarantined=[ahead])
    with Journal.open(path, lambda: 0) as journal:
        assert journal.quarantine_holds(ahead).all()
        assert same(journal.quarantined(TruckReadings, 3), ahead)
        assert len(journal.quarantined(Movements, 3)) == 0


def test_released_rows_are_taken_in_as_a_commit_of_their_own(
    journal: Journal, store: EmbeddedStore, rows: Rows, noon_ms: int, same: Same
) -> None:
    ahead = rows(1, noon_ms + np.arange(3))
    number = journal.commit([rows(1, noon_ms - 1)], quarantined=[ahead, rows(2, noon_ms)])
    assert journal.release(TruckReadings, 1) == 3
    assert not journal.quarantine_holds(ahead).any()
    assert journal.quarantine_holds(rows(2, noon_ms)).all()
    assert [commit for commit, _ in journal.after(number)] == [number + 1]
    assert same(journal.read(TruckReadings, None, noon_ms, int(OPEN_MS)), ahead)
    assert journal.release(TruckReadings, 1) == 0
    counts = store.counts().measurements["truck/reading"]
    assert (counts.received, counts.quarantined) == (4, 1)
