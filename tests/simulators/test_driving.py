import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.driving import CREEPING, EMPTY, LOADED, Manner, drive

STREET = np.array(((0.0, 0.0), (900.0, 0.0), (1_900.0, 50.0), (1_900.0, 1_100.0), (2_700.0, 1_100.0)))
LENGTH_M = 900 + np.hypot(1_000, 50) + 1_050 + 800
MANNERS = st.sampled_from((LOADED, EMPTY, CREEPING))


@given(st.floats(0, 1_800), st.floats(60, 1_900), MANNERS, st.integers(0, 1_000))
def test_a_drive_ends_where_it_should_and_never_jumps(from_m: float, length_m: float, manner: Manner, seed: int):
    to_m = min(from_m + length_m, LENGTH_M)
    one = drive(STREET, from_m, to_m, manner, np.random.default_rng(seed))
    lasts = np.diff(np.append(one.t_s, one.duration_s))
    reached = one.at_m + lasts * (one.v_mps + one.a_mps2 * lasts / 2)
    assert one.at_m[0] == from_m
    assert np.append(one.at_m[1:], to_m) == pytest.approx(reached, abs=0.02)
    assert (lasts > 0).all()


@given(MANNERS, st.integers(0, 1_000))
def test_speeds_are_those_of_a_truck(manner: Manner, seed: int):
    one = drive(STREET, 0.0, LENGTH_M, manner, np.random.default_rng(seed))
    assert one.v_mps.min() >= 0
    assert one.v_mps.max() <= max(manner.cruise_kmh * 1.15, 12.1) / 3.6


def test_a_truck_slows_down_for_a_turn():
    drives = [drive(STREET, 0.0, LENGTH_M, EMPTY, np.random.default_rng(seed)) for seed in range(20)]
    corner_m = 900 + np.hypot(1_000, 50)
    passing = [one.v_mps[np.abs(one.at_m - corner_m) < 1e-6].min() for one in drives]
    assert max(passing) <= 12.001 / 3.6
