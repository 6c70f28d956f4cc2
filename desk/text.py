"""The names of kinds, severities, roles, streams and states in Chinese and English. One table, for messages, API and console alike."""

from typing import NamedTuple

from core.events import FlagKind, Severity
from core.readings import IN, OUT


class Word(NamedTuple):
    """One name in both languages."""

    zh: str
    en: str


SYSTEM_KINDS = {
    "no_readings": Word("无数据上报", "No readings"),
    "stalled": Word("处理环节停滞", "Stage stalled"),
    "channel_failed": Word("通知渠道失效", "Notification channel failed"),
    "clock_behind": Word("设备时钟落后", "Device clock behind"),
}
"""Alerts that follow no flag: about the program itself, and about clocks that would silence the others."""

FLAG_KINDS = {
    FlagKind.OVERLOAD_PAYLOAD: Word("超载", "Over rated payload"),
    FlagKind.OVERLOAD_GROSS: Word("超限", "Over gross limit"),
    FlagKind.SPILLAGE: Word("疑似抛撒", "Suspected spillage"),
    FlagKind.GPS_JUMP: Word("定位漂移", "Position jump"),
    FlagKind.GAP: Word("数据中断", "Gap in the data"),
    FlagKind.TICKET_OVERLOAD_GROSS: Word("超限（过磅）", "Over gross limit (weighed)"),
    FlagKind.TICKET_MISMATCH: Word("磅单净重不符", "Ticket's net does not add up"),
}

KINDS = {kind.name.lower(): word for kind, word in FLAG_KINDS.items()} | SYSTEM_KINDS
"""Every kind of flag and alert under the word that the API uses."""

SEVERITIES = {
    Severity.INFO: Word("提示", "information"),
    Severity.CONDITIONAL: Word("疑似，超出值在测量不确定度之内", "suspected: above the limit, but within the guard band"),
    Severity.FAIL: Word("确定，超出值大于测量不确定度", "above the limit by more than the guard band"),
}

SEVERITY_LABELS = {
    Severity.INFO: Word("提示", "info"),
    Severity.CONDITIONAL: Word("疑似", "conditional"),
    Severity.FAIL: Word("确定", "fail"),
}
"""The same in one word, for tables."""

ROLES = {
    "construction": Word("建筑工地", "construction site"),
    "disposal": Word("消纳场", "disposal site"),
    "landfill": Word("填埋场", "landfill"),
    "transfer": Word("转运站", "transfer station"),
    "incinerator": Word("焚烧厂", "incinerator"),
    "depot": Word("停车场", "depot"),
    "forbidden": Word("禁行区", "forbidden area"),
}

STREAMS = {
    "muck": Word("渣土", "muck"),
    "construction": Word("建筑垃圾", "construction waste"),
    "domestic": Word("生活垃圾", "domestic waste"),
    "kitchen": Word("餐厨垃圾", "kitchen waste"),
    "bulky": Word("大件垃圾", "bulky waste"),
    "hazardous": Word("有害垃圾", "hazardous waste"),
    "fly_ash": Word("飞灰", "fly ash"),
}

TRUCK_TYPES = {
    "smart": Word("新型智能渣土车", "smart muck truck"),
    "tarpaulin": Word("篷布式渣土车", "tarpaulin truck"),
    "other": Word("其他", "other"),
    "collection": Word("收集车", "collection vehicle"),
    "container": Word("集装箱转运车", "container vehicle"),
}

DIRECTIONS = {IN: Word("进", "in"), OUT: Word("出", "out")}

SOURCES = {
    "ticket": Word("磅单", "weighbridge tickets"),
    "movement": Word("转运记录", "station movements"),
    "onboard": Word("车载称重", "on-board sensors"),
}

DENSITY_STATES = {"bank": Word("实方", "bank"), "loose": Word("松方", "loose")}

STAGES = {
    "source": Word("接收", "source"),
    "journal": Word("入库", "journal"),
    "derive": Word("计算", "derive"),
}
"""The parts of the collector, as their status rows name them."""


def word(table: dict[str, Word], name: str) -> Word:
    """A name in both languages; a name that the table does not have speaks for itself."""
    return table.get(name, Word(name, name))


def duration(span_ms: float) -> Word:
    """About how long a span is, in the unit in which a person would say it."""
    for unit_ms, zh, en in ((86_400_000, "天", "d"), (3_600_000, "小时", "h")):
        if span_ms >= 2 * unit_ms:
            count = f"{span_ms / unit_ms:.1f}".removesuffix(".0")
            return Word(f"{count} {zh}", f"{count} {en}")
    minutes = round(span_ms / 60_000)
    return Word(f"{minutes} 分钟", f"{minutes} min")
