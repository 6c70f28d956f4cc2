import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from core.columns import OPEN_MS
from core.readings import TruckReadings, Weighings
from storage.assets import AssetKey
from storage.database import JournalError
from storage.journal import DeadLetter, Journal
from storage.results import Results
from storage.schema import FORMAT
from storage.store import EmbeddedStore

Rows = Callable[..., TruckReadings]
Seal = Callable[[Journal, int], None]
TRUCK = AssetKey("武进", "truck", "苏D12345")


def everything(journal: Journal) -> TruckReadings:
    return journal.read(TruckReadings, None, 0, int(OPEN_MS))


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Writes beyond this offset fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_was_committed_is_read_in_the_order_of_time(journal: Journal, rows: Rows, noon_ms: int) -> None:
    assert journal.commit([rows(2, noon_ms, load_kg=7.0), rows(1, [noon_ms + 10, noon_ms])]) == 1
    found = everything(journal)
    assert found.asset.tolist() == [1, 1, 2]
    assert found.t_ms.tolist() == [noon_ms, noon_ms + 10, noon_ms]
    assert found.load_kg[2] == 7.0


def test_a_read_is_half_open_and_of_the_assets_asked_for(journal: Journal, seal: Seal, rows: Rows, noon_ms: int) -> None:
    journal.commit([rows(asset, noon_ms + np.arange(4)) for asset in (1, 2, 3)])
    for _ in range(2):
        found = journal.read(TruckReadings, np.array([1, 3]), noon_ms + 1, noon_ms + 3)
        assert found.asset.tolist() == [1, 1, 3, 3]
        assert found.t_ms.tolist() == [noon_ms + 1, noon_ms + 2] * 2
        assert len(journal.read(TruckReadings, np.array([], np.int64), 0, int(OPEN_MS))) == 0
        seal(journal, 1)


def test_duplicates_collapse_and_the_earliest_receipt_stays(journal: Journal, store: EmbeddedStore, rows: Rows, noon_ms: int) -> None:
    journal.commit([rows(1, noon_ms, received_ms=noon_ms + 9_000)])
    journal.commit([rows(1, noon_ms, received_ms=noon_ms + 100), rows(1, noon_ms)])
    assert everything(journal).received_ms.tolist() == [noon_ms + 100]
    counts = store.counts().measurements["truck/reading"]
    assert (counts.received, counts.distinct, counts.conflicts) == (3, 1, 0)


@pytest.mark.parametrize("fuller_first", [True, False])
def test_of_a_conflict_the_fuller_reading_wins_and_the_other_is_counted(
    journal: Journal, store: EmbeddedStore, seal: Seal, rows: Rows, noon_ms: int, fuller_first: bool
) -> None:
    fuller, barer = rows(1, noon_ms, load_kg=1.0, speed_kmh=0.0), rows(1, noon_ms, load_kg=90_000.0)
    for table in (fuller, barer) if fuller_first else (barer, fuller):
        journal.commit([table])
        seal(journal, 1)
        counts = store.counts().measurements["truck/reading"]
    assert everything(journal).load_kg.tolist() == [1.0]
    assert (counts.received, counts.distinct, counts.conflicts) == (2, 1, 1)
    seal(journal, 2)
    assert store.counts().measurements["truck/reading"] == counts


def test_measurements_do_not_mix(journal: Journal, seal: Seal, rows: Rows, noon_ms: int) -> None:
    ticket = Weighings.of(
        asset=[1], t_ms=[noon_ms], seq=[0], received_ms=[noon_ms], hist=[0], number=["№ 7"], plate=["苏D12345"],
        gross_kg=[31_000], tare_kg=[np.nan], net_kg=[np.nan], stream=["muck"], direction=[0],
    )  # fmt: skip
    journal.commit([rows(1, noon_ms), ticket])
    seal(journal, 1)
    found = journal.read(Weighings, None, 0, int(OPEN_MS))
    assert (found.number.tolist(), found.plate.tolist(), found.gross_kg.tolist()) == (["№ 7"], ["苏D12345"], [31_000.0])
    assert len(everything(journal)) == 1


def test_an_exact_row_is_known_and_another_content_is_not(journal: Journal, seal: Seal, rows: Rows, noon_ms: int) -> None:
    journal.commit([rows(1, [noon_ms, noon_ms + 1], load_kg=[5.0, np.nan])])
    asked = rows(1, [noon_ms + 1, noon_ms, noon_ms, noon_ms + 2], load_kg=[np.nan, 5.0, 5.5, 5.0], received_ms=1, hist=1)
    for _ in range(2):
        assert journal.contains(asked).tolist() == [True, True, False, False]
        seal(journal, 1)
    assert journal.contains(rows(2, noon_ms, load_kg=5.0)).tolist() == [False]
    assert journal.contains(TruckReadings.empty()).tolist() == []


def test_an_assets_number_is_permanent(path: Path, rows: Rows) -> None:
    with Journal.open(path, lambda: 0) as journal:
        number = journal.asset(TRUCK)
        assert number == journal.asset(TRUCK) == 1
        journal.commit([rows(number)])
        unused = journal.asset(AssetKey("武进", "truck", "never committed"))
        assert unused == 2
    with Journal.open(path, lambda: 0) as journal, EmbeddedStore(path) as store:
        assert journal.assets() == {1: TRUCK} == store.assets()
        assert journal.asset(AssetKey("武进", "scale", "苏D12345")) == 2
        journal.commit([rows(2)])
        assert store.assets()[2].kind == "scale"


def test_after_a_restart_the_commits_without_results_come_again(path: Path, rows: Rows, noon_ms: int) -> None:
    with Journal.open(path, lambda: 0, hot_rows=0) as journal:
        for step in range(3):
            journal.commit([rows(1, noon_ms + step), rows(2, noon_ms + step)])
        with Results(journal).transaction(2):
            pass
        while journal.seal():
            pass
        assert journal.state()["hot_rows"] == 2
    with Journal.open(path, lambda: 0) as journal:
        assert journal.position() == (3, 2)
        assert Results(journal).derived_commit() == 2
        ((number, tables),) = journal.after(2)
        assert number == 3
        assert [table.asset.tolist() for table in tables] == [[1], [2]]
        assert list(journal.after(3)) == []


def test_an_empty_commit_is_none(journal: Journal) -> None:
    assert journal.commit([TruckReadings.empty()]) == 0
    assert journal.commit([]) == 0


def test_dead_letters_and_status_are_shown(journal: Journal, store: EmbeddedStore, noon_ms: int) -> None:
    letter = DeadLetter(noon_ms, "plimsoll/v1/x", "bad_topic", "half a pair \ud800", b"\0\xff", 2, "00" * 32)
    journal.commit([], [letter, letter])
    journal.put_status("broker", {"state": "up", "lag_ms": 5})
    journal.put_statuses({"broker": {"state": "下线"}, "derive": {"lag_ms": 0}})
    assert [found.payload for found in store.dead_letters()] == [b"\0\xff"] * 2
    assert store.dead_letters(1)[0].detail == "half a pair \\ud800"
    assert store.counts().dead_letters == {"bad_topic": 2}
    assert store.status() == {"broker": {"state": "下线", "updated_ms": noon_ms}, "derive": {"lag_ms": 0, "updated_ms": noon_ms}}


def test_a_commit_is_synchronised_with_the_disk(journal: Journal) -> None:
    with journal.writer.transaction() as db:
        assert db.execute("pragma journal_mode").fetchone() == ("wal",)
        assert db.execute("pragma synchronous").fetchone() == (2,)  # full


def test_the_state_tells_what_is_hot_and_how_much_room_is_left(journal: Journal, rows: Rows, noon_ms: int) -> None:
    journal.commit([rows(1, noon_ms + np.arange(5))])
    state = journal.state()
    assert (state["commit"], state["hot_batches"], state["hot_rows"]) == (1, 1, 5)
    assert state["free_bytes"] > state["file_bytes"] > 0


def test_a_full_disk_is_one_clear_error_and_stores_nothing_of_the_commit(path: Path, rows: Rows, noon_ms: int) -> None:
    noise = np.random.default_rng(1).random(20_000)  # cannot be narrowed
    large = rows(1, noon_ms + np.arange(20_000), load_kg=noise)
    letter = DeadLetter(noon_ms, "t", "not_json", "", b"", 0, "")
    with Journal.open(path, lambda: 0) as journal, EmbeddedStore(path) as store:
        kept = journal.asset(TRUCK)
        journal.commit([rows(kept, noon_ms)])
        late = journal.asset(AssetKey("武进", "truck", "二"))
        with files_no_larger_than(200_000), pytest.raises(JournalError, match=r"journal\.sqlite: cannot write: .*(full|I/O)"):
            journal.commit([rows(late, noon_ms), large], [letter], [rows(kept, noon_ms + 1)])
        assert len(everything(journal)) == 1
        assert store.counts().dead_letters == {}
        assert store.counts().measurements["truck/reading"].quarantined == 0
        assert not journal.quarantine_holds(rows(kept, noon_ms + 1)).any()
        assert list(store.assets()) == [kept]
        assert journal.commit([rows(late, noon_ms), large]) == 2
        assert len(everything(journal)) == 20_002 - 1
        assert list(store.assets()) == [kept, late]


def test_any_thread_may_read_while_another_commits(journal: Journal, rows: Rows, noon_ms: int) -> None:
    seen: list[list[int]] = [[] for _ in range(3)]

    def follow(lengths: list[int]) -> None:
        while not lengths or lengths[-1] < 400:
            lengths.append(len(everything(journal)))

    readers = [Thread(target=follow, args=(lengths,)) for lengths in seen]
    for reader in readers:
        reader.start()
    for step in range(20):
        number = journal.commit([rows(1, noon_ms + 20 * step + np.arange(20))])
        journal.seal(number)
    for reader in readers:
        reader.join()
    assert all(lengths == sorted(lengths) and all(length % 20 == 0 for length in lengths) for lengths in seen)


def test_threads_may_name_assets_and_commit_at_once(path: Path, rows: Rows, noon_ms: int) -> None:
    def report(journal: Journal, first: int) -> None:
        for name in range(first, first + 20):
            journal.commit([rows(journal.asset(AssetKey("d", "truck", str(name))), noon_ms)])

    with Journal.open(path, lambda: 0) as journal:
        threads = [Thread(target=report, args=(journal, first)) for first in (0, 10, 20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(everything(journal)) == 40
        with EmbeddedStore(path) as store:
            assert store.assets() == journal.assets()
            assert len(set(store.assets().values())) == 40


def test_another_files_format_is_refused(path: Path) -> None:
    with Journal.open(path, lambda: 0) as journal, journal.writer.transaction() as db:
        db.execute("pragma user_version = 99")
    with pytest.raises(JournalError, match=f"the file has format 99, this program reads and writes format {FORMAT}"):
        Journal.open(path, lambda: 0)


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"x" * 5000)
    with pytest.raises(JournalError, match=r"journal\.sqlite: cannot open: file is not a database"):
        Journal.open(path, lambda: 0)


def test_a_store_without_a_journal_says_which_file_is_missing(path: Path) -> None:
    with EmbeddedStore(path) as store, pytest.raises(JournalError, match=r"journal\.sqlite: cannot read: unable to open"):
        store.assets()
