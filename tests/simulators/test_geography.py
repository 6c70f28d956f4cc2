import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import LineString, Point

from simulators.geography import Streets, along, distance_m, rectangle, to_deg, to_m, turns

BLOCKS = st.tuples(st.integers(-15, 15), st.integers(-15, 15))
STREETS = Streets.laid(np.random.default_rng(1))


def test_a_degree_of_latitude_is_111_km():
    assert to_m(119.95, 32.65)[1] == pytest.approx(111_195, abs=1)


@given(st.floats(119.7, 120.2), st.floats(31.4, 31.9))
def test_metres_and_degrees_are_each_other_s_inverse(lon: float, lat: float):
    assert to_deg(to_m(lon, lat)) == pytest.approx((lon, lat), abs=1e-9)


def test_only_sharp_bends_are_turns():
    assert turns(np.array(((0, 0), (100, 0), (200, 10), (200, 300.0)))).tolist() == [False, False, True, False]


@given(st.lists(st.tuples(st.floats(-1000, 1000), st.floats(-1000, 1000)), min_size=1, max_size=20))
def test_distances_to_a_polyline_are_those_of_geos(points: list[tuple[float, float]]):
    path = np.array(((0.0, 0.0), (500.0, 20.0), (480.0, 700.0)))
    expected = [LineString(path).distance(Point(point)) for point in points]
    assert distance_m(np.array(points), path) == pytest.approx(expected, abs=1e-6)


def test_a_rectangle_is_a_closed_counter_clockwise_ring():
    ring = rectangle(np.array((10.0, 20.0)), 200, 100, 0.3)
    x, y = ring.T
    assert (ring[0] == ring[-1]).all()
    assert np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) / 2 == pytest.approx(200 * 100)


@given(BLOCKS, BLOCKS, st.floats(0, 1), st.integers(-3, 3))
def test_a_route_goes_from_place_to_place_street_by_street(start: tuple[int, int], end: tuple[int, int], via: float, detour: int):
    a, b = STREETS.centre(start), STREETS.centre(end)
    path = STREETS.route(a, start, b, end, via, detour)
    steps = np.diff(along(path))
    assert (path[0] == a).all()
    assert (path[-1] == b).all()
    assert (steps > 300).all()
    assert (steps < 1_300).all()
