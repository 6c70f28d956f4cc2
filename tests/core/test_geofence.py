"""Sites judged by GEOS, whose predicates are exact on whole coordinates."""

import math

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core import raster
from core.columns import MISSING, UNKNOWN
from core.geofence import Role, Sites

SQUARE = [(119.0, 31.0), (119.01, 31.0), (119.01, 31.01), (119.0, 31.01)]
HOLE = [(119.004, 31.004), (119.006, 31.004), (119.006, 31.006), (119.004, 31.006)]


def e7(*degrees):
    return np.rint(np.array(degrees) * 1e7).astype(np.int32)


def sites(*polygons_deg):
    names = [f"site-{number}" for number in range(len(polygons_deg))]
    return Sites.of(names, [Role.CONSTRUCTION] * len(names), polygons_deg)


def located(index, *points_deg):
    lon, lat = zip(*points_deg, strict=True)
    return index.locate(e7(*lat), e7(*lon)).tolist()


def test_a_fix_in_the_middle_is_inside_and_one_next_door_is_not():
    assert located(sites([SQUARE]), (119.005, 31.005), (119.0100001, 31.005), (118.9999999, 31.005), (119.005, 30.9999999)) == [
        0,
        -1,
        -1,
        -1,
    ]


def test_corners_and_edges_are_inside():
    assert located(sites([SQUARE]), *SQUARE, (119.005, 31.0), (119.01, 31.0000001), (119.0000001, 31.01)) == [0] * 7


def test_a_hole_is_outside_but_its_boundary_is_inside():
    assert located(sites([SQUARE, HOLE]), (119.005, 31.005), (119.0040001, 31.0040001), *HOLE, (119.005, 31.004)) == [-1, -1, 0, 0, 0, 0, 0]


def test_a_closed_ring_is_the_same_as_an_open_one_and_direction_does_not_matter():
    points = [*SQUARE, (119.005, 31.005), (119.02, 31.005)]
    assert located(sites([[*SQUARE, SQUARE[0]]]), *points) == located(sites([SQUARE[::-1]]), *points) == [0] * 5 + [-1]


def test_of_overlapping_sites_the_first_given_speaks():
    inner = [HOLE]
    points = [(119.005, 31.005), (119.004, 31.005), (119.001, 31.001)]
    assert located(sites(inner, [SQUARE]), *points) == [0, 0, 1]
    assert located(sites([SQUARE], inner), *points) == [0, 0, 0]


def test_a_lost_fix_is_nowhere():
    lat, lon = e7(31.005, 31.005, 31.005), e7(119.005, 119.005, 119.005)
    lat[0] = lon[1] = MISSING
    assert sites([SQUARE]).locate(lat, lon).tolist() == [-1, -1, 0]


def test_the_far_ends_of_the_world_are_nowhere():
    assert located(sites([SQUARE]), (180, 90), (-180, -90), (0, 0), (180, 31.005), (119.005, -90)) == [-1] * 5


def test_without_sites_everything_is_nowhere():
    nothing = sites()
    assert located(nothing, (119.0, 31.0)) == [-1]
    assert nothing.ids_at(np.array([-1])).tolist() == [""]


def test_no_fixes_are_no_answers():
    assert sites([SQUARE]).locate(e7(), e7()).tolist() == []


def test_ids_and_roles_follow_the_answers():
    index = Sites.of(["工地", "landfill"], [Role.CONSTRUCTION, Role.LANDFILL], [[SQUARE], [HOLE]])
    found = np.array([1, -1, 0])
    assert index.ids_at(found).tolist() == ["landfill", "", "工地"]
    assert index.roles_at(found).tolist() == [Role.LANDFILL, UNKNOWN, Role.CONSTRUCTION]


def test_a_site_far_away_does_not_coarsen_the_others():
    null_island = [[(-0.001, -0.001), (0.001, -0.001), (0.001, 0.001), (-0.001, 0.001)]]
    index = sites([SQUARE], null_island)
    assert index._raster.columns.bits == raster._FINEST_BITS
    assert located(index, (119.005, 31.005), (0, 0), (60, 15)) == [0, 1, -1]


def test_a_polygon_as_large_as_a_hemisphere_stays_exact():
    index = sites([[(0, -90), (180, -90), (180, 90)]])
    points = [(90, 0), (90, -1e-7), (90, 1e-7), (180, 90), (0, -90), (179.9999999, 89.9999999), (1e-7, -90)]
    assert located(index, *points) == [0, 0, -1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("ids", "polygons", "says"),
    [
        (["a"], [[[(179, 0), (-179, 0), (-179, 1)]]], "'a' spans more than 180 degrees of longitude; cut it in two"),
        (["a"], [[[(0, 0), (1, 1)]]], "'a' has a ring of 2 corners"),
        (["a"], [[[(0, 0), (0, 0), (1e-9, 0), (0, 0)]]], "'a' has a ring of 0 corners"),
        (["a"], [[[(0, 0), (181, 0), (1, 1)]]], "'a' has a corner that is not"),
        (["a"], [[[(0, 0), (math.nan, 0), (1, 1)]]], "'a' has a corner that is not"),
        (["a"], [[[(0, 0, 5), (1, 0, 5), (1, 1, 5)]]], "'a' has a corner that is not"),
        (["a"], [[]], "'a' has no ring"),
        (["a", "a"], [[SQUARE], [HOLE]], r"\['a'\] are given more than once"),
        (["a", "b"], [[SQUARE]], "2 ids, 2 roles and 1 polygons"),
    ],
)
def test_what_is_no_site_is_refused_by_name(ids, polygons, says):
    with pytest.raises(ValueError, match=says):
        Sites.of(ids, [0] * len(ids), polygons)


def test_an_unknown_role_is_refused():
    with pytest.raises(ValueError, match="99"):
        Sites.of(["a"], [99], [[SQUARE]])


@st.composite
def rings(draw, least, most):
    """A star around the origin, even coordinates (so that the middle of an edge is a whole point)."""
    angles = sorted(draw(st.lists(st.integers(0, 71), min_size=3, max_size=12, unique=True)))
    radii = draw(st.lists(st.integers(least, most), min_size=len(angles), max_size=len(angles)))
    turns = [math.tau * angle / 72 for angle in angles]
    return [(2 * round(r * math.cos(turn)), 2 * round(r * math.sin(turn))) for r, turn in zip(radii, turns, strict=True)]


@st.composite
def polygons(draw):
    """Whole coordinates [1e-7 degree] of a valid polygon, perhaps with a hole, from centimetres to tens of kilometres."""
    shape = [draw(rings(40, 100))] + ([draw(rings(2, 12))] if draw(st.booleans()) else [])
    scale = draw(st.sampled_from([1, 13, 512, 5000]))
    centre = draw(st.sampled_from([(0, 0), (1_199_000_000, 317_000_000), (-700_001_024, -330_000_000)]))
    shift = draw(st.tuples(st.integers(-150, 150), st.integers(-150, 150)))
    scaled = [[(scale * (x + 2 * shift[0]) + centre[0], scale * (y + 2 * shift[1]) + centre[1]) for x, y in ring] for ring in shape]
    assume(shapely.Polygon(scaled[0], scaled[1:]).is_valid)
    return scaled


def telling_points(shapes):
    """Corners, middles of edges, their neighbours, and a lattice over everything, shape (n, 2)."""
    corners = [np.array(ring) for shape in shapes for ring in shape]
    middles = [(ring + np.roll(ring, 1, axis=0)) // 2 for ring in corners]
    exact = np.concatenate(corners + middles)
    beside = (exact[:, None] + np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])).reshape(-1, 2)
    low, high = exact.min(axis=0), exact.max(axis=0)
    lattice = np.stack(np.meshgrid(*(np.linspace(a - 9, b + 9, 40).astype(int) for a, b in zip(low, high, strict=True))), -1).reshape(-1, 2)
    return np.concatenate([exact, beside, lattice])


def covering(shapes, points):
    """GEOS's answer: the first polygon that covers each point."""
    judges = [shapely.Polygon(shape[0], shape[1:]) for shape in shapes]
    shapely.prepare(judges)
    covered = [shapely.covers(judge, shapely.points(points)) for judge in judges]
    return np.where(np.any(covered, axis=0), np.argmax(covered, axis=0), -1)


def degrees(shapes):
    return [[[(x / 1e7, y / 1e7) for x, y in ring] for ring in shape] for shape in shapes]


@given(st.lists(polygons(), min_size=1, max_size=4))
@settings(deadline=None)
def test_the_answer_is_that_of_geos_on_corners_edges_holes_and_all_around(shapes):
    points = telling_points(shapes)
    found = sites(*degrees(shapes)).locate(points[:, 1].astype(np.int32), points[:, 0].astype(np.int32))
    assert found.tolist() == covering(shapes, points).tolist()


@pytest.mark.parametrize("most_cells", [100, 1 << 14])
def test_the_answer_does_not_depend_on_the_cells(monkeypatch, most_cells):
    rng = np.random.default_rng(7)
    shapes = []
    for _ in range(12):
        turns = np.sort(rng.random(rng.integers(5, 200))) * math.tau
        centre, radii = rng.integers((1_190_000_000, 310_000_000), (1_193_000_000, 313_000_000)), rng.integers(40_000, 100_000, len(turns))
        shapes.append([[(int(x), int(y)) for x, y in np.rint(centre + (radii * [np.cos(turns), np.sin(turns)]).T)]])
    points = np.concatenate([telling_points(shapes), rng.integers((1_190_000_000, 310_000_000), (1_193_000_000, 313_000_000), (8_000, 2))])
    monkeypatch.setattr(raster, "_MOST_CELLS", most_cells)
    found = sites(*degrees(shapes)).locate(points[:, 1].astype(np.int32), points[:, 0].astype(np.int32))
    assert found.tolist() == covering(shapes, points).tolist()
