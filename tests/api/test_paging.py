import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import ApiError
from api.paging import decode_cursor, encode_cursor, page_rows

KEYS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.sampled_from(["", "a", "磅1", "磅2"])), unique=True, max_size=40)


@given(KEYS, st.integers(1, 7), st.booleans())
def test_pages_hold_every_row_once_in_order(keys: list[tuple[int, int, str]], limit: int, oldest_first: bool) -> None:
    columns = [np.array([key[part] for key in keys]) for part in range(3)]
    seen: list[tuple[int, int, str]] = []
    cursor = None
    while True:
        rows, cursor = page_rows(columns, limit, cursor, oldest_first=oldest_first)
        seen += [keys[row] for row in rows]
        if cursor is None:
            break
    assert seen == sorted(keys, reverse=not oldest_first)


def test_rows_that_arrive_between_two_pages_move_nothing() -> None:
    times = np.array([10, 20, 30])
    _, cursor = page_rows([times], 2, None)
    rows, _ = page_rows([np.array([10, 20, 30, 40])], 2, cursor)
    assert rows.tolist() == [0]


@pytest.mark.parametrize("cursor", ["", "A", "!!", encode_cursor((1,)), encode_cursor((1, 2)), encode_cursor(("x", "y")), "bnVsbA"])
def test_a_cursor_of_another_list_is_refused(cursor: str) -> None:
    with pytest.raises(ApiError) as refusal:
        decode_cursor(cursor, (1, "x"))
    assert refusal.value.detail.where == "query.cursor"
