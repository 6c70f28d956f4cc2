"""The set of readings does not depend on how they came."""

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.columns import MISSING
from core.order import distinct, order_dedupe
from core.readings import BOOKKEEPING, IDENTITY, Movements, TruckReadings, Weighings

NAN = math.nan
FIX = {"lat_e7": 317_000_000, "lon_e7": 1_199_000_000}
NOTHING = {
    "asset": 1,
    "t_ms": 1000,
    "seq": 0,
    "received_ms": 5000,
    "hist": 0,
    "lat_e7": MISSING,
    "lon_e7": MISSING,
    "speed_kmh": NAN,
    "heading_deg": NAN,
    "load_kg": NAN,
    "load_state": -1,
    "body_up": -1,
    "cover_open": -1,
}


def trucks(*rows):
    """Readings that say nothing but what is given."""
    filled = [NOTHING | row for row in rows]
    return TruckReadings.of(**{name: [row[name] for row in filled] for name in TruckReadings.names()})


def weighings(*rows):
    usual = {"asset": 1, "t_ms": 1000, "seq": 0, "received_ms": 5000, "hist": 0, "number": "", "plate": "", "stream": "", "direction": -1}
    filled = [usual | dict.fromkeys(("gross_kg", "tare_kg", "net_kg"), NAN) | row for row in rows]
    return Weighings.of(**{name: [row[name] for row in filled] for name in Weighings.names()})


def bits(table):
    """The table's bytes, column by column: what "identical" means."""
    return {
        name: (getattr(table, name).tolist() if name in ("number", "plate", "stream") else getattr(table, name).tobytes())
        for name in table.names()
    }


def assert_same(one, other):
    assert bits(one) == bits(other)


def test_rows_are_sorted_by_asset_then_time_then_sequence():
    rows = [(2, 1, 0), (1, 9, 0), (1, 2, 5), (1, 2, 4), (1, -3, 9)]
    winners = order_dedupe(trucks(*({"asset": a, "t_ms": t, "seq": s} for a, t, s in rows))).winners
    assert list(zip(winners.asset.tolist(), winners.t_ms.tolist(), winners.seq.tolist(), strict=True)) == sorted(rows)


def test_one_content_sent_three_times_counts_once_from_its_earliest_receipt():
    ordered = order_dedupe(trucks(*({"load_kg": 9000.0, "received_ms": ms} for ms in (7000, 6000, 8000))))
    assert (len(ordered.winners), ordered.losers, ordered.duplicates) == (1, 0, 2)
    assert ordered.winners.received_ms.tolist() == [6000]


def test_the_content_with_more_measured_columns_wins_though_it_came_later_and_is_smaller():
    rich = {"load_kg": 1.0, "speed_kmh": 0.0, "received_ms": 9000}
    poor = {"load_kg": 99_000.0, "received_ms": 6000, "hist": 1}
    ordered = order_dedupe(trucks(poor, rich))
    assert (ordered.winners.load_kg.tolist(), ordered.losers, ordered.duplicates) == ([1.0], 1, 0)


def test_the_winner_carries_the_earliest_receipt_of_its_identity_and_how_that_came():
    ordered = order_dedupe(trucks({"load_kg": 1.0, "received_ms": 6000, "hist": 1}, {"load_kg": 2.0, "received_ms": 9000, "hist": 0}))
    assert (ordered.winners.load_kg[0], ordered.winners.received_ms[0], ordered.winners.hist[0]) == (2.0, 6000, 1)


def test_of_two_receipts_at_one_instant_the_live_one_speaks():
    winners = order_dedupe(trucks({"load_kg": 1.0, "hist": 1}, {"load_kg": 1.0, "hist": 0})).winners
    assert winners.hist.tolist() == [0]


@pytest.mark.parametrize(
    ("smaller", "greater"),
    [
        ({"load_kg": 8000.0}, {"load_kg": 9000.0}),
        ({"load_kg": -2.0}, {"load_kg": -1.0}),
        ({"load_kg": -0.0}, {"load_kg": 0.0}),
        ({"load_kg": -math.inf}, {"load_kg": -1e300}),
        ({"load_kg": 5.0}, {"speed_kmh": 1.0}),  # an earlier column decides: not measured is below every speed
        ({"speed_kmh": -math.inf, "load_kg": NAN}, {"lat_e7": -900_000_000}),
        ({**FIX, "body_up": 0}, {**FIX, "load_state": 0}),
    ],
)
def test_of_equally_measured_contents_the_greater_encoding_wins(smaller, greater):
    for rows in permutations((smaller, greater)):
        winners = order_dedupe(trucks(*rows)).winners
        assert_same(winners, trucks(greater))


def test_text_is_compared_by_code_point_and_empty_text_was_not_measured():
    rows = [{"plate": "苏D11111"}, {"plate": "苏D2"}, {"number": "9"}, {"plate": "A"}]
    assert order_dedupe(weighings(*rows)).winners.number.tolist() == ["9"]  # number stands before plate
    assert order_dedupe(weighings(*rows[:2], rows[3])).winners.plate.tolist() == ["苏D2"]


def test_two_missing_values_are_the_same_content():
    quiet_nan = np.array([0x7FF8_0000_0000_0001], dtype=np.uint64).view(np.float64)[0]
    ordered = order_dedupe(trucks({"load_kg": NAN}, {"load_kg": quiet_nan}))
    assert (ordered.losers, ordered.duplicates) == (0, 1)


def test_distinct_keeps_the_losers_behind_their_winner():
    table = trucks({"load_kg": 1.0}, {"load_kg": 3.0}, {"load_kg": 2.0}, {"load_kg": 3.0}, {"t_ms": 10, "load_kg": 0.0})
    assert distinct(table).load_kg.tolist() == [0.0, 3.0, 2.0, 1.0]


def test_identities_that_fit_no_packed_key_are_ordered_all_the_same():
    far = np.iinfo(np.int64)
    rows = [{"asset": 1, "t_ms": far.max, "seq": 0}, {"asset": 1, "t_ms": far.min, "seq": far.max}, {"asset": 1, "t_ms": far.min, "seq": 2}]
    winners = order_dedupe(trucks(*rows, rows[0])).winners
    assert winners.t_ms.tolist() == [far.min, far.min, far.max]
    assert winners.seq.tolist() == [2, far.max, 0]


def test_identities_that_leave_no_room_for_row_numbers_are_ordered_all_the_same():
    rows = [{"asset": a, "t_ms": t, "seq": 0} for a in (1, 2) for t in (0, 1 << 60, 5)]
    winners = order_dedupe(trucks(*rows)).winners
    assert winners.asset.tolist() == [1, 1, 1, 2, 2, 2]
    assert winners.t_ms.tolist() == [0, 5, 1 << 60] * 2


def test_a_sorted_unique_table_comes_back_uncopied():
    table = trucks(*({"t_ms": t} for t in range(5)))
    assert order_dedupe(table).winners is table


def test_no_rows_stay_no_rows():
    ordered = order_dedupe(Movements.empty())
    assert (len(ordered.winners), ordered.losers, ordered.duplicates) == (0, 0, 0)


READINGS = st.builds(
    dict,
    asset=st.integers(1, 2),
    t_ms=st.integers(0, 3),
    seq=st.integers(0, 1),
    received_ms=st.integers(0, 3),
    hist=st.integers(0, 1),
    speed_kmh=st.sampled_from([NAN, 0.0, -0.0, 3.5]),
    load_kg=st.sampled_from([NAN, 1.0]),
    body_up=st.integers(-1, 1),
)


@given(st.lists(READINGS, min_size=1, max_size=20), st.data())
@settings(deadline=None)
def test_order_and_repetition_change_nothing(rows, data):
    once = order_dedupe(trucks(*rows))
    repeated = data.draw(st.permutations(rows + data.draw(st.lists(st.sampled_from(rows), max_size=8))))
    again = order_dedupe(trucks(*repeated))
    assert_same(again.winners, once.winners)
    assert again.losers == once.losers
    assert len(again.winners) + again.losers + again.duplicates == len(repeated)


@given(st.lists(READINGS, max_size=20), st.integers(0, 20))
@settings(deadline=None)
def test_a_set_joined_to_a_set_is_the_set_of_all(rows, cut):
    """What lets sealed blocks and hot batches be merged in any grouping."""
    part = distinct(trucks(*rows[:cut]))
    joined = TruckReadings.concat([part, distinct(trucks(*rows[cut:]))])
    assert_same(distinct(joined), distinct(trucks(*rows)))
    assert_same(order_dedupe(joined).winners, order_dedupe(trucks(*rows)).winners)


def rank(row):
    """The rule again, in plain Python: number of measured columns, then the encoding."""
    content = [row[name] for name in TruckReadings.names() if name not in IDENTITY + BOOKKEEPING]
    encoding = [-math.inf if value != value or value in (-1, MISSING) else value for value in content]
    signs = [math.copysign(1, value) for value in content]
    return sum(value != -math.inf for value in encoding), [
        pair for value, sign in zip(encoding, signs, strict=True) for pair in (value, sign)
    ]


@given(st.lists(READINGS, min_size=1, max_size=20))
@settings(deadline=None)
def test_the_winner_is_the_greatest_by_the_rule(rows):
    filled = [NOTHING | row for row in rows]
    winners = order_dedupe(trucks(*rows)).winners
    for row in range(len(winners)):
        identity = tuple(int(getattr(winners, name)[row]) for name in IDENTITY)
        rivals = [rival for rival in filled if tuple(rival[name] for name in IDENTITY) == identity]
        best = max(rivals, key=rank)
        earliest = min((rival["received_ms"], rival["hist"]) for rival in rivals)
        assert_same(winners.take(slice(row, row + 1)), trucks(best | dict(zip(BOOKKEEPING, earliest, strict=True))))


WEIGHINGS = st.builds(
    dict,
    t_ms=st.integers(0, 1),
    received_ms=st.integers(0, 2),
    number=st.sampled_from(["", "7", "10", "票"]),
    plate=st.sampled_from(["", "苏D1", "苏D12"]),
    gross_kg=st.sampled_from([NAN, 30_000.0]),
    direction=st.integers(-1, 1),
)


@given(st.lists(WEIGHINGS, min_size=1, max_size=12), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_text_columns_settle_the_same_in_any_order(rows, random):
    once = order_dedupe(weighings(*rows))
    shuffled = rows * 2
    random.shuffle(shuffled)
    assert_same(order_dedupe(weighings(*shuffled)).winners, once.winners)
