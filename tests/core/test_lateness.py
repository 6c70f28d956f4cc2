from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from core.columns import Ints
from core.groups import Groups
from core.jump import NEVER_MS
from core.lateness import STEP_MS, Lateness, hear

MINUTE_MS = 60_000
NOON_MS = 1_650_000_000_000
Row = tuple[int, float, float, int]  # truck, minutes from noon: made, received; re-upload


def unknown(trucks: int) -> Lateness:
    never, none = np.full(trucks, NEVER_MS), np.zeros(trucks, np.int64)
    return Lateness(never, none, never, none)


def ms(minutes: npt.ArrayLike) -> Ints:
    return NOON_MS + (np.asarray(minutes, dtype=float) * MINUTE_MS).astype(np.int64)


def after(rows: Sequence[Row], carried: Lateness | None = None) -> Lateness:
    """What is known of each truck after its last row."""
    truck, made, received, hist = (np.array(column) for column in zip(*rows, strict=True))
    trucks = Groups.of(truck)
    known = carried or unknown(len(trucks))
    hearing = hear(trucks, ms(made), ms(received), hist.astype(np.int8), known)
    return hearing.at(trucks, known, trucks.end - 1)


def told(found: Lateness) -> list[tuple[float, float, float, float]]:
    """Minutes: last heard (from noon), how late, steady since (from noon), how late then."""
    rows = zip(found.heard_ms - NOON_MS, found.late_ms, found.steady_ms - NOON_MS, found.steady_late_ms, strict=True)
    return [tuple(float(value) / MINUTE_MS for value in row) for row in rows]  # type: ignore[misc]  # four of them


def test_a_clock_that_has_always_been_behind_is_late_by_its_offset_since_its_first_reading() -> None:
    assert told(after([(1, minute - 480, minute, 0) for minute in range(31)])) == [(30, 480, 0, 480)]


def test_what_was_kept_without_a_line_gains_on_the_present_and_ends_there() -> None:
    before, kept = [(1, -130, -130, 0), (1, -120, -120, 0)], [(1, -119 + 60 * n, 0.1 * n, 0) for n in range(2)]
    assert told(after([*before, *kept])) == [(0.1, 59.1, 0.1, 59.1)]
    assert told(after([*before, *kept, (1, 1, 1, 0)])) == [(1, 0, 1, 0)]


def test_a_re_upload_does_not_speak() -> None:
    assert told(after([(1, 0, 0, 0), (1, 1, 121, 1)])) == [(0, 0, 0, 0)]
    assert after([(1, 1, 121, 1)]).heard_ms.tolist() == [NEVER_MS]


def test_a_clock_that_falls_back_in_service_speaks_though_its_readings_are_not_the_newest() -> None:
    made = [(1, minute - 480, minute, 0) for minute in range(1, 21)]
    right = [(1, minute, minute, 0) for minute in range(-479, 1)]
    assert told(after(sorted([*made, *right], key=lambda row: (row[1], row[2])))) == [(20, 480, 1, 480)]


def test_a_clock_set_right_speaks_at_once() -> None:
    assert told(after([(1, -470, 10, 0), (1, -460, 20, 0), (1, 30, 30, 0)])) == [(30, 0, 30, 0)]


def test_the_readings_of_one_message_are_one_run() -> None:
    rows = [(1, 10 * message + reading / 2, 10 * message + 10, 0) for message in range(3) for reading in range(20)]
    assert told(after(rows)) == [(30, 0.5, 10, 10)]


def test_a_step_begins_a_run_and_less_does_not() -> None:
    assert told(after([(1, 0, 0, 0), (1, 5, 5 + STEP_MS / MINUTE_MS, 0)])) == [(20, 15, 0, 0)]
    assert told(after([(1, 0, 0, 0), (1, 4.9, 20, 0)])) == [(20, 15.1, 20, 15.1)]


rows_of_a_truck = st.lists(st.tuples(st.integers(-900, 900), st.integers(-60, 900), st.integers(-1, 1)), min_size=1, max_size=12)


@given(st.lists(rows_of_a_truck, min_size=1, max_size=4), st.data())
def test_what_is_known_does_not_depend_on_the_cut_nor_on_other_trucks(fleet: list[list[tuple[int, int, int]]], data: st.DataObject) -> None:
    trucks = [[(number, made, made + late, hist) for made, late, hist in sorted(rows)] for number, rows in enumerate(fleet)]
    whole = told(after([row for rows in trucks for row in rows]))
    for expected, rows in zip(whole, trucks, strict=True):
        cut = data.draw(st.integers(1, len(rows)))
        known = after(rows[:cut])
        assert told(after(rows[cut:], known) if rows[cut:] else known) == [expected]
