"""The bar chart: what came in today, stream by stream, against what each facility can take in a day."""

from typing import Any

from nicegui import ui

from api.board import Board
from api.facilities import FacilityDay
from api.panels import receiving
from api.text import Words
from desk.text import STREAMS

COLOURS = {
    "muck": "#b58b4b",
    "construction": "#8797a0",
    "domestic": "#3e8a78",
    "kitchen": "#93b04a",
    "bulky": "#7d73b5",
    "hazardous": "#b3261e",
    "fly_ash": "#5f6f86",
}
FONTS = "Noto Sans CJK SC, Source Han Sans SC, PingFang SC, Microsoft YaHei, sans-serif"
INK, QUIET, LINE = "#1d2b30", "#5e6f74", "#dbe3e1"


class IntakePanel:
    """One bar per facility; a tick marks its capacity."""

    def __init__(self, words: Words) -> None:
        self._words = words
        with ui.element("section").classes("panel chart-panel"):
            with ui.element("div").classes("head"):
                ui.label(words("intake")).classes("title")
                ui.label(words("intake_note")).classes("note")
            self._chart = ui.echart(_frame()).classes("chart")

    def show(self, board: Board) -> None:
        """Bring the bars up to date, if they changed."""
        entries = [entry for entry in receiving(board) if entry.day.intake or entry.facility.capacity_t_per_day]
        options = self._chart.options
        names = [entry.facility.name_zh if self._words.language == "zh" else entry.facility.name_en for entry in entries]
        series = [*self._bars(entries), self._capacity(entries)]
        if options["series"] != series or options["xAxis"]["data"] != names:
            options["xAxis"]["data"] = names
            options["series"] = series
            self._chart.update()

    def _bars(self, entries: list[FacilityDay]) -> list[dict[str, Any]]:
        present = {total.stream for entry in entries for total in entry.day.totals}
        return [
            {
                "name": self._words.of(name),
                "type": "bar",
                "stack": "intake",
                "barMaxWidth": 26,
                "itemStyle": {"color": COLOURS[stream]},
                "data": [_mass_t(entry, stream) for entry in entries],
            }
            for stream, name in STREAMS.items()
            if stream in present
        ]

    def _capacity(self, entries: list[FacilityDay]) -> dict[str, Any]:
        return {
            "name": self._words("capacity"),
            "type": "scatter",
            "symbol": "rect",
            "symbolSize": [30, 3],
            "itemStyle": {"color": INK},
            "data": [entry.facility.capacity_t_per_day for entry in entries],
            "z": 5,
        }


def _mass_t(entry: FacilityDay, stream: str) -> float:
    """What came in of a stream by the source that speaks for the day."""
    source = entry.day.intake.source if entry.day.intake else ""
    masses = [total.mass_t for total in entry.day.totals if (total.stream, total.direction, total.source) == (stream, "in", source)]
    return round(sum(masses), 1)


def _frame() -> dict[str, Any]:
    """The chart without its data."""
    return {
        "animationDuration": 300,
        "textStyle": {"fontFamily": FONTS, "color": INK},
        "grid": {"left": 48, "right": 14, "top": 30, "bottom": 46},
        "legend": {"top": 0, "right": 10, "itemWidth": 14, "itemHeight": 10, "textStyle": {"color": QUIET, "fontSize": 12}},
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}},
        "xAxis": {
            "type": "category",
            "data": [],
            "axisTick": {"show": False},
            "axisLine": {"lineStyle": {"color": LINE}},
            "axisLabel": {"interval": 0, "rotate": 28, "width": 92, "overflow": "truncate", "fontSize": 11, "color": QUIET},
        },
        "yAxis": {"type": "value", "splitNumber": 3, "splitLine": {"lineStyle": {"color": LINE}}, "axisLabel": {"color": QUIET}},
        "series": [],
    }
