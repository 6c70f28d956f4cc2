import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.columns import OPEN_MS, Columns, Floats, Ints, Texts
from core.events import Cycles, DayTotals, Flags, Latest, Tickets
from core.readings import TruckReadings
from storage.assets import AssetKey
from storage.journal import Journal
from storage.results import Results
from storage.store import EmbeddedStore

E = TypeVar("E", bound=Columns)
Rows = Callable[..., TruckReadings]
END_MS = int(OPEN_MS)
NOW_MS = 1_751_889_600_000


def events(table: type[E], **columns: Any) -> E:
    """Rows of a table of events; what is not given is zero or empty."""
    n = len(next(iter(columns.values())))
    return table.of(**{name: columns.get(name, [""] * n if dtype.kind == "U" else np.zeros(n)) for name, dtype in table.dtypes().items()})


def values(table: Columns) -> list[tuple[Any, ...]]:
    return list(zip(*(getattr(table, name).tolist() for name in table.names()), strict=True))


@pytest.fixture
def results(journal: Journal) -> Results:
    return Results(journal)


def test_events_are_upserted_by_their_key(results: Results, store: EmbeddedStore) -> None:
    first = results.replace(
        events(Cycles, asset=[1, 2], start_ms=[10, 10], end_ms=[END_MS, 30], payload_kg=[5.0, np.nan]), {1: 0, 2: 0}, NOW_MS
    )
    again = results.replace(
        events(Cycles, asset=[1, 2], start_ms=[10, 10], end_ms=[END_MS, 30], payload_kg=[6.0, np.nan]), {1: 0, 2: 0}, NOW_MS
    )
    assert (len(first.added), len(first.changed), len(first.withdrawn)) == (2, 0, 0)
    assert (again.added.asset.tolist(), again.changed.payload_kg.tolist(), len(again.withdrawn)) == ([], [6.0], 0)
    stored = store.cycles(0, 100)
    assert stored.rows.asset.tolist() == [1, 2]
    assert stored.rows.payload_kg[0] == 6.0
    assert np.isnan(stored.rows.payload_kg[1])
    assert stored.change.tolist() == [3, 2]


def test_storing_the_same_again_changes_nothing(results: Results, store: EmbeddedStore) -> None:
    said = events(Flags, asset=[1, 1], kind=[1, 4], start_ms=[10, 10], end_ms=[20, END_MS], value=[np.nan, 0.1], lat_e7=[-(2**31), 5])
    results.replace(said, {1: 0}, NOW_MS)
    before = store.flags_changed(0)
    assert len(results.replace(said, {1: 0}, NOW_MS + 1)) == 0
    assert values(before.rows)[1] == values(said)[1]
    assert len(store.flags_changed(int(before.change.max()))) == 0


def test_what_is_not_derived_again_is_withdrawn_and_may_come_back(results: Results, store: EmbeddedStore) -> None:
    flag = events(Flags, asset=[1], kind=[3], start_ms=[10], end_ms=[20])
    results.replace(flag, {1: 0}, NOW_MS)
    gone = results.replace(Flags.empty(), {1: 0}, NOW_MS)
    assert gone.withdrawn.kind.tolist() == [3]
    assert len(store.flags(0, 100)) == 0
    trace = store.flags_changed(1)
    assert (trace.withdrawn.tolist(), trace.revision.tolist(), trace.change.tolist()) == ([True], [1], [2])
    assert len(results.replace(Flags.empty(), {1: 0}, NOW_MS)) == 0
    back = results.replace(flag, {1: 0}, NOW_MS)
    assert values(back.changed) == values(flag)
    stored = store.flags(0, 100)
    assert (stored.withdrawn.tolist(), stored.revision.tolist(), stored.change.tolist()) == ([False], [2], [3])


def test_only_what_is_in_the_scope_is_withdrawn(results: Results, store: EmbeddedStore) -> None:
    results.replace(events(Cycles, asset=[1, 1, 1, 2], start_ms=[10, 20, 30, 30], end_ms=[11, 21, 31, 31]), {1: 0, 2: 0}, NOW_MS)
    changes = results.replace(Cycles.empty(), {1: 20}, NOW_MS)
    assert changes.withdrawn.start_ms.tolist() == [30]
    assert store.cycles(0, 100).rows.start_ms.tolist() == [10, 20, 30]


def test_a_revision_counts_changes_after_the_end_only(results: Results, store: EmbeddedStore) -> None:
    for end_ms, payload, revision in [(END_MS, 1.0, 0), (END_MS, 2.0, 0), (50, 2.0, 0), (50, 3.0, 1), (50, 3.0, 1), (60, 3.0, 2)]:
        results.replace(events(Cycles, asset=[1], start_ms=[10], end_ms=[end_ms], payload_kg=[payload]), {1: 0}, NOW_MS)
        assert store.cycles(0, 100).revision.tolist() == [revision]


def test_an_event_outside_the_scope_is_refused(results: Results) -> None:
    for scope in ({1: 10}, {2: 0}):
        with pytest.raises(ValueError, match=r"cycles: \{'asset': 1, 'start_ms': 10, .* lies outside the scope"):
            results.replace(events(Cycles, asset=[1], start_ms=[10]), scope, NOW_MS)
    with pytest.raises(ValueError, match=r"day_totals: .* lies outside the scope"):
        results.replace(events(DayTotals, site=["a"], day=[7]), [8], NOW_MS)


def test_days_summed_again_replace_only_themselves(results: Results, store: EmbeddedStore) -> None:
    two = events(DayTotals, site=["a", "a"], day=[7, 8], source=["ticket", "ticket"], mass_kg=[100, 200], count=[1, 2])
    results.replace(two, None, NOW_MS)
    changes = results.replace(events(DayTotals, site=["b"], day=[8], source=["ticket"], mass_kg=[50]), [8], NOW_MS, final_before_day=8)
    assert (changes.added.site.tolist(), changes.withdrawn.day.tolist()) == (["b"], [8])
    stored = store.day_totals(7, 9)
    assert (stored.rows.site.tolist(), stored.rows.mass_kg.tolist(), stored.revision.tolist()) == (["a", "b"], [100, 50], [0, 0])
    assert store.day_totals(7, 9, site="b").rows.day.tolist() == [8]


def test_a_change_of_a_final_day_is_a_revision(results: Results, store: EmbeddedStore) -> None:
    for mass_kg, final, revision in [(100, 7, 0), (110, 7, 0), (120, 8, 1)]:
        results.replace(events(DayTotals, site=["a"], day=[7], mass_kg=[mass_kg]), [7], NOW_MS, final_before_day=final)
        assert store.day_totals(0, 10).revision.tolist() == [revision]


def test_the_latest_row_of_a_truck_is_overwritten(results: Results, store: EmbeddedStore) -> None:
    results.replace(events(Latest, asset=[2, 1], t_ms=[5, 6], site=["", "工地"]), {1: 0, 2: 0}, NOW_MS)
    results.replace(events(Latest, asset=[2], t_ms=[9]), {2: 8}, NOW_MS)
    latest = store.latest()
    assert (latest.asset.tolist(), latest.t_ms.tolist(), latest.site.tolist()) == ([1, 2], [6, 9], ["工地", ""])


def test_two_tickets_of_one_instant_are_told_apart_by_number_and_plate(results: Results, store: EmbeddedStore) -> None:
    both = events(
        Tickets, asset=[9, 9], start_ms=[10, 10], end_ms=[10, 10], number=["1", "2"], plate=["苏D1", "苏D1"], paired=[True, False]
    )
    results.replace(both, {9: 0}, NOW_MS)
    found = store.tickets(10, 11, asset=9)
    assert (found.rows.number.tolist(), found.rows.paired.tolist()) == (["1", "2"], [True, False])


def test_events_that_ended_in_a_span_are_found_within_the_transaction(results: Results) -> None:
    with results.transaction(0):
        results.replace(events(Cycles, asset=[1, 1, 2], start_ms=[1, 30, 5], end_ms=[20, END_MS, 21]), {1: 0, 2: 0}, NOW_MS)
        assert results.ended(Cycles, 20, 21).asset.tolist() == [1]
        results.replace(Cycles.empty(), {1: 0}, NOW_MS)
        assert results.ended(Cycles, 20, 22).asset.tolist() == [2]


def test_results_and_cursor_are_stored_together_or_not_at_all(results: Results, store: EmbeddedStore) -> None:
    def store_half() -> None:
        with results.transaction(5):
            results.replace(events(Latest, asset=[1]), {1: 0}, NOW_MS)
            raise RuntimeError("the core stumbled")

    with pytest.raises(RuntimeError, match="stumbled"):
        store_half()
    assert len(store.latest()) == 0
    assert results.derived_commit() == 0
    with results.transaction(5):
        results.replace(events(Latest, asset=[1]), {1: 0}, NOW_MS)
        assert len(store.latest()) == 0
    assert len(store.latest()) == 1
    assert results.derived_commit() == 5


def test_an_events_new_column_is_added_to_an_older_file(path: Path) -> None:
    with Journal.open(path, lambda: 0) as journal:
        Results(journal).replace(events(Latest, asset=[1]), {1: 0}, NOW_MS)
        with journal.writer.transaction() as db:
            for column in ("site", "fix_ms", "moving", "load_kg", "lat_e7"):
                db.execute(f"alter table latest drop column {column}")
    with Journal.open(path, lambda: 0), EmbeddedStore(path) as store:
        latest = store.latest()
    assert (latest.site.tolist(), latest.moving.tolist(), latest.lat_e7.tolist()) == ([""], [-1], [-(2**31)])
    assert np.isnan(latest.load_kg).all()


@dataclass(frozen=True, eq=False, slots=True)
class State(Columns):
    asset: Ints
    t_ms: Ints
    load_kg: Floats
    site: Texts


@dataclass(frozen=True, eq=False, slots=True)
class OtherState(Columns):
    asset: Ints
    t_ms: Ints
    moving: Ints


def test_a_derivation_goes_on_from_the_newest_checkpoint(journal: Journal, results: Results, rows: Rows) -> None:
    journal.commit([rows(journal.asset(AssetKey("武进", "truck", name))) for name in ("一", "二", "三")])
    assert len(results.newest_checkpoints(State)) == 0
    results.save_checkpoints(events(State, asset=[2, 1, 1], t_ms=[10, 10, 20], load_kg=[1.0, 2.0, np.nan], site=["", "", "工地"]))
    newest = results.newest_checkpoints(State)
    assert (newest.asset.tolist(), newest.t_ms.tolist(), newest.site.tolist()) == ([1, 2], [20, 10], ["工地", ""])
    assert np.isnan(newest.load_kg[0])
    assert results.checkpoints(State, 1).t_ms.tolist() == [10, 20]
    older = results.newest_checkpoints(State, {1: 20, 2: 10, 3: 99})
    assert (older.asset.tolist(), older.t_ms.tolist()) == ([1], [10])
    results.drop_checkpoints({1: 10})
    assert results.checkpoints(State, 1).t_ms.tolist() == [10]
    assert results.checkpoints(State, 2).t_ms.tolist() == [10]


def test_checkpoints_of_another_state_are_forgotten(results: Results) -> None:
    results.drop_checkpoints({1: 0})
    results.save_checkpoints(events(State, asset=[1], t_ms=[10]))
    assert len(results.newest_checkpoints(OtherState)) == 0


spans = st.dictionaries(st.tuples(st.integers(1, 2), st.integers(1, 4)), st.sampled_from([np.nan, 1.0, 2.0]))
scopes = st.dictionaries(st.integers(1, 2), st.integers(0, 4))


def flags(spans_of_assets: dict[Any, float]) -> Flags:
    asset, start_ms = zip(*spans_of_assets, strict=True) if spans_of_assets else ((), ())
    return events(Flags, asset=asset, start_ms=start_ms, end_ms=[9] * len(asset), value=list(spans_of_assets.values()))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(spans, scopes), max_size=6))
def test_after_any_derivations_the_store_holds_the_last_word_on_every_scope(drawn: list[tuple[dict[Any, float], dict[int, int]]]) -> None:
    expected: dict[tuple[int, int], str] = {}
    newest = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        Journal.open(Path(folder) / "j", lambda: 0) as journal,
        EmbeddedStore(journal.path) as store,
    ):
        results = Results(journal)
        for said, since_ms in drawn:
            inside = {key: value for key, value in said.items() if key[0] in since_ms and key[1] > since_ms[key[0]]}
            kept = {key: value for key, value in expected.items() if not (key[0] in since_ms and key[1] > since_ms[key[0]])}
            table = flags(inside)
            changes = results.replace(table, since_ms, NOW_MS)
            expected = kept | {key: repr(value) for key, value in inside.items()}
            held = store.flags(0, 100).rows
            keys = zip(held.asset.tolist(), held.start_ms.tolist(), strict=True)
            assert dict(zip(keys, map(repr, held.value.tolist()), strict=True)) == expected
            assert len(store.flags_changed(newest)) == len(changes)
            newest = max([newest, *store.flags_changed(0).change.tolist()])
            assert len(results.replace(table, since_ms, NOW_MS)) == 0


def test_results_name_what_they_rest_on_only_when_they_are_stored(results: Results) -> None:
    assert results.basis() == ""
    with pytest.raises(RuntimeError), results.transaction(1, "rules 2"):
        raise RuntimeError
    assert results.basis() == ""
    with results.transaction(1, "rules 2"):
        pass
    assert (results.basis(), results.derived_commit()) == ("rules 2", 1)


def test_all_checkpoints_can_be_forgotten_at_once(results: Results) -> None:
    results.drop_checkpoints(None)  # before there are any
    results.save_checkpoints(events(Latest, asset=[1, 2], t_ms=[10, 20]))
    results.drop_checkpoints(None)
    assert (len(results.checkpoints(Latest, 1)), len(results.checkpoints(Latest, 2))) == (0, 0)


def test_days_are_those_that_ever_had_a_total(results: Results) -> None:
    results.replace(events(DayTotals, site=["a", "b", "a"], day=[3, 3, 5], mass_kg=[1, 2, 3]), None, NOW_MS)
    results.replace(DayTotals.empty(), [5], NOW_MS)
    assert sorted(results.days()) == [3, 5]
