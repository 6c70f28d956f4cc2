"""What a message says: Chinese first, then English, then the alert's id. The words are fixed when the message is posted."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from core.events import Severity
from desk.books import Alert
from desk.registry import Registry, trucks_at
from desk.text import KINDS, SEVERITIES, STAGES, Word, duration, word

_ON_BOARD = Word("依据：车载称重，只是嫌疑，不作证据。", "Basis: the on-board sensor; a suspicion, not evidence.")
_TICKET = Word("依据：地磅磅单。", "Basis: a weighbridge ticket.")
_BASES = {
    "overload_payload": _ON_BOARD,
    "overload_gross": _ON_BOARD,
    "spillage": _ON_BOARD,
    "ticket_overload_gross": _TICKET,
    "ticket_mismatch": _TICKET,
}
_UNITS = {"gps_jump": "m", "gap": "ms"}
_MEASURED = {"spillage": Word("减少", "Lost")}


class Text(NamedTuple):
    """A message's title and body."""

    title: str
    body: str


class Wording:
    """Composes messages with the registry's names and the district's time."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._zone = ZoneInfo(registry.zone)

    def raised(self, alert: Alert) -> Text:
        return self._about(alert, Word("", ""), self._evidence(alert))

    def escalated(self, alert: Alert) -> Text:
        return self._about(alert, Word("升级：", "Escalated: "), self._evidence(alert))

    def withdrawn(self, alert: Alert) -> Text:
        why = Word(
            "更正：收到补传数据后重新计算，该判定不再成立，告警撤回。原判定如下。",
            "Correction: computed again with late data, this verdict no longer holds and the alert is withdrawn. It had said:",
        )
        evidence = self._evidence(alert)
        return self._about(alert, Word("撤回：", "Withdrawn: "), Word(f"{why.zh}\n{evidence.zh}", f"{why.en}\n{evidence.en}"))

    def digest(self, digest_id: str, alerts: Sequence[Alert]) -> Text:
        """What entered the books silently, because it came too late to ring."""
        kinds = Counter(alert.kind for alert in alerts).most_common()
        since, until = self._time(min(alert.start_ms for alert in alerts)), self._time(max(alert.end_ms or 0 for alert in alerts))
        zh = "，".join(f"{word(KINDS, kind).zh} {count}" for kind, count in kinds)
        en = ", ".join(f"{word(KINDS, kind).en} {count}" for kind, count in kinds)
        return _text(
            Word(f"补传汇总：{len(alerts)} 条", f"Late data: {len(alerts)} entered"),
            Word(
                f"补传数据中有 {len(alerts)} 条已过时的判定，未逐条通知，已入账：{zh}。\n时间范围 {since} 至 {until}。",
                f"{len(alerts)} verdicts came too late to ring and stand in the books: {en}.\nFrom {since} to {until}.",
            ),
            digest_id,
        )

    def own_raised(self, alert: Alert) -> Text:
        return _text(self._own_title(alert), _own_state(alert), alert.id)

    def own_cleared(self, alert: Alert) -> Text:
        title = self._own_title(alert)
        until = self._time(alert.end_ms or alert.changed_ms)
        return _text(
            Word(f"恢复：{title.zh}", f"Cleared: {title.en}"), Word(f"{until} 已恢复正常。", f"Back to normal at {until}."), alert.id
        )

    def _about(self, alert: Alert, prefix: Word, body: Word) -> Text:
        kind, name = word(KINDS, alert.kind), self._name(alert)
        return _text(Word(f"{prefix.zh}{kind.zh} {name.zh}", f"{prefix.en}{kind.en} {name.en}"), body, alert.id)

    def _own_title(self, alert: Alert) -> Word:
        kind, subject = word(KINDS, alert.kind), self._name(alert) if alert.asset else word(STAGES, alert.subject)
        return Word(f"{kind.zh} {subject.zh}".rstrip(), f"{kind.en} {subject.en}".rstrip())

    def _name(self, alert: Alert) -> Word:
        """The truck's plate with its id, or the scale's name with its id; the id alone where the bureau does not know it."""
        if _BASES.get(alert.kind) is _TICKET:
            names = {scale.id: Word(scale.name_zh, scale.name_en) for scale in self._registry.scales()}
        else:
            names = {name: Word(truck.plate, truck.plate) for name, truck in trucks_at(self._registry, alert.at_ms).items()}
        if alert.subject not in names:
            return Word(f"{alert.subject}（未登记）", f"{alert.subject} (not registered)")
        name = names[alert.subject]
        return Word(f"{name.zh}（{alert.subject}）", f"{name.en} ({alert.subject})")

    def _evidence(self, alert: Alert) -> Word:
        time = self._time(alert.at_ms)
        severity, basis = SEVERITIES[Severity(alert.severity)], _BASES.get(alert.kind, Word("", ""))
        lines = [Word(f"时间 {time}", f"Time {time}"), *_place(alert), *_measured(alert)]
        lines.append(Word(f"判定：{severity.zh}。{basis.zh}", f"Verdict: {severity.en}. {basis.en}".rstrip()))
        return Word("\n".join(line.zh for line in lines), "\n".join(line.en for line in lines))

    def _time(self, t_ms: int) -> str:
        return datetime.fromtimestamp(t_ms // 1000, self._zone).isoformat(sep=" ")


def _text(title: Word, body: Word, alert_id: str) -> Text:
    return Text(f"{title.zh} | {title.en}", f"{body.zh}\n\n{body.en}\n\n告警编号 Alert id: {alert_id}")


def _place(alert: Alert) -> list[Word]:
    if alert.lat_e7 is None or alert.lon_e7 is None:
        return []
    place = f"{alert.lat_e7 / 1e7:.5f}, {alert.lon_e7 / 1e7:.5f} (WGS-84)"
    return [Word(f"位置 {place}", f"Place {place}")]


def _measured(alert: Alert) -> list[Word]:
    if alert.value is None:
        return []
    unit, label = _UNITS.get(alert.kind, "kg"), _MEASURED.get(alert.kind, Word("测得", "Measured"))
    zh, en = f"{label.zh} {alert.value:,.0f} {unit}", f"{label.en} {alert.value:,.0f} {unit}"
    if alert.threshold is not None:
        zh, en = f"{zh}，限值 {alert.threshold:,.0f} {unit}", f"{en}, limit {alert.threshold:,.0f} {unit}"
    if alert.u is not None:
        zh, en = f"{zh}，标准不确定度 {alert.u:,.0f} {unit}", f"{en}, standard uncertainty {alert.u:,.0f} {unit}"
    return [Word(zh, en)]


def _own_state(alert: Alert) -> Word:
    seconds, subject = round((alert.value or 0) / 1000), word(STAGES, alert.subject)
    if alert.kind == "no_readings":
        return Word(f"已有 {seconds} 秒没有收到任何设备的数据。", f"No reading of any asset for {seconds} s.")
    if alert.kind == "stalled":
        return Word(f"环节“{subject.zh}”已 {seconds} 秒没有进展。", f"The stage {subject.en!r} has not moved for {seconds} s.")
    if alert.kind == "clock_behind":
        behind = duration(alert.value or 0)
        return Word(
            f"设备时钟落后约 {behind.zh}：读数即时到达，时间却总是这么早，该车的其他告警因此多半不会响铃。请校准设备时钟。",
            f"The device's clock is about {behind.en} behind: readings come at once and yet are always this old, "
            "so that hardly any other alert of this truck rings. Set its clock.",
        )
    return Word(f"渠道“{subject.zh}”连续发送失败。", f"The channel {subject.en!r} keeps failing.")
