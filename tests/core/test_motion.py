from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from core.columns import MISSING
from core.groups import Groups
from core.jump import NEVER_MS, Anchors, believe
from core.motion import motion, silences_ms, speeds_kmh
from core.rules import Rules

RULES = Rules()
START_MS = 1_650_000_000_000


def nowhere(trucks: int) -> Anchors:
    return Anchors.of(t_ms=np.full(trucks, NEVER_MS), lat_e7=np.full(trucks, MISSING), lon_e7=np.full(trucks, MISSING))


def moving(speed_kmh: list[float], silence_ms: list[int] | None = None, carried: int = -1) -> list[int]:
    silent = np.array(silence_ms or [10_000] * len(speed_kmh))
    trucks = Groups.of(np.ones(len(speed_kmh)))
    return motion(trucks, silent, np.array(speed_kmh), np.array([carried], dtype=np.int8), RULES).tolist()


def test_between_the_thresholds_a_truck_goes_on_as_it_was() -> None:
    assert moving([3, 6, 3, 2, 1.9, 5, 5.1]) == [-1, 1, 1, 1, 0, 0, 1]


def test_an_unknown_speed_changes_nothing() -> None:
    assert moving([np.nan, 0], carried=1) == [1, 0]


def test_motion_is_unknown_again_after_a_gap() -> None:
    assert moving([30, 3, 3, 0], [0, 10_000, 600_000, 10_000], carried=1) == [1, 1, -1, 0]


def test_the_first_reading_of_all_ends_no_silence() -> None:
    trucks = Groups.of(np.array([1, 1, 2]))
    assert silences_ms(trucks, np.array([50, 80, 90]), np.array([NEVER_MS, 30])).tolist() == [0, 30, 60]


def positions(metres_north: list[float | None], step_ms: int = 10_000) -> tuple[Any, Any, Any]:
    lat = [MISSING if north is None else round((31.7 + north / 110_860) * 1e7) for north in metres_north]
    lon = [MISSING if north is None else 1_199_000_000 for north in metres_north]
    return START_MS + step_ms * np.arange(len(lat)), np.array(lat, dtype=np.int32), np.array(lon, dtype=np.int32)


def speeds(metres_north: list[float | None], reported: list[float], step_ms: int = 10_000) -> Any:
    t_ms, lat, lon = positions(metres_north, step_ms)
    fixes, _, _ = believe(Groups.of(np.ones(len(t_ms))), t_ms, lat, lon, nowhere(1), RULES)
    return speeds_kmh(np.array(reported), fixes, RULES)


def test_a_truck_without_a_speedometer_is_judged_by_its_fixes() -> None:
    got = speeds([0, 100, 100], [np.nan] * 3)
    assert np.isnan(got[0])
    np.testing.assert_allclose(got[1:], [36.0, 0.0], rtol=1e-3)


def test_a_reported_speed_speaks_before_the_fixes() -> None:
    np.testing.assert_array_equal(speeds([0, 100], [12.0, 13.0]), [12.0, 13.0])


def test_a_lost_fix_leaves_the_speed_unknown_and_lengthens_the_next_leg() -> None:
    got = speeds([0, None, 100], [np.nan] * 3)
    assert np.isnan(got[:2]).all()
    np.testing.assert_allclose(got[2], 18.0, rtol=1e-3)


def test_no_speed_is_drawn_across_a_gap() -> None:
    assert np.isnan(speeds([0, 5_000], [np.nan] * 2, step_ms=RULES.gap_ms)).all()


@given(
    st.lists(
        st.tuples(st.sampled_from([np.nan, 0.0, 2.0, 3.0, 5.0, 9.0]), st.sampled_from([10_000, 599_999, 600_000])), min_size=1, max_size=30
    ),
    st.sampled_from([-1, 0, 1]),
)
def test_motion_is_the_loop_that_one_would_write(rows: list[tuple[float, int]], carried: int) -> None:
    state, expected = carried, []
    for speed, silence in rows:
        if silence >= RULES.gap_ms:
            state = -1
        if speed > RULES.move_kmh:
            state = 1
        elif speed < RULES.stop_kmh:
            state = 0
        expected.append(state)
    assert moving([speed for speed, _ in rows], [silence for _, silence in rows], carried) == expected
