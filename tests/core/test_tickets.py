"""From what scales print to tickets, and to what is wrong with them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.columns import MISSING
from core.events import FlagKind, Severity
from core.order import order_dedupe
from core.readings import IN, OUT, Weighings
from core.rules import Rules
from core.tickets import pair_weighings, ticket_flags, weighbridge_u_kg

NAN = math.nan
RULES = Rules()
MINUTE = 60_000
USUAL = {
    "asset": 1,
    "seq": 0,
    "received_ms": 0,
    "hist": 0,
    "number": "",
    "plate": "苏D12345",
    "gross_kg": NAN,
    "tare_kg": NAN,
    "net_kg": NAN,
    "stream": "muck",
    "direction": IN,
}


def weighings(*rows):
    filled = [USUAL | row for row in rows]
    return order_dedupe(Weighings.of(**{name: [row[name] for row in filled] for name in Weighings.names()})).winners


def full(minute, kg=30_000, **more):
    return {"t_ms": minute * MINUTE, "gross_kg": kg} | more


def empty(minute, kg=13_000, **more):
    return {"t_ms": minute * MINUTE, "tare_kg": kg} | more


def whole(minute, gross_kg=30_000, tare_kg=13_000, **more):
    return {"t_ms": minute * MINUTE, "gross_kg": gross_kg, "tare_kg": tare_kg} | more


def tickets(*rows):
    return pair_weighings(weighings(*rows), RULES)


def spans(table):
    """Start and end of each ticket [minutes]."""
    return [(start // MINUTE, end // MINUTE) for start, end in zip(table.start_ms.tolist(), table.end_ms.tolist(), strict=True)]


def flags(*rows, limit_kg=NAN):
    table = weighings(*rows)
    made = pair_weighings(table, RULES)
    return ticket_flags(made, table, np.full(len(made), limit_kg), RULES)


def test_a_whole_ticket_passes_through_with_its_own_net():
    made = tickets(whole(10, number="T7", net_kg=99.0, stream="domestic", direction=OUT))
    assert (made.asset[0], made.number[0], made.plate[0], made.stream[0], made.direction[0]) == (1, "T7", "苏D12345", "domestic", OUT)
    assert (made.gross_kg[0], made.tare_kg[0], made.net_kg[0], made.paired[0]) == (30_000, 13_000, 17_000, False)
    assert spans(made) == [(10, 10)]


def test_a_truck_that_brings_mass_is_weighed_full_then_empty():
    made = tickets(full(0, stream="construction"), empty(25, number="T8", stream="muck"))
    assert spans(made) == [(0, 25)]
    assert (made.net_kg[0], made.number[0], made.stream[0], made.direction[0], made.paired[0]) == (17_000, "T8", "construction", IN, True)


def test_a_truck_that_takes_mass_is_weighed_empty_then_full():
    made = tickets(empty(0, direction=OUT, number="T9"), full(25, direction=OUT))
    assert spans(made) == [(0, 25)]
    assert (made.net_kg[0], made.number[0], made.direction[0]) == (17_000, "T9", OUT)


def test_the_gross_half_names_the_direction_where_the_software_names_the_movement_instead():
    inbound, outbound = tickets(full(0, direction=IN), empty(9, direction=OUT)), tickets(empty(0, direction=IN), full(9, direction=OUT))
    assert (inbound.direction.tolist(), outbound.direction.tolist()) == ([IN], [OUT])


def test_a_lost_half_costs_its_own_ticket_only():
    """Without the direction the empties of the morning would pair with the next loads, all day long."""
    made = tickets(empty(0), full(30), empty(40), full(70), empty(80), full(110))
    assert spans(made) == [(30, 40), (70, 80)]


def test_a_second_weighing_full_takes_the_place_of_the_first():
    assert spans(tickets(full(0), full(10), empty(20))) == [(10, 20)]


def test_a_half_belongs_to_one_ticket_only():
    assert spans(tickets(full(0), empty(10), empty(20))) == [(0, 10)]


def test_halves_pair_up_to_the_limit_and_not_a_millisecond_beyond():
    late = {"t_ms": RULES.pair_ms, "tare_kg": 13_000}
    assert len(tickets(full(0), late)) == 1
    assert len(tickets(full(0), late | {"t_ms": RULES.pair_ms + 1})) == 0


@pytest.mark.parametrize("other", [{"asset": 2}, {"plate": "苏D54321"}])
def test_halves_of_two_scales_or_two_trucks_do_not_pair(other):
    assert len(tickets(full(0), empty(10, **other))) == 0


def test_trucks_between_each_other_pair_each_with_itself():
    made = tickets(full(0, plate="A"), full(1, plate="B", kg=29_000), empty(5, plate="B"), empty(6, plate="A"))
    assert (made.plate.tolist(), made.net_kg.tolist()) == (["A", "B"], [17_000, 16_000])


def test_whole_tickets_of_a_truck_do_not_come_between_its_halves():
    assert spans(tickets(full(0), whole(5), empty(10))) == [(0, 10), (5, 5)]


def test_a_reprinted_ticket_counts_once_at_its_first_time():
    made = tickets(whole(0, number="T1", net_kg=17_000), whole(60, number="T1", net_kg=17_000), whole(90, number="T1", gross_kg=31_000))
    assert spans(made) == [(0, 0), (90, 90)]


def test_a_reprinted_half_starts_no_second_ticket():
    made = tickets(
        full(0, number="1"), full(1, number="1"), empty(9, number="2"), empty(12, number="2"), full(30, number="3"), empty(40, number="4")
    )
    assert spans(made) == [(0, 9), (30, 40)]


def test_equal_weighings_without_a_number_are_two_loads():
    assert spans(tickets(whole(0), whole(60))) == [(0, 0), (60, 60)]


def test_tickets_have_different_names_and_the_last_content_speaks():
    made = tickets(whole(0, number="T1", gross_kg=30_000, seq=1), whole(0, number="T1", gross_kg=31_000, seq=2))
    assert made.gross_kg.tolist() == [31_000]


def test_two_trucks_printed_in_one_millisecond_are_two_tickets():
    assert tickets(whole(0, plate="A"), whole(0, plate="B", seq=1)).plate.tolist() == ["A", "B"]


def test_a_net_below_zero_is_computed_as_it_is():
    assert tickets(whole(0, gross_kg=12_000)).net_kg.tolist() == [-1_000]


def test_no_weighings_make_no_tickets_and_no_flags():
    made = pair_weighings(Weighings.empty(), RULES)
    assert len(made) == len(ticket_flags(made, Weighings.empty(), np.empty(0), RULES)) == 0


def test_a_printed_net_that_is_not_gross_minus_tare_is_flagged_with_both():
    found = flags(whole(10, net_kg=17_100), whole(20, net_kg=17_000), whole(30))
    assert (found.asset.tolist(), found.kind.tolist(), found.start_ms.tolist()) == ([1], [FlagKind.TICKET_MISMATCH], [10 * MINUTE])
    assert (found.value[0], found.limit[0], found.u[0], found.severity[0], found.rows[0]) == (17_100, 17_000, 0, Severity.FAIL, 1)
    assert (found.lat_e7[0], found.lon_e7[0]) == (MISSING, MISSING)


def test_in_a_pair_the_net_that_either_half_printed_is_judged():
    second, first = flags(full(0), empty(9, net_kg=18_000)), flags(full(0, net_kg=18_500), empty(9, net_kg=17_000))
    assert (second.value[0], second.at_ms[0], second.end_ms[0], second.rows[0]) == (18_000, 9 * MINUTE, 9 * MINUTE, 2)
    assert (first.value[0], first.at_ms[0]) == (18_500, 0)


@pytest.mark.parametrize(
    ("gross_kg", "severity"),
    [
        (30_980, None),
        (31_000, None),  # at the limit is lawful
        (31_020, Severity.CONDITIONAL),
        (31_037, Severity.CONDITIONAL),  # guard band: 1.645 · 40 kg / √3 = 37.99 kg
        (31_038, Severity.FAIL),
    ],
)
def test_a_gross_over_the_limit_fails_beyond_the_guard_band(gross_kg, severity):
    found = flags(empty(0, direction=OUT), full(20, kg=gross_kg, direction=OUT), limit_kg=31_000)
    assert found.severity.tolist() == ([] if severity is None else [severity])
    if severity is not None:
        assert (found.kind[0], found.value[0], found.limit[0]) == (FlagKind.TICKET_OVERLOAD_GROSS, gross_kg, 31_000)
        assert found.u[0] == pytest.approx(40 / math.sqrt(3))
        assert (found.start_ms[0], found.at_ms[0], found.end_ms[0]) == (0, 20 * MINUTE, 20 * MINUTE)


def test_a_truck_without_a_known_limit_is_not_judged():
    assert len(flags(whole(0, gross_kg=80_000))) == 0


def test_of_two_tickets_in_one_millisecond_the_worse_is_flagged_for_both():
    found = flags(whole(0, plate="A", gross_kg=31_010), whole(0, plate="B", gross_kg=33_000, seq=1), limit_kg=31_000)
    assert (found.value.tolist(), found.severity.tolist(), found.rows.tolist()) == ([33_000], [Severity.FAIL], [2])


def test_tickets_and_limits_that_are_not_those_of_the_weighings_are_refused():
    table = weighings(whole(0), whole(1))
    with pytest.raises(ValueError, match="2 tickets, 1 limits: not those of these weighings, which make 2"):
        ticket_flags(pair_weighings(table, RULES), table, np.array([NAN]), RULES)
    with pytest.raises(ValueError, match="not those of these weighings"):
        ticket_flags(pair_weighings(table, RULES).take(np.array([1, 0])), table, np.array([NAN, NAN]), RULES)


def test_a_weighbridge_is_as_sure_as_class_three_in_service():
    u_kg = weighbridge_u_kg(np.array([0, 10_000, 10_001, 40_000, 40_001, NAN]))
    assert u_kg[:5] == pytest.approx(np.array([20, 20, 40, 40, 60]) / math.sqrt(3))
    assert np.isnan(u_kg[5])


ROWS = st.builds(
    lambda kind, minute, **more: kind(minute, **more),
    st.sampled_from([full, empty, whole]),
    st.integers(0, 500),
    asset=st.integers(1, 2),
    seq=st.integers(0, 1),
    plate=st.sampled_from(["A", "B"]),
    number=st.sampled_from(["", "1", "2"]),
    net_kg=st.sampled_from([NAN, 17_000, 16_000]),
    direction=st.integers(-1, 1),
)


def columns(table):
    return {name: getattr(table, name).tolist() for name in table.names()}


@given(st.lists(ROWS, min_size=1, max_size=25), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_tickets_and_flags_do_not_depend_on_order_or_repetition(rows, random):
    shuffled = rows + rows[: len(rows) // 2]
    random.shuffle(shuffled)
    assert columns(tickets(*shuffled)) == columns(tickets(*rows))
    assert columns(flags(*shuffled, limit_kg=29_000)) == columns(flags(*rows, limit_kg=29_000))


@given(st.lists(ROWS, min_size=1, max_size=25))
@settings(deadline=None)
def test_the_order_of_the_rows_given_to_the_pairing_does_not_matter_either(rows):
    table = weighings(*rows)
    assert columns(pair_weighings(table.take(slice(None, None, -1)), RULES)) == columns(pair_weighings(table, RULES))


def paired_by_hand(rows):
    """The rule, one weighing after the other: (first, second) minutes of every pair of one scale and plate."""
    pairs, waiting = [], None
    for row in rows:
        opposite = waiting is not None and math.isnan(row["gross_kg"]) != math.isnan(waiting["gross_kg"])
        near = waiting is not None and row["t_ms"] - waiting["t_ms"] <= RULES.pair_ms
        brings = opposite and math.isnan(row["gross_kg"])
        fits = opposite and (waiting["direction"] != OUT if brings else row["direction"] != IN)
        if near and fits:
            pairs.append((waiting["t_ms"] // MINUTE, row["t_ms"] // MINUTE))
            waiting = None
        else:
            waiting = row
    return pairs


@given(
    st.lists(st.tuples(st.sampled_from([full, empty]), st.integers(0, 900), st.integers(-1, 1)), unique_by=lambda row: row[1], max_size=20)
)
@settings(deadline=None)
def test_pairs_are_those_of_a_clerk_who_goes_through_the_book(book):
    rows = [USUAL | kind(minute, direction=direction) for kind, minute, direction in sorted(book, key=lambda row: row[1])]
    assert spans(tickets(*rows)) == paired_by_hand(rows)


@given(st.lists(ROWS, max_size=25))
@settings(deadline=None)
def test_names_are_unique_and_net_is_gross_minus_tare(rows):
    made = tickets(*rows)
    names = list(zip(made.asset.tolist(), made.start_ms.tolist(), made.number.tolist(), made.plate.tolist(), strict=True))
    assert names == sorted(set(names))
    assert (made.net_kg == made.gross_kg - made.tare_kg).all()
    found = flags(*rows, limit_kg=29_000)
    keys = list(zip(found.asset.tolist(), found.kind.tolist(), found.start_ms.tolist(), strict=True))
    assert keys == sorted(set(keys))
