import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from core.groups import Groups, expand, hysteresis, spans, totals, twice_median

groups_of_values = st.lists(st.lists(st.integers(-10_000, 200_000), min_size=1, max_size=7), min_size=1, max_size=6)


def flat(lists: list[list[int]]) -> tuple[np.ndarray, Groups]:  # type: ignore[type-arg]  # the dtype is int64 throughout
    number = np.repeat(np.arange(len(lists)), [len(values) for values in lists])
    return np.array([value for values in lists for value in values]), Groups.of(number)


def test_no_rows_make_no_groups() -> None:
    groups = Groups.of(np.zeros(0, dtype=np.int64))
    assert len(groups) == len(groups.end) == 0


def test_a_change_in_any_key_begins_a_group() -> None:
    groups = Groups.of(np.array([1, 1, 2, 2]), np.array([5, 6, 6, 6]))
    assert groups.first.tolist() == [0, 1, 2]
    assert groups.end.tolist() == [1, 2, 4]


def test_the_newest_mark_is_never_taken_from_another_group() -> None:
    groups = Groups.of(np.array([1, 1, 1, 2, 2]))
    assert groups.newest(np.array([1]), np.arange(5)).tolist() == [-1, 1, 1, -1, -1]


@given(groups_of_values)
def test_medians_are_exact_in_every_group(lists: list[list[int]]) -> None:
    values, groups = flat(lists)
    assert twice_median(values, groups).tolist() == [int(2 * np.median(group)) for group in lists]


@given(groups_of_values)
def test_totals_are_exact_in_every_group(lists: list[list[int]]) -> None:
    values, groups = flat(lists)
    assert totals(values, groups).tolist() == [sum(group) for group in lists]


def test_ranges_expand_to_their_rows_and_may_be_empty() -> None:
    rows, number = expand(np.array([3, 5, 5]), np.array([5, 5, 7]))
    assert rows.tolist() == [3, 4, 5, 6]
    assert number.tolist() == [0, 0, 2, 2]


def test_overlapping_spans_mark_their_union() -> None:
    assert np.flatnonzero(spans(np.array([1, 2, 2]), np.array([3, 5, 2]), 6)).tolist() == [1, 2, 3, 4]


@given(st.lists(st.lists(st.sampled_from([-1, 0, 1]), min_size=1, max_size=9), min_size=1, max_size=5), st.data())
def test_hysteresis_is_the_loop_that_one_would_write(lists: list[list[int]], data: st.DataObject) -> None:
    carried = data.draw(st.lists(st.sampled_from([-1, 0, 1]), min_size=len(lists), max_size=len(lists)))
    levels, groups = flat(lists)
    expected, turns = [], []
    for state, group in zip(carried, lists, strict=True):
        for level in group:
            if level >= 0 and level != state:
                turns.append((len(expected), state, level))
                state = level
            expected.append(state)
    seeds = np.array(carried, dtype=np.int8)
    found = hysteresis(levels.astype(np.int8), groups, seeds)
    assert list(zip(found.row.tolist(), found.before.tolist(), found.after.tolist(), strict=True)) == turns
    assert found.along(groups, seeds, len(levels)).tolist() == expected
