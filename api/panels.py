"""The page's tables: tonnes per facility, newest flags, newest alerts. Each shows what the board says, in the page's language."""

from collections.abc import Callable
from typing import Any

from nicegui import events, ui

from api.alerts import Alert
from api.board import Board
from api.facilities import Facility, FacilityDay, Total
from api.flags import Flag
from api.text import Words, finding, time_of_day
from desk.text import DIRECTIONS, KINDS, SEVERITY_LABELS, STAGES, STREAMS, Word, word

Row = dict[str, Any]
LookAt = Callable[[float, float], None]

RECEIVING = ("landfill", "incinerator", "transfer", "disposal")
"""Roles of the facilities on the page, the most watched first."""
DIRECTION_STATES = {"in": 0, "out": 1}
SEVERITIES = {severity.name.lower(): label for severity, label in SEVERITY_LABELS.items()}

SHARE_CELL = """<q-td :props="props"><div class="load" v-if="props.row.percent !== null">
  <span>{{ props.row.share }}</span>
  <div class="track"><div :class="'fill' + (props.row.percent > 100 ? ' over' : '')"
    :style="{ width: Math.min(props.row.percent, 100) + '%' }"></div></div></div></q-td>"""
CHIP_CELL = """<q-td :props="props"><span :class="'chip ' + props.row.tone">{{ props.value }}</span></q-td>"""


def receiving(board: Board) -> list[FacilityDay]:
    """The facilities that take tonnes in: those with tonnes first, then by role."""
    shown = [entry for entry in board.facilities if entry.facility.role in RECEIVING]
    return sorted(shown, key=lambda entry: (not entry.day.totals, RECEIVING.index(entry.facility.role)))


class Panel:
    """A titled box with a table that scrolls inside it."""

    def __init__(self, name: str, title: str, note: str, columns: list[Row], nothing: str) -> None:
        with ui.element("section").classes(f"panel {name}-panel"):
            with ui.element("div").classes("head"):
                ui.label(title).classes("title")
                self.note = ui.label(note).classes("note")
            self.table = ui.table(columns=columns, rows=[], row_key="key").props("flat dense")
            self.table.props["no-data-label"] = nothing

    def fill(self, rows: list[Row]) -> None:
        """Replace the rows, unless they say the same."""
        if rows != self.table.rows:
            self.table.rows = rows


def _column(name: str, label: str, align: str = "left", classes: str = "") -> Row:
    return {"name": name, "label": label, "field": name, "align": align, "classes": classes}


class TonnesPanel(Panel):
    """Today's tonnes per facility and stream, each with its source, against capacity."""

    def __init__(self, words: Words) -> None:
        self._words = words
        columns = [
            _column("facility", words("facility"), classes="clip"),
            _column("stream", words("stream")),
            _column("mass", words("mass"), "right"),
            _column("source", words("source")),
            _column("share", words("share"), "right"),
        ]
        super().__init__("tonnes", words("tonnes"), "", columns, words("no_tonnes"))
        self.table.add_slot("body-cell-share", SHARE_CELL)

    def show(self, board: Board) -> None:
        entries = receiving(board)
        if entries:
            self.note.text = self._words("tonnes_note", day=entries[0].day.day)
        self.fill([row for entry in entries for row in self._rows(entry)])

    def _rows(self, entry: FacilityDay) -> list[Row]:
        totals: list[Total | None] = [*entry.day.totals] or [None]
        rows = [self._row(entry.facility, total) for total in totals]
        rows[0]["facility"] = self._words.of(Word(entry.facility.name_zh, entry.facility.name_en))
        if entry.day.intake and entry.day.intake.share_of_capacity is not None:
            share = entry.day.intake.share_of_capacity
            rows[0] |= {"share": f"{share:.0%}", "percent": round(share * 100, 1)}
        return rows

    def _row(self, facility: Facility, total: Total | None) -> Row:
        row: Row = {"facility": "", "share": "", "percent": None, "stream": "", "mass": "–", "source": "", "key": facility.id}
        if total is not None:
            direction = self._words.of(DIRECTIONS[DIRECTION_STATES[total.direction]])
            row |= {
                "key": f"{facility.id}/{total.stream}/{total.direction}/{total.source}",
                "stream": f"{self._words.of(word(STREAMS, total.stream))} · {direction}",
                "mass": f"{total.mass_t:,.1f}",
                "source": self._words(f"by_{total.source}"),
            }
        return row


class FlagsPanel(Panel):
    """The newest verdicts; a click shows where."""

    def __init__(self, words: Words, look_at: LookAt) -> None:
        self._words, self._look_at = words, look_at
        columns = [
            _column("time", words("time")),
            _column("asset", words("asset"), classes="clip"),
            _column("kind", words("kind"), classes="clip"),
            _column("finding", words("finding"), "right"),
            _column("verdict", words("verdict")),
        ]
        super().__init__("flags", words("flags"), words("flags_note"), columns, words("no_flags"))
        self.table.add_slot("body-cell-verdict", CHIP_CELL)
        self.table.on("rowClick", self._clicked)

    def show(self, board: Board) -> None:
        self.fill([self._row(board, flag) for flag in board.flags])

    def _row(self, board: Board, flag: Flag) -> Row:
        return {
            "key": f"{flag.district}/{flag.asset_kind}/{flag.asset}/{flag.kind}/{flag.start_at}",
            "time": time_of_day(flag.start_at)[:5],
            "asset": self._words.of(board.names.get((flag.asset_kind, flag.asset), Word(flag.asset, flag.asset))),
            "kind": self._words.of(word(KINDS, flag.kind)),
            "finding": finding(flag.value, flag.limit, flag.unit),
            "verdict": self._words.of(SEVERITIES[flag.severity]),
            "tone": flag.severity,
            "lat_deg": flag.position.lat_deg if flag.position else None,
            "lon_deg": flag.position.lon_deg if flag.position else None,
        }

    def _clicked(self, event: events.GenericEventArguments) -> None:
        row = event.args[1]
        if row["lat_deg"] is not None:
            self._look_at(row["lat_deg"], row["lon_deg"])


class AlertsPanel(Panel):
    """The newest alerts: flags that a person must handle, and the program's own troubles."""

    def __init__(self, words: Words) -> None:
        self._words = words
        columns = [
            _column("time", words("time")),
            _column("asset", words("asset"), classes="clip"),
            _column("kind", words("kind"), classes="clip"),
            _column("value", words("finding"), "right"),
            _column("state", words("state")),
        ]
        super().__init__("alerts", words("alerts"), "", columns, words("no_alerts"))
        self.table.add_slot("body-cell-state", CHIP_CELL)

    def show(self, board: Board) -> None:
        self.fill([self._row(board, alert) for alert in board.alerts])

    def _row(self, board: Board, alert: Alert) -> Row:
        state = "withdrawn" if alert.withdrawn_at else "active" if alert.active else "cleared"
        return {
            "key": alert.id,
            "time": time_of_day(alert.raised_at)[:5],
            "asset": self._words.of(board.names.get((alert.asset_kind, alert.subject), word(STAGES, alert.subject))),
            "kind": self._words.of(word(KINDS, alert.kind)),
            "value": finding(alert.value, alert.limit, alert.unit),
            "state": self._words(state),
            "tone": "fail" if state == "active" else "info",
        }
