from collections.abc import Callable
from dataclasses import replace

import pytest

from core.events import Severity
from desk.books import Alert
from desk.registry import FolderRegistry
from desk.wording import Wording

T_MS = 1_646_140_445_000  # 2022-03-01T21:14:05+08:00

OVERLOAD = Alert(
    id="0198f2c4-0000-7000-8000-000000000001",
    kind="overload_gross",
    subject="T1",
    asset=1,
    flag_start_ms=T_MS,
    start_ms=T_MS,
    end_ms=None,
    severity=Severity.FAIL,
    at_ms=T_MS,
    lat_e7=317051200,
    lon_e7=1199053400,
    value=33420.4,
    threshold=31000.0,
    u=820.0,
    rows=14,
    raised_ms=T_MS,
    changed_ms=T_MS,
)


@pytest.fixture
def wording(load: Callable[..., FolderRegistry]) -> Wording:
    return Wording(load())


def test_a_message_says_in_chinese_then_in_english_what_was_measured_where_and_when(wording: Wording) -> None:
    assert wording.raised(OVERLOAD) == (
        "超限 苏D10001（T1） | Over gross limit 苏D10001 (T1)",
        """时间 2022-03-01 21:14:05+08:00
位置 31.70512, 119.90534 (WGS-84)
测得 33,420 kg，限值 31,000 kg，标准不确定度 820 kg
判定：确定，超出值大于测量不确定度。依据：车载称重，只是嫌疑，不作证据。

Time 2022-03-01 21:14:05+08:00
Place 31.70512, 119.90534 (WGS-84)
Measured 33,420 kg, limit 31,000 kg, standard uncertainty 820 kg
Verdict: above the limit by more than the guard band. Basis: the on-board sensor; a suspicion, not evidence.

告警编号 Alert id: 0198f2c4-0000-7000-8000-000000000001""",
    )


def test_a_suspicion_is_called_one(wording: Wording) -> None:
    text = wording.raised(replace(OVERLOAD, severity=Severity.CONDITIONAL))
    assert "判定：疑似" in text.body
    assert "Verdict: suspected" in text.body


def test_a_weighing_speaks_as_evidence_under_its_scales_name(wording: Wording) -> None:
    text = wording.raised(replace(OVERLOAD, kind="ticket_overload_gross", subject="S1", lat_e7=None, lon_e7=None, u=None))
    assert text.title == "超限（过磅） 一号磅（S1） | Over gross limit (weighed) Scale 1 (S1)"
    assert "依据：地磅磅单" in text.body
    assert "Place" not in text.body
    assert "uncertainty" not in text.body


def test_what_was_not_measured_is_not_said(wording: Wording) -> None:
    assert "kg" not in wording.raised(replace(OVERLOAD, kind="spillage", value=None)).body


def test_an_asset_that_nobody_registered_is_named_as_such(wording: Wording) -> None:
    assert wording.raised(replace(OVERLOAD, subject="X9")).title.startswith("超限 X9（未登记） | ")


def test_a_correction_repeats_what_had_been_said_and_carries_the_same_id(wording: Wording) -> None:
    text = wording.withdrawn(OVERLOAD)
    assert text.title == "撤回：超限 苏D10001（T1） | Withdrawn: Over gross limit 苏D10001 (T1)"
    assert "33,420 kg" in text.body
    assert "no longer holds" in text.body
    assert text.body.endswith(OVERLOAD.id)


@pytest.mark.parametrize(
    ("kind", "subject", "says"),
    [
        ("no_readings", "", "没有收到任何设备的数据"),
        ("stalled", "journal", "环节“入库”已 90 秒没有进展"),
        ("channel_failed", "duty", "渠道“duty”连续发送失败"),
        ("clock_behind", "T1", "设备时钟落后约 2 分钟"),
    ],
)
def test_the_programs_own_troubles_are_told_in_words(wording: Wording, kind: str, subject: str, says: str) -> None:
    trouble = replace(OVERLOAD, kind=kind, subject=subject, asset=0, value=90_000)
    assert says in wording.own_raised(trouble).body
    assert "恢复：" in wording.own_cleared(replace(trouble, end_ms=T_MS)).title


def test_a_wrong_clock_is_told_with_the_trucks_plate_and_its_offset(wording: Wording) -> None:
    text = wording.own_raised(replace(OVERLOAD, kind="clock_behind", flag_start_ms=None, value=28_800_900.0))
    assert text.title == "设备时钟落后 苏D10001（T1） | Device clock behind 苏D10001 (T1)"
    assert "设备时钟落后约 8 小时" in text.body
    assert "about 8 h behind" in text.body
