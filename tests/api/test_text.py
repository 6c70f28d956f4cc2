from string import Formatter
from zoneinfo import ZoneInfo

import pytest

from api.text import WORDS, Words, finding, quantity

NOON_MS = 1_654_056_000_000


def fields(text: str) -> set[str | None]:
    return {name for _, name, _, _ in Formatter().parse(text)} - {None}


@pytest.mark.parametrize("key", WORDS)
def test_every_text_is_complete_in_both_languages_and_says_the_same_things(key: str) -> None:
    word = WORDS[key]
    assert word.zh.strip()
    assert word.en.strip()
    assert fields(word.zh) == fields(word.en)


def test_english_texts_hold_no_chinese_but_the_name_of_the_other_language() -> None:
    mixed = {key for key, word in WORDS.items() if any("\u4e00" <= character <= "\u9fff" for character in word.en)}
    assert mixed == {"other_language"}


def test_the_clock_names_the_weekday_in_the_districts_time() -> None:
    zone = ZoneInfo("Asia/Shanghai")
    assert Words("zh").clock(NOON_MS, zone) == "2022-06-01 周三 12:00:00"
    assert Words("en").clock(NOON_MS, zone) == "Wed 2022-06-01 12:00:00"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(18_940.0, "kg", "18.9 t"), (630_000.0, "ms", "10.5 min"), (4_200.0, "m", "4,200 m"), (None, "kg", "–"), (3.0, None, "3")],
)
def test_quantities_read_as_people_say_them(value: float | None, unit: str | None, text: str) -> None:
    assert quantity(value, unit) == text


def test_a_finding_stands_beside_its_limit_and_is_empty_where_nothing_was_measured() -> None:
    assert finding(18_900.0, 16_500.0, "kg") == "18.9 t / 16.5 t"
    assert finding(None, None, None) == ""
