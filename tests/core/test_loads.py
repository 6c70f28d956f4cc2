from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from core.groups import Groups
from core.limits import Limits
from core.loads import LADEN, UNLADEN, Loads, levels, loads
from core.readings import EMPTY, FULL, HALF
from core.rules import Rules

RULES = Rules()
ABOVE, BETWEEN, BELOW = 10_000.0, 5_000.0, 500.0


def limits(rated_kg: float) -> Limits:
    known = np.array([rated_kg])
    return Limits(np.array([0]), known, known, known)


def read(load_kg: list[float], state: list[int] | None = None, rated_kg: float = 15_000.0) -> tuple[list[int], list[bool]]:
    states = np.array(state or [-1] * len(load_kg), dtype=np.int8)
    level, told = levels(np.array(load_kg), states, limits(rated_kg), RULES)
    return level.tolist(), told.tolist()


def follow(level: list[int], carried: int = -1, t_ms: list[int] | None = None, told: list[bool] | None = None) -> Loads:
    return loads(
        Groups.of(np.ones(len(level))),
        np.array(t_ms or range(len(level))),
        np.array(level, dtype=np.int8),
        np.array(told or [True] * len(level)),
        np.array([carried], dtype=np.int8),
    )


def test_weight_is_judged_by_the_rated_payload() -> None:
    assert read([6_751.0, 6_749.0, 3_001.0, 2_999.0, np.nan]) == ([LADEN, -1, -1, UNLADEN, -1], [True] * 4 + [False])


def test_the_three_states_speak_where_there_is_no_weight() -> None:
    assert read([np.nan] * 4, [EMPTY, HALF, FULL, -1]) == ([UNLADEN, LADEN, LADEN, -1], [True, True, True, False])


def test_weight_speaks_before_the_three_states() -> None:
    assert read([BELOW, BETWEEN], [FULL, FULL]) == ([UNLADEN, -1], [True, True])


def test_a_truck_without_rated_payload_is_judged_by_its_states_alone() -> None:
    assert read([ABOVE, ABOVE], [-1, EMPTY], rated_kg=np.nan) == ([-1, UNLADEN], [False, True])


def test_a_change_counts_from_its_own_row_once_the_next_confirms_it() -> None:
    found = follow([0, 0, 1, 1, 0, 0])
    assert found.loaded.tolist() == [0, 0, 1, 1, 0, 0]
    assert found.turns.row.tolist() == [0, 2, 4]
    assert found.doubt.tolist() == [True, False, True, False, True, False]


def test_one_wild_value_makes_no_change() -> None:
    assert follow([0, 0, 1, 0, 0], carried=0).turns.row.tolist() == []


def test_the_newest_change_is_in_doubt_until_the_next_measurement() -> None:
    found = follow([0, 1, -1], carried=0, told=[True, True, False])
    assert found.loaded.tolist() == [0, 0, 0]
    assert found.doubt.tolist() == [False, True, True]


def test_a_reading_without_load_neither_confirms_nor_denies() -> None:
    assert follow([0, 1, -1, 1], carried=0, told=[True, True, False, True]).turns.row.tolist() == [1]


def test_two_words_of_one_instant_do_not_confirm_each_other() -> None:
    assert follow([0, 1, 1, 0], carried=0, t_ms=[1, 2, 2, 3]).turns.row.tolist() == []


def row_at_a_time(rows: list[tuple[int, bool, int]], carried: int) -> list[int]:
    """The slow reference: a change is taken back to the row that first spoke it, when the next word agrees."""
    state, states, spoken = carried, [], -1
    for row, (level, told, t_ms) in enumerate(rows):
        states.append(state)
        if not told:
            continue
        if spoken >= 0 and level == rows[spoken][0] != state and t_ms > rows[spoken][2]:
            state = level
            states[spoken:] = [state] * (row + 1 - spoken)
        spoken = row if level >= 0 else -1
    return states


@given(
    st.lists(st.tuples(st.sampled_from([-1, 0, 1]), st.booleans(), st.integers(0, 1)), min_size=1, max_size=25), st.sampled_from([-1, 0])
)
def test_load_states_are_the_loop_that_one_would_write(steps: list[Any], carried: int) -> None:
    t_ms = np.cumsum([step for *_, step in steps]).tolist()
    rows = [(level if told else -1, told, at) for (level, told, _), at in zip(steps, t_ms, strict=True)]
    found = follow([level for level, _, _ in rows], carried, t_ms, [told for _, told, _ in rows])
    assert found.loaded.tolist() == row_at_a_time(rows, carried)
