import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.columns import OPEN_MS
from core.order import order_dedupe
from core.readings import TruckReadings
from storage.database import JournalError
from storage.journal import Journal
from storage.sealing import BLOCKS_A_STEP
from storage.store import EmbeddedStore, MeasurementCounts

Rows = Callable[..., TruckReadings]
Same = Callable[..., bool]
Seal = Callable[[Journal, int], None]
MIDNIGHT_MS = 1_751_932_800_000  # 2025-07-08T00:00:00Z

few = st.lists(
    st.tuples(st.integers(1, 2), st.integers(-2, 2), st.integers(0, 1), st.integers(0, 3), st.sampled_from([np.nan, 0.0, 1.0])), max_size=6
)
steps = st.lists(few | st.just("seal") | st.just("seal all but the last"), max_size=12)


def as_table(drawn: list[tuple[int, int, int, int, float]]) -> TruckReadings:
    asset, hours, seq, received, load = zip(*drawn, strict=True) if drawn else ((),) * 5
    n = len(drawn)
    return TruckReadings.of(
        asset=asset, t_ms=MIDNIGHT_MS + np.array(hours, np.int64) * 3_600_000, seq=seq, received_ms=received, hist=np.zeros(n),
        lat_e7=np.ones(n), lon_e7=np.ones(n), speed_kmh=np.full(n, np.nan), heading_deg=np.full(n, np.nan), load_kg=load,
        load_state=np.full(n, -1), body_up=np.full(n, -1), cover_open=np.full(n, -1),
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(steps, st.sampled_from([(0, 0), (3, 1), (10**6, 0)]))
def test_no_interleaving_of_commits_and_seals_changes_what_is_read(same: Same, drawn: list[object], hot: tuple[int, int]) -> None:
    tables: list[TruckReadings] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Journal.open(Path(folder) / "j", lambda: 0, hot_rows=hot[0], hot_batches=hot[1]) as journal,
    ):
        number = 0
        for step in drawn:
            if isinstance(step, str):  # a round that is begun here may end after later commits
                journal.seal(number - (step != "seal"))
            else:
                table = as_table(step)  # type: ignore[arg-type] # a list of rows, as drawn
                number = journal.commit([table])
                tables.append(table)
        came = TruckReadings.concat(tables)
        expected = order_dedupe(came)
        assert same(journal.read(TruckReadings, None, 0, int(OPEN_MS)), expected.winners)
        assert journal.contains(came).all()
        with EmbeddedStore(journal.path) as store:
            counts = store.counts().measurements["truck/reading"]
        assert counts == MeasurementCounts(len(came), len(expected.winners), expected.losers, 0)


def test_a_block_is_one_assets_utc_day(journal: Journal, seal: Seal, rows: Rows) -> None:
    journal.commit([rows(asset, MIDNIGHT_MS + np.array([-1, 0])) for asset in (1, 2)])
    seal(journal, 1)
    assert journal.state()["hot_rows"] == 0
    with journal.readers.snapshot() as db:
        blocks = db.execute("select measurement, asset, day, rows from blocks order by asset, day").fetchall()
    assert blocks == [("truck/reading", asset, day, 1) for asset in (1, 2) for day in (20276, 20277)]


def test_many_rows_are_sealed_but_not_before_they_are_derived(path: Path, seal: Seal, rows: Rows, noon_ms: int) -> None:
    with Journal.open(path, lambda: 0, hot_rows=10) as journal:
        journal.commit([rows(1, noon_ms + np.arange(10))])
        seal(journal, 1)
        assert journal.state()["hot_rows"] == 10
        journal.commit([rows(1, noon_ms + 10)])
        assert not journal.seal()  # nothing was derived yet
        seal(journal, 2)
        assert journal.state()["hot_rows"] == 0


def test_many_small_batches_become_one(path: Path, rows: Rows, noon_ms: int, same: Same) -> None:
    with Journal.open(path, lambda: 0, hot_batches=3) as journal:
        for step in reversed(range(5)):
            journal.commit([rows(1, noon_ms + step)])
        assert not journal.seal(3)
        assert journal.state()["hot_batches"] == 5
        assert not journal.seal(4)
        assert journal.state()["hot_batches"] == 2
        assert [number for number, _ in journal.after(4)] == [5]
        assert same(journal.read(TruckReadings, None, 0, int(OPEN_MS)), rows(1, noon_ms + np.arange(5)))


def test_a_round_is_done_in_pieces_and_every_piece_reads_the_same(path: Path, rows: Rows, noon_ms: int, same: Same) -> None:
    expected = TruckReadings.concat([rows(asset, noon_ms) for asset in range(1, 2 * BLOCKS_A_STEP)])
    with Journal.open(path, lambda: 0, hot_rows=0) as journal:
        journal.commit([expected])
        pieces = 0
        while journal.seal(1):
            pieces += 1
            assert journal.commit([rows(1, noon_ms)]) == 1 + pieces
            assert same(journal.read(TruckReadings, None, 0, int(OPEN_MS)), expected)
        assert pieces == 2
        assert journal.state()["hot_rows"] == 2  # what was committed meanwhile


def test_a_damaged_block_is_named_and_the_others_are_read(journal: Journal, seal: Seal, rows: Rows, noon_ms: int) -> None:
    journal.commit([rows(asset, noon_ms) for asset in (1, 2)])
    seal(journal, 1)
    with journal.writer.transaction() as db:
        body = bytearray(db.execute("select body from blocks where asset = 2").fetchone()[0])
        body[-1] ^= 1
        db.execute("update blocks set body = ? where asset = 2", (bytes(body),))
    with pytest.raises(JournalError, match=r"journal\.sqlite: .*the block truck/reading of asset 2 on 2025-07-07 is damaged: CRC-32"):
        journal.read(TruckReadings, None, 0, int(OPEN_MS))
    assert len(journal.read(TruckReadings, np.array([1]), 0, int(OPEN_MS))) == 1


def test_a_damaged_hot_batch_is_named(journal: Journal, rows: Rows) -> None:
    journal.commit([rows()])
    with journal.writer.transaction() as db:
        db.execute("update batches set body = x'00'")
    with pytest.raises(JournalError, match="hot batch 1 is damaged: 1 bytes"):
        list(journal.after(0))


def test_a_seal_that_fails_is_begun_anew(journal: Journal, seal: Seal, rows: Rows, noon_ms: int, same: Same) -> None:
    expected = rows(1, noon_ms + np.arange(5))
    journal.commit([expected])
    with journal.writer.transaction() as db:
        db.execute("create trigger refuse before insert on blocks begin select raise(abort, 'no'); end")
    with pytest.raises(JournalError, match="cannot write: no"):
        journal.seal(1)
    assert same(journal.read(TruckReadings, None, 0, int(OPEN_MS)), expected)
    with journal.writer.transaction() as db:
        db.execute("drop trigger refuse")
    seal(journal, 1)
    assert journal.state()["hot_rows"] == 0
    assert same(journal.read(TruckReadings, None, 0, int(OPEN_MS)), expected)
