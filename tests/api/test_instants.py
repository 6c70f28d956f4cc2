from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import ApiError
from api.instants import AHEAD_MS, Span, day_date, day_number, iso, parse_ms

SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    "text",
    [
        "2022-06-01T08:00:00+08:00",
        "2022-06-01T08:00:00 08:00",
        "2022-06-01T00:00:00Z",
        "2022-06-01T00:00:00.000+00:00",
        "20220601T000000Z",
        "1654041600000",
        1654041600000,
    ],
)
def test_an_instant_may_be_written_with_any_offset_or_in_milliseconds(text: object) -> None:
    assert parse_ms(text) == 1_654_041_600_000


@pytest.mark.parametrize("text", ["", "2022-06-01", "2022-06-01T08:00:00", "now", "1e12", "-1", "4102444800000", "99999999999999999999"])
def test_what_is_no_instant_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match="ISO 8601"):
        parse_ms(text)


@given(st.integers(0, 4_102_444_799_999))
def test_what_is_written_is_read_back_to_the_millisecond(t_ms: int) -> None:
    assert parse_ms(iso(t_ms, SHANGHAI)) == t_ms


@given(st.integers(-100_000, 100_000))
def test_a_day_number_and_its_date_are_the_same_day(day: int) -> None:
    assert day_number(day_date(day)) == day


def test_a_span_ends_now_by_default_and_allows_for_devices_ahead_of_us() -> None:
    assert Span.of(None, None, now_ms=1_000_000_000, default_ms=100, longest_ms=1_000) == Span(
        1_000_000_000 + AHEAD_MS - 100, 1_000_000_000 + AHEAD_MS
    )


def test_a_span_that_is_too_long_says_how_long_it_may_be() -> None:
    with pytest.raises(ApiError) as refusal:
        Span.of(0, 3 * 86_400_000, now_ms=0, default_ms=1, longest_ms=86_400_000)
    assert "at most 1 days" in refusal.value.detail.expected
