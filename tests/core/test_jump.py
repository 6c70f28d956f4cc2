from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core.columns import MISSING
from core.geo import distances_m
from core.groups import Groups
from core.jump import NEVER_MS, Anchors, Doubts, Excursions, Fixes, believe
from core.rules import Rules

RULES = Rules()
START_MS = 1_650_000_000_000
HOME, FAR, LOST, ZERO = (317_000_000, 1_199_000_000), (320_000_000, 1_199_000_000), (int(MISSING), int(MISSING)), (0, 0)
NEAR = (317_000_000, 1_199_030_000)  # 284 m from home: within the scatter and ten seconds' drive


def look(
    places: list[Any], seconds: list[float] | None = None, anchor: tuple[int, Any] = (NEVER_MS, LOST)
) -> tuple[Fixes, Excursions, Doubts]:
    t_ms = START_MS + np.round(1000 * np.array(seconds if seconds is not None else 10.0 * np.arange(len(places)))).astype(np.int64)
    lat, lon = (np.array(axis, dtype=np.int32) for axis in zip(*places, strict=True))
    anchors = Anchors.of(t_ms=[anchor[0]], lat_e7=[anchor[1][0]], lon_e7=[anchor[1][1]])
    return believe(Groups.of(np.ones(len(places))), t_ms, lat, lon, anchors, RULES)


def test_no_fix_and_the_zero_island_are_no_places() -> None:
    fixes, excursions, doubts = look([HOME, LOST, ZERO, HOME])
    assert fixes.row.tolist() == [0, 3]
    assert fixes.leg_m[1] == 0.0
    assert fixes.leg_ms[1] == 30_000
    assert len(excursions) == len(doubts) == 0


def test_an_excursion_is_masked_and_ends_at_the_fix_that_is_back() -> None:
    fixes, excursions, doubts = look([HOME, FAR, FAR, NEAR, NEAR])
    assert fixes.row.tolist() == [0, 3, 4]
    assert (excursions.first.tolist(), excursions.end.tolist(), excursions.fixes.tolist()) == ([1], [3], [2])
    np.testing.assert_allclose(excursions.distance_m, 33_258, atol=20)
    np.testing.assert_allclose(excursions.reach_m, 150 + 10 * 200 / 3.6)
    assert (doubts.first.tolist(), doubts.end.tolist()) == ([1], [3])


def test_the_leg_over_an_excursion_leads_from_the_last_believed_fix() -> None:
    fixes, _, _ = look([HOME, FAR, NEAR])
    np.testing.assert_allclose(fixes.leg_m[1], 284.5, atol=1.0)
    assert fixes.leg_ms[1] == 20_000


def test_an_excursion_that_is_still_away_is_in_doubt_and_no_event() -> None:
    fixes, excursions, doubts = look([HOME, FAR, FAR, LOST])
    assert fixes.row.tolist() == [0]
    assert len(excursions) == 0
    assert (doubts.first.tolist(), doubts.end.tolist()) == ([1], [4])


def test_a_far_place_is_believed_from_its_start_once_the_truck_has_stayed() -> None:
    stay = RULES.jump_settle_ms // 10_000
    fixes, excursions, doubts = look([HOME] + [FAR] * (stay + 3))
    assert len(fixes) == stay + 4
    assert len(excursions) == 0
    assert (doubts.first.tolist(), doubts.end.tolist()) == ([1], [stay + 1])


def test_the_first_fix_of_all_is_believed() -> None:
    assert look([FAR, HOME])[0].row.tolist() == [0]


def test_the_anchor_is_the_fix_before_the_first() -> None:
    fixes, excursions, _ = look([FAR, NEAR], anchor=(START_MS - 10_000, HOME))
    assert fixes.row.tolist() == [1]
    assert excursions.first.tolist() == [0]


def test_one_truck_says_nothing_about_another() -> None:
    lat, lon = (np.array(axis, dtype=np.int32) for axis in zip(HOME, FAR, FAR, strict=True))
    anchors = Anchors.of(t_ms=[NEVER_MS] * 2, lat_e7=[MISSING] * 2, lon_e7=[MISSING] * 2)
    fixes, _, _ = believe(Groups.of(np.array([1, 2, 2])), START_MS + 10_000 * np.arange(3), lat, lon, anchors, RULES)
    assert fixes.row.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(np.isnan(fixes.leg_m), [True, True, False])


def far(a: Any, b: Any) -> bool:
    """Whether fix b = (t_ms, lat, lon) is out of reach from a."""
    metres = distances_m(*(np.array([value], dtype=np.int32) for value in (*a[1:], *b[1:])))[0]
    return bool(metres > RULES.jump_slack_m + (b[0] - a[0]) / 1000 * RULES.jump_speed_kmh / 3.6)


def row_at_a_time(rows: list[Any]) -> tuple[list[int], list[tuple[int, int]]]:
    """The slow reference: split at fast legs, then walk the segments with the last believed fix in hand."""
    fixes = [(row, *fix) for row, fix in enumerate(rows) if fix[1:] not in (LOST, ZERO)]
    segments: list[list[Any]] = []
    for fix in fixes:
        if segments and not far(segments[-1][-1][1:], fix[1:]):
            segments[-1].append(fix)
        else:
            segments.append([fix])
    believed: list[int] = []
    excursions: list[tuple[int, int]] = []
    last, away = None, -1
    for segment in segments:
        out = last is not None and far(last[1:], segment[0][1:])
        if out and segment[-1][1] - segment[0][1] < RULES.jump_settle_ms:
            away = segment[0][0] if away < 0 else away
            continue
        if away >= 0:
            excursions.append((away, segment[0][0]))
        believed += [fix[0] for fix in segment]
        last, away = segment[-1], -1
    return believed, excursions


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1, 10, 60, 200, 900]), st.sampled_from([HOME, NEAR, FAR, LOST, ZERO, (317_100_000, 1_199_000_000)])),
        min_size=1,
        max_size=30,
    )
)
def test_believing_is_the_walk_that_one_would_write(steps: list[tuple[int, Any]]) -> None:
    seconds = np.cumsum([step for step, _ in steps]).tolist()
    places = [place for _, place in steps]
    believed, ended = row_at_a_time([(START_MS + 1000 * second, *place) for second, place in zip(seconds, places, strict=True)])
    fixes, excursions, _ = look(places, seconds)
    assert fixes.row.tolist() == believed
    assert list(zip(excursions.first.tolist(), excursions.end.tolist(), strict=True)) == ended
