from collections import defaultdict
from datetime import date, timedelta
from itertools import pairwise

import pytest

from simulators.facilities import FacilityDay, play_facilities
from simulators.scenario import Scenario
from simulators.shifts import local_ms

DAYS = [date(2022, 1, 2) + timedelta(days=7 * n) for n in range(30)]


@pytest.fixture(scope="module")
def days(wujin: Scenario) -> dict[date, FacilityDay]:
    return {day: play_facilities(wujin, day) for day in DAYS}


@pytest.fixture(scope="module")
def tonnes(days: dict[date, FacilityDay]) -> dict[tuple[str, str, str], float]:
    """Mean per day, by place, stream and direction."""
    total: dict[tuple[str, str, str], float] = defaultdict(float)
    for day in days.values():
        for ticket in day.tickets:
            total[ticket.scale.id, ticket.stream, ticket.direction] += ticket.net_kg / 1_000 / len(DAYS)
        for move in day.movements:
            total[move.station.id, move.stream, move.direction] += move.mass_kg / 1_000 / len(DAYS)
    return total


@pytest.mark.parametrize(
    ("key", "published"),
    [
        (("landfill", "domestic", "in"), 612.0),
        (("landfill", "fly_ash", "in"), 116.0),
        (("incinerator", "domestic", "in"), 424_800 / 365),
        (("incinerator", "kitchen", "in"), 37_761.01 / 365),
        (("chengnan", "domestic", "in"), 320.0),
        (("mahang", "domestic", "in"), 185.0),
    ],
)
def test_a_mean_day_is_the_published_one(tonnes: dict[tuple[str, str, str], float], key: tuple[str, str, str], published: float):
    assert tonnes[key] == pytest.approx(published, rel=0.03)


def test_what_enters_a_station_leaves_it_on_the_same_day(days: dict[date, FacilityDay]):
    for day in days.values():
        for level in day.levels:
            moves = [move for move in day.movements if move.station is level.station]
            assert sum(move.mass_kg * (1 if move.direction == "in" else -1) for move in moves) == 0
            assert level.stock_kg.min() == level.stock_kg[0] == level.stock_kg[-1] == 0
            assert level.stock_kg.max() < 70_000  # a few containers' worth, in the busiest minutes
            assert level.leachate_dm3.min() >= 0


def test_fly_ash_is_weighed_the_same_on_both_ends_within_two_scales_errors(days: dict[date, FacilityDay]):
    for day in days.values():
        ash = [ticket for ticket in day.tickets if ticket.stream == "fly_ash"]
        out, into = (sorted(t.true_kg for t in ash if t.direction == direction) for direction in ("out", "in"))
        assert out == into
        assert all(abs(ticket.net_kg - ticket.true_kg) <= 120 for ticket in ash)


def test_a_container_that_left_a_station_reaches_a_scale(days: dict[date, FacilityDay]):
    for day in days.values():
        left = sorted(move.mass_kg for move in day.movements if move.direction == "out")
        containers = {move.plate for move in day.movements if move.direction == "out"}
        came = sorted(t.true_kg for t in day.tickets if t.plate in containers and t.stream == "domestic")
        assert came == left


def test_no_vehicle_is_in_two_places_at_once(days: dict[date, FacilityDay]):
    for day in days.values():
        visits: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for ticket in day.tickets:
            visits[ticket.plate].append((ticket.first_ms, ticket.second_ms))
        for spans in visits.values():
            spans.sort()
            assert all(before[1] < after[0] for before, after in pairwise(spans))


def test_everything_is_over_well_before_midnight(wujin: Scenario, days: dict[date, FacilityDay]):
    for day, lived in days.items():
        assert max(ticket.second_ms for ticket in lived.tickets) < local_ms(wujin, day, 23)


def test_two_loads_a_day_exceed_the_gross_limit_and_the_others_do_not(days: dict[date, FacilityDay]):
    for day in days.values():
        assert sum(ticket.gross_kg > ticket.gross_limit_kg for ticket in day.tickets) == 2
