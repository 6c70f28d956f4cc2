"""Operating days against the zone's own rules, row by row."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.days import day_span_ms, day_totals, operating_day
from core.readings import IN, OUT

HOUR_MS = 3_600_000
ZONES = [
    "Asia/Shanghai",
    "Europe/Berlin",
    "America/Havana",  # clocks go back from 01:00 to 00:00, and leap from 00:00 to 01:00
    "America/St_Johns",  # until 2011 at 00:01
    "Australia/Lord_Howe",  # by half an hour
    "Africa/Cairo",
    "Asia/Kathmandu",
    "Pacific/Apia",  # has no 30 December 2011
    "UTC",
]


def ms(text):
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def day_number(text):
    return (date.fromisoformat(text) - date(1970, 1, 1)).days


def days_of(zone, cutoff_min, *instants):
    return operating_day(np.array([ms(text) for text in instants]), zone, cutoff_min).tolist()


def wall(t_ms, zone):
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=t_ms)).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def test_a_day_in_wujin_begins_at_local_midnight():
    found = days_of("Asia/Shanghai", 0, "2022-06-01T15:59:59.999Z", "2022-06-01T16:00:00Z")
    assert found == [day_number("2022-06-01"), day_number("2022-06-02")]


def test_night_work_before_the_cut_off_belongs_to_the_day_before():
    found = days_of("Asia/Shanghai", 360, "2022-06-02T05:59+08:00", "2022-06-02T06:00+08:00")
    assert found == [day_number("2022-06-01"), day_number("2022-06-02")]


def test_days_before_1970_are_negative():
    assert days_of("UTC", 0, "1969-12-31T23:59:59.999Z", "1970-01-01T00:00Z") == [-1, 0]


@pytest.mark.parametrize(
    ("zone", "cutoff_min", "day", "hours"),
    [
        ("Europe/Berlin", 0, "2024-03-31", 23),
        ("Europe/Berlin", 0, "2024-10-27", 25),
        ("Europe/Berlin", 240, "2024-03-30", 23),  # the cut-off at 04:00 moves the short day
        ("Europe/Berlin", 150, "2024-03-31", 23.5),  # 02:30 never comes: the day begins at 03:00, when the clock leaps
        ("Europe/Berlin", 150, "2024-10-26", 24),  # 02:30 comes twice on the 27th: the first counts
        ("Europe/Berlin", 150, "2024-10-27", 25),
        ("America/Havana", 0, "2024-03-10", 23),
        ("America/Havana", 0, "2024-11-03", 25),
        ("Australia/Lord_Howe", 0, "2024-04-07", 24.5),
        ("Pacific/Apia", 0, "2011-12-29", 24),
        ("Pacific/Apia", 0, "2011-12-30", 0),
        ("Asia/Shanghai", 1439, "2022-06-01", 24),
    ],
)
def test_a_day_lasts_as_long_as_its_clocks_say(zone, cutoff_min, day, hours):
    begin, end = day_span_ms(day_number(day), zone, cutoff_min)
    assert (end - begin) / HOUR_MS == hours


def test_a_skipped_date_has_no_instant():
    begin, end = day_span_ms(day_number("2011-12-30"), "Pacific/Apia", 0)
    assert begin == end
    assert operating_day(np.array([begin - 1, begin]), "Pacific/Apia", 0).tolist() == [day_number("2011-12-29"), day_number("2011-12-31")]


@pytest.mark.parametrize("cutoff_min", [-1, 1440])
def test_a_cut_off_outside_of_a_day_is_refused(cutoff_min):
    with pytest.raises(ValueError, match=f"{cutoff_min} minutes after midnight"):
        operating_day(np.array([0]), "UTC", cutoff_min)


def test_an_unknown_zone_is_refused():
    with pytest.raises(ZoneInfoNotFoundError, match="Asia/Wujin"):
        operating_day(np.array([0]), "Asia/Wujin", 0)


INSTANTS = st.one_of(
    st.integers(ms("2000-01-01T00:00Z"), ms("2099-12-31T00:00Z")),
    # within three hours of changes of the clocks
    st.builds(
        lambda change, off_ms: ms(change) + off_ms,
        st.sampled_from(
            [
                "2024-03-31T01:00Z",
                "2024-10-27T01:00Z",
                "2024-03-10T05:00Z",
                "2024-11-03T05:00Z",
                "2010-11-07T02:31Z",
                "2024-04-06T15:00Z",
                "2024-10-05T15:30Z",
                "2024-04-25T22:00Z",
                "2024-10-31T21:00Z",
                "2011-12-30T10:00Z",
            ]
        ),
        st.integers(-3 * HOUR_MS, 3 * HOUR_MS),
    ),
)


@given(st.lists(INSTANTS, min_size=1, max_size=30), st.sampled_from(ZONES), st.integers(0, 1439))
@settings(deadline=None)
def test_every_instant_lies_in_the_span_of_its_day(instants, zone, cutoff_min):
    for t_ms, day in zip(instants, operating_day(np.array(instants), zone, cutoff_min).tolist(), strict=True):
        begin, end = day_span_ms(day, zone, cutoff_min)
        assert begin <= t_ms < end


@given(st.lists(INSTANTS, min_size=1, max_size=30), st.sampled_from(ZONES), st.integers(0, 1439))
@settings(deadline=None)
def test_the_day_is_that_of_the_wall_clock_unless_the_clock_goes_back_over_the_cut_off(instants, zone, cutoff_min):
    cutoff = timedelta(minutes=cutoff_min)
    for t_ms, day in zip(instants, operating_day(np.array(instants), zone, cutoff_min).tolist(), strict=True):
        shown = ((wall(t_ms, zone) - cutoff).date() - date(1970, 1, 1)).days
        highest_shown = max(((wall(t_ms - ago * 60_000, zone) - cutoff).date() - date(1970, 1, 1)).days for ago in range(61))
        assert day == max(shown, highest_shown)


@given(st.integers(day_number("2000-01-01"), day_number("2099-12-30")), st.sampled_from(ZONES), st.integers(0, 1439))
@settings(max_examples=300, deadline=None)
def test_a_day_begins_when_the_wall_clock_first_shows_the_cut_off_or_later(day, zone, cutoff_min):
    begin, _ = day_span_ms(day, zone, cutoff_min)
    due = datetime(1970, 1, 1) + timedelta(days=day, minutes=cutoff_min)
    assert wall(begin, zone) >= due
    assert wall(begin - 1, zone) < due


def totals(*rows, zone="Asia/Shanghai", cutoff_min=0):
    site, t_ms, stream, direction, source, mass_kg = zip(*rows, strict=True) if rows else ((),) * 6
    return day_totals(
        site=np.array(site, dtype=np.str_),
        t_ms=np.array(t_ms, dtype=np.int64),
        stream=np.array(stream, dtype=np.str_),
        direction=np.array(direction, dtype=np.int8),
        source=np.array(source, dtype=np.str_),
        mass_kg=np.array(mass_kg, dtype=np.int64),
        zone=zone,
        cutoff_min=cutoff_min,
    )


def listed(table):
    return list(zip(*(getattr(table, name).tolist() for name in table.names()), strict=True))


def test_tonnes_are_kept_apart_by_site_day_stream_direction_and_source():
    night, morning = ms("2022-06-02T23:30+08:00"), ms("2022-06-03T00:10+08:00")
    table = totals(
        ("填埋场", night, "muck", IN, "ticket", 18_000),
        ("填埋场", morning, "muck", IN, "ticket", 17_500),
        ("填埋场", night, "muck", IN, "ticket", 16_020),
        ("填埋场", night, "muck", IN, "onboard", 15_500),
        ("填埋场", night, "muck", OUT, "ticket", 9_000),
        ("填埋场", night, "fly_ash", IN, "ticket", 20_000),
        ("Mahang", night, "muck", IN, "ticket", 1),
    )
    second, third = day_number("2022-06-02"), day_number("2022-06-03")
    assert listed(table) == [
        ("Mahang", second, "muck", IN, "ticket", 1, 1),
        ("填埋场", second, "fly_ash", IN, "ticket", 20_000, 1),
        ("填埋场", second, "muck", IN, "onboard", 15_500, 1),
        ("填埋场", second, "muck", IN, "ticket", 34_020, 2),
        ("填埋场", second, "muck", OUT, "ticket", 9_000, 1),
        ("填埋场", third, "muck", IN, "ticket", 17_500, 1),
    ]


def test_nothing_moved_is_no_row():
    assert len(totals()) == 0


def test_sums_are_exact_beyond_what_floats_hold():
    big = 2**53
    assert totals(("a", 0, "muck", IN, "ticket", big), ("a", 0, "muck", IN, "ticket", 1)).mass_kg.tolist() == [big + 1]


ROWS = st.tuples(
    st.sampled_from(["a", "b"]),
    st.integers(0, 3 * 86_400_000),
    st.sampled_from(["muck", "bulky"]),
    st.sampled_from([IN, OUT]),
    st.sampled_from(["ticket", "movement"]),
    st.integers(0, 200_000),
)


@given(st.lists(ROWS, max_size=30), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_totals_lose_nothing_and_do_not_depend_on_order(rows, random):
    table = totals(*rows)
    assert int(table.mass_kg.sum()) == sum(row[-1] for row in rows)
    assert int(table.count.sum()) == len(rows)
    random.shuffle(rows)
    assert listed(totals(*rows)) == listed(table)
