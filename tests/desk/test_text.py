import pytest

from core.events import FlagKind, Severity
from core.geofence import Role
from desk import text
from desk.entries import DENSITY_STATES, ROLE_NAMES, STREAMS, TRUCK_TYPES


@pytest.mark.parametrize(
    ("table", "names"),
    [
        (text.FLAG_KINDS, FlagKind),
        (text.SEVERITIES, Severity),
        (text.SEVERITY_LABELS, Severity),
        (text.ROLES, ROLE_NAMES),
        (text.STREAMS, STREAMS),
        (text.TRUCK_TYPES, TRUCK_TYPES),
        (text.DENSITY_STATES, DENSITY_STATES),
    ],
)
def test_everything_has_a_name_in_both_languages(table: dict[object, text.Word], names: object) -> None:
    assert set(table) == set(names)
    assert all(word.zh and word.en for word in table.values())


def test_the_registrys_roles_are_the_cores() -> None:
    assert {role.name.lower() for role in Role} == set(ROLE_NAMES)


def test_kinds_carry_the_apis_words() -> None:
    assert text.KINDS["overload_gross"].zh == "超限"
    assert text.word(text.KINDS, "unheard_of") == ("unheard_of", "unheard_of")


@pytest.mark.parametrize(
    ("span_ms", "zh", "en"),
    [
        (1_500_000, "25 分钟", "25 min"),
        (7_199_000, "120 分钟", "120 min"),
        (28_800_900, "8 小时", "8 h"),
        (19_800_000, "5.5 小时", "5.5 h"),
        (619 * 7 * 86_400_000, "4333 天", "4333 d"),
    ],
)
def test_a_span_is_said_in_the_unit_of_a_person(span_ms: float, zh: str, en: str) -> None:
    assert text.duration(span_ms) == (zh, en)
