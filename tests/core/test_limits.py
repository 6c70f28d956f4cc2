import numpy as np

from core.groups import Groups
from core.limits import Limits
from core.rules import TruckSpecs

ALWAYS = np.iinfo(np.int64).min


def specs(*rows: tuple[int, int, float]) -> TruckSpecs:
    asset, from_ms, rated_kg = zip(*rows, strict=True)
    return TruckSpecs.of(asset=asset, from_ms=from_ms, rated_kg=rated_kg, tare_kg=np.zeros(len(rows)), gross_limit_kg=np.zeros(len(rows)))


def rated_along(of: TruckSpecs, asset: list[int], t_ms: list[int]) -> list[float]:
    trucks = Groups.of(np.array(asset))
    limits = Limits.of(of, trucks, np.array(asset)[trucks.first], np.array(t_ms))
    return limits.along(limits.rated_kg, len(asset)).tolist()


def test_a_changed_limit_holds_from_its_time_on() -> None:
    of = specs((1, ALWAYS, 15.0), (1, 20, 12.0), (1, 30, 11.0))
    assert rated_along(of, [1, 1, 1, 1], [10, 20, 25, 40]) == [15.0, 12.0, 12.0, 11.0]


def test_of_rows_in_force_before_the_first_reading_the_newest_holds() -> None:
    assert rated_along(specs((1, ALWAYS, 15.0), (1, 5, 12.0)), [1, 1], [10, 20]) == [12.0, 12.0]


def test_a_truck_that_is_not_registered_has_no_limits() -> None:
    values = rated_along(specs((2, ALWAYS, 15.0), (3, 50, 9.0), (9, ALWAYS, 1.0)), [1, 2, 3], [10, 10, 10])
    np.testing.assert_array_equal(values, [np.nan, 15.0, np.nan])


def test_limits_at_single_rows_are_those_along_the_rows() -> None:
    of = specs((1, ALWAYS, 15.0), (1, 20, 12.0), (2, ALWAYS, 8.0))
    trucks = Groups.of(np.array([1, 1, 2]))
    limits = Limits.of(of, trucks, np.array([1, 2]), np.array([10, 20, 10]))
    assert limits.at(np.array([0, 1, 2])).rated_kg.tolist() == [15.0, 12.0, 8.0]
