from typing import Any

import numpy as np
import pytest

from core.columns import OPEN_MS
from core.events import Cycles, FlagKind, Flags, Severity
from core.jump import Anchors
from core.limits import Limits
from core.overload import overloads
from core.rules import Rules

RULES = Rules()
PLACE = Anchors.of(t_ms=[5], lat_e7=[317_000_000], lon_e7=[1_199_000_000])


def judge(payload_kg: float, rated_kg: float = 15_000.0, limit_kg: float = 31_000.0, tare_kg: float = 13_000.0, **changed: Any) -> Flags:
    cycle = {
        "asset": 7, "start_ms": 100, "depart_ms": 200, "arrive_ms": 300, "end_ms": 400, "load_site": "pit", "dump_site": "fill",
        "payload_kg": payload_kg, "payload_u_kg": 600.0, "plateau_rows": 30, "haul_m": 9_000, "load_signs": 1, "dump_signs": 1,
        "rules": "1",
    }  # fmt: skip  # one line per column would hide the row
    cycles = Cycles.of(**{name: [value] for name, value in (cycle | changed).items()})
    limits = Limits(np.array([0]), np.array([rated_kg]), np.array([tare_kg]), np.array([limit_kg]))
    return overloads(cycles, limits, PLACE, RULES)


def severities(flags: Flags) -> dict[FlagKind, Severity]:
    return {FlagKind(kind): Severity(severity) for kind, severity in zip(flags.kind.tolist(), flags.severity.tolist(), strict=True)}


def test_a_lawful_load_is_no_flag_not_even_just_below_the_limit() -> None:
    assert len(judge(15_000.0)) == 0


def test_each_legal_meaning_is_judged_by_itself() -> None:
    assert severities(judge(17_000.0)) == {FlagKind.OVERLOAD_PAYLOAD: Severity.FAIL}
    assert severities(judge(20_000.0)) == {FlagKind.OVERLOAD_PAYLOAD: Severity.FAIL, FlagKind.OVERLOAD_GROSS: Severity.FAIL}
    assert severities(judge(17_000.0, rated_kg=20_000.0, limit_kg=28_000.0)) == {FlagKind.OVERLOAD_GROSS: Severity.FAIL}


@pytest.mark.parametrize(
    ("payload_kg", "severity"), [(15_001.0, Severity.CONDITIONAL), (15_987.0, Severity.CONDITIONAL), (15_988.0, Severity.FAIL)]
)
def test_within_the_guard_band_an_overload_is_conditional(payload_kg: float, severity: Severity) -> None:
    assert severities(judge(payload_kg)) == {FlagKind.OVERLOAD_PAYLOAD: severity}  # 15,000 kg + 1.645 × 600 kg = 15,987 kg


def test_an_unknown_limit_or_tare_judges_nothing() -> None:
    assert len(judge(40_000.0, rated_kg=np.nan, limit_kg=np.nan)) == 0
    assert severities(judge(40_000.0, tare_kg=np.nan)) == {FlagKind.OVERLOAD_PAYLOAD: Severity.FAIL}


def test_a_payload_of_few_rows_or_none_gets_no_verdict() -> None:
    assert len(judge(40_000.0, plateau_rows=RULES.plateau_rows - 1)) == 0
    assert len(judge(np.nan)) == 0


def test_a_flag_explains_itself() -> None:
    flag = judge(20_000.0, end_ms=OPEN_MS)
    assert flag.asset.tolist() == [7, 7]
    assert flag.start_ms.tolist() == [100, 100]
    assert flag.end_ms.tolist() == [OPEN_MS, OPEN_MS]
    assert flag.at_ms.tolist() == [200, 200]
    assert flag.value.tolist() == [20_000.0, 33_000.0]
    assert flag.limit.tolist() == [15_000.0, 31_000.0]
    assert flag.u.tolist() == [600.0, 600.0]
    assert flag.rows.tolist() == [30, 30]
    assert flag.lat_e7.tolist() == [317_000_000] * 2
