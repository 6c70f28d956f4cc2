"""The page's words in both languages, and how it writes instants and quantities. Names of kinds, roles and streams are the desk's."""

from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from api.instants import iso
from desk.text import Word

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")

WEEKDAYS = {"zh": "一二三四五六日", "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")}

WORDS = {
    "page_title": Word("Plimsoll · 调度台", "Plimsoll · dispatcher's console"),
    "other_language": Word("English", "中文"),
    # the figures
    "online": Word("在线车辆", "trucks online"),
    "loaded": Word("重车", "loaded trucks"),
    "moving": Word("行驶中", "trucks moving"),
    "weighed": Word("今日过磅进场", "weighed in today"),
    "violations": Word("24 小时确定违规", "violations in 24 h"),
    "open_alerts": Word("待确认告警", "alerts to acknowledge"),
    # the map
    "map": Word("车辆与场地", "Trucks and sites"),
    "unplaced": Word("{count} 辆无定位", "{count} without a position"),
    "truck_loaded": Word("重车", "loaded"),
    "truck_empty": Word("空车", "empty"),
    "truck_unknown": Word("载重未知", "load unknown"),
    "truck_offline": Word("离线", "offline"),
    "truck_flagged": Word("有异常", "flagged"),
    "truck_standing": Word("圆点为停车", "a dot stands still"),
    "route": Word("规定路线", "prescribed route"),
    "unregistered": Word("未登记车辆", "not registered"),
    "load": Word("车载称重 {load}", "on-board {load}"),
    "seen": Word("最后上报 {time}", "last seen {time}"),
    "clock_behind": Word("设备时钟落后约 {behind}", "its clock is about {behind} behind"),
    # tonnes
    "tonnes": Word("今日吨位", "Tonnes today"),
    "tonnes_note": Word("{day} 作业日，暂计；各来源不相加", "operating day {day}, provisional; sources are never added"),
    "intake": Word("今日进场量与日处理能力（吨）", "Intake today against daily capacity (t)"),
    "intake_note": Word("每处只取一个来源：磅单优先，其次转运记录，再次车载", "one source each: ticket, else movement, else on-board"),
    "facility": Word("场所", "Facility"),
    "stream": Word("物料", "Stream"),
    "mass": Word("吨", "t"),
    "source": Word("来源", "Source"),
    "capacity": Word("日处理能力", "Capacity"),
    "share": Word("占处理能力", "Of capacity"),
    "by_ticket": Word("磅单", "ticket"),
    "by_movement": Word("转运记录", "movement"),
    "by_onboard": Word("车载", "on-board"),
    "no_tonnes": Word("今日尚无吨位", "No tonnes yet today"),
    # flags and alerts
    "flags": Word("最新异常", "Newest flags"),
    "flags_note": Word("近 24 小时；单击定位", "last 24 hours; click to see where"),
    "alerts": Word("告警", "Alerts"),
    "time": Word("时间", "Time"),
    "asset": Word("车辆／设备", "Asset"),
    "kind": Word("类型", "Kind"),
    "finding": Word("实测／限值", "Measured / limit"),
    "verdict": Word("判定", "Verdict"),
    "state": Word("状态", "State"),
    "no_flags": Word("近 24 小时无异常", "No flags in the last 24 hours"),
    "no_alerts": Word("没有告警", "No alerts"),
    "active": Word("持续", "active"),
    "cleared": Word("已结束", "cleared"),
    "withdrawn": Word("已撤回", "withdrawn"),
    # the pipeline
    "ok": Word("系统正常", "all well"),
    "degraded": Word("系统降级", "degraded"),
    "down": Word("系统故障", "down"),
    "part_ok": Word("正常", "ok"),
    "part_degraded": Word("降级", "degraded"),
    "part_down": Word("故障", "down"),
    "lag": Word("滞后 {lag} 秒", "{lag} s behind"),
}


class Words:
    """The texts of one language."""

    def __init__(self, language: Language) -> None:
        self.language: Language = language

    def __call__(self, key: str, **values: object) -> str:
        return self.of(WORDS[key]).format(**values)

    def of(self, word: Word) -> str:
        return word.zh if self.language == "zh" else word.en

    def clock(self, t_ms: int, zone: ZoneInfo) -> str:
        """Date, weekday and time of day."""
        local = datetime.fromisoformat(iso(t_ms, zone))
        weekday = WEEKDAYS[self.language][local.weekday()]
        day = f"{local:%Y-%m-%d} 周{weekday}" if self.language == "zh" else f"{weekday} {local:%Y-%m-%d}"
        return f"{day} {local:%H:%M:%S}"


def time_of_day(instant: str) -> str:
    """Hours, minutes and seconds of an answer's instant, which is in local time already."""
    return instant[11:19]


def quantity(value: float | None, unit: str | None) -> str:
    """A value as a person reads it: kilograms as tonnes, milliseconds as minutes."""
    if value is None:
        return "–"
    match unit:
        case "kg":
            return f"{value / 1000:,.1f} t"
        case "ms":
            return f"{value / 60_000:,.1f} min"
        case _:
            return f"{value:,.0f} {unit or ''}".rstrip()


def finding(value: float | None, limit: float | None, unit: str | None) -> str:
    """What was measured against what is allowed."""
    return "" if value is None else f"{quantity(value, unit)} / {quantity(limit, unit)}"
