from datetime import date, timedelta

import numpy as np
import pytest

from simulators.scenario import Scenario
from simulators.shifts import Shift, local_ms, play_shift

DAYS = [date(2022, 1, 1) + timedelta(days=61 * n) for n in range(6)]
MINUTE_MS = 60_000


@pytest.fixture(scope="module")
def shifts(wujin: Scenario) -> dict[date, Shift]:
    return {day: play_shift(wujin, day) for day in DAYS}


def test_the_muck_of_a_mean_day_is_that_of_the_published_year(shifts: dict[date, Shift]):
    tonnes = [sum(cycle.delivered_kg for cycle in shift.cycles) / 1_000 for shift in shifts.values()]
    assert np.mean(tonnes) == pytest.approx(1_505_600 * 1.8 / 365, rel=0.08)


def test_every_truck_is_home_empty_and_closed_when_the_shift_day_ends(wujin: Scenario, shifts: dict[date, Shift]):
    rows = np.arange(len(wujin.trucks))
    for day, shift in shifts.items():
        last = np.full(len(rows), local_ms(wujin, day + timedelta(days=1), 7) - 1)
        keys = shift.motion.key(rows, last)
        at_home = np.array([truck.slot for truck in wujin.trucks])
        assert shift.motion.place(rows, last).point == pytest.approx(at_home, abs=0.01)
        assert not shift.motion.load(rows, last).any()
        assert not (shift.motion.body.at(keys) | shift.motion.cover.at(keys) | shift.motion.work.at(keys)).any()


def test_no_tipping_and_no_visit_to_a_scale_straddles_midnight(wujin: Scenario, shifts: dict[date, Shift]):
    for day, shift in shifts.items():
        midnight = local_ms(wujin, day + timedelta(days=1))
        ends = np.array([cycle.end_ms for cycle in shift.cycles])
        assert not ((ends > midnight - 4 * MINUTE_MS) & (ends < midnight + 3 * MINUTE_MS)).any()
        assert not any(ticket.first_ms < midnight <= ticket.second_ms for ticket in shift.tickets)


def test_much_of_the_muck_moves_across_midnight(wujin: Scenario, shifts: dict[date, Shift]):
    for day, shift in shifts.items():
        midnight = local_ms(wujin, day + timedelta(days=1))
        after = sum(cycle.end_ms > midnight for cycle in shift.cycles) / len(shift.cycles)
        assert 0.2 < after < 0.6
        assert any(cycle.start_ms < midnight < cycle.end_ms for cycle in shift.cycles)


def test_loaded_hauls_keep_the_permit_s_hours(wujin: Scenario, shifts: dict[date, Shift]):
    for day, shift in shifts.items():
        for cycle in shift.cycles:
            begins, ends = (19, 30) if cycle.permit.night else (9, 16.5)
            assert local_ms(wujin, day) + begins * 60 * MINUTE_MS <= cycle.depart_ms
            assert cycle.arrive_ms <= local_ms(wujin, day) + ends * 60 * MINUTE_MS


def test_a_cycle_s_steps_follow_each_other_and_lawful_loads_are_lawful(shifts: dict[date, Shift]):
    for shift in shifts.values():
        for cycle in shift.cycles:
            assert cycle.start_ms < cycle.full_ms < cycle.depart_ms < cycle.arrive_ms < cycle.end_ms
            if cycle.mischief != "overload":
                assert cycle.payload_kg <= 0.985 * cycle.truck.rated_kg + 1e-6
            assert cycle.delivered_kg <= cycle.payload_kg


def test_a_weighbridge_serves_one_truck_at_a_time(shifts: dict[date, Shift]):
    for shift in shifts.values():
        for scale in {ticket.scale.id for ticket in shift.tickets}:
            at_ms = sorted(t for ticket in shift.tickets if ticket.scale.id == scale for t in (ticket.first_ms, ticket.second_ms))
            assert np.diff(at_ms).min() >= 40_000


def test_a_day_has_its_planted_faults_and_no_cycle_has_two(shifts: dict[date, Shift]):
    for shift in shifts.values():
        kinds = [cycle.mischief for cycle in shift.cycles]
        planted = {kind: kinds.count(kind) for kind in set(kinds) - {""}}
        assert planted == {"overload": 14, "spillage": 4, "illegal_dump": 3, "off_route": 4, "open_cover": 6}


def test_overloads_are_ten_to_sixty_percent(shifts: dict[date, Shift]):
    shares = [
        cycle.payload_kg / min(cycle.truck.rated_kg, cycle.truck.gross_limit_kg - cycle.truck.tare_kg)
        for shift in shifts.values()
        for cycle in shift.cycles
        if cycle.mischief == "overload"
    ]
    assert min(shares) > 1.08
    assert max(shares) < 1.63
    assert max(shares) > 1.3


def test_a_detour_is_far_outside_the_corridor_for_minutes(shifts: dict[date, Shift]):
    detours = [fault for shift in shifts.values() for fault in shift.faults if fault.kind == "off_route"]
    assert len(detours) == 4 * len(DAYS)
    assert min(fault.size for fault in detours) > 500
    assert min(fault.end_ms - fault.start_ms for fault in detours) > 2 * MINUTE_MS
