"""The page's head: whose district, what time, how the pipeline does, and six figures to be read across the room."""

from nicegui import ui

from api.board import Board
from api.deps import Deps
from api.health import Health, Part, State
from api.text import Words
from desk.text import STAGES, Word, word

# The load line: a circle with a bar through it, as on a hull.
MARK = """<svg class="mark" viewBox="0 0 32 32" fill="none" stroke="#f2f7f6" stroke-width="3">
<circle cx="16" cy="16" r="9.5"/><path d="M1.5 16h29"/></svg>"""


class Header:
    """Name, district, clock, health and the other language."""

    def __init__(self, deps: Deps, words: Words) -> None:
        self._zone, self._words = deps.zone, words
        district = words.of(Word(deps.registry.name_zh, deps.registry.name_en))
        other = "en" if words.language == "zh" else "zh"
        with ui.element("header").classes("top"):
            ui.html(MARK, sanitize=False)
            ui.label("Plimsoll").classes("name")
            ui.label(district).classes("district")
            ui.element("div").classes("gap")
            with ui.element("div").classes("health") as self._health:
                ui.element("span").classes("dot")
                self._state = ui.label()
                with ui.tooltip().classes("parts"):
                    self._parts = ui.label().style("white-space: pre-line; font-size: 14px")
            self._clock = ui.label().classes("clock")
            ui.link(words("other_language"), f"/{other}").props(f"lang={other}")

    def show(self, board: Board) -> None:
        self._clock.text = self._words.clock(board.now_ms, self._zone)
        self._show_health(board.health)

    def show_trouble(self) -> None:
        """The store cannot be read."""
        self._set_state(State.DOWN)

    def _show_health(self, health: Health) -> None:
        self._set_state(health.state)
        self._parts.text = "\n".join(self._line(part) for part in health.parts)

    def _set_state(self, state: State) -> None:
        self._health.classes(replace=f"health {state}")
        self._state.text = self._words(state)

    def _line(self, part: Part) -> str:
        name, state = self._words.of(word(STAGES, part.name)), self._words(f"part_{part.state}")
        lag = "" if part.lag_s is None else self._words("lag", lag=f"{part.lag_s:.1f}")
        return " · ".join(text for text in (name, state, lag) if text)


class Figures:
    """Six figures."""

    def __init__(self, words: Words) -> None:
        with ui.element("div").classes("figures"):
            self._online, self._all = self._figure(words("online"), "online")
            self._loaded, _ = self._figure(words("loaded"), "loaded")
            self._moving, _ = self._figure(words("moving"), "moving")
            self._weighed, unit = self._figure(words("weighed"), "weighed")
            self._violations, _ = self._figure(words("violations"), "violations")
            self._alerts, _ = self._figure(words("open_alerts"), "alerts")
        unit.text = "t"

    @staticmethod
    def _figure(what: str, name: str) -> tuple[ui.label, ui.label]:
        with ui.element("div").classes(f"figure {name}"):
            with ui.element("div").classes("line"):
                value, of = ui.label("–").classes("value"), ui.label().classes("of")
            ui.label(what).classes("what")
        return value, of

    def show(self, board: Board) -> None:
        online = [truck.latest for truck in board.trucks if truck.latest and not truck.offline]
        intakes = [entry.day.intake for entry in board.facilities if entry.day.intake]
        self._online.text, self._all.text = f"{len(online)}", f"/ {len(board.trucks)}"
        self._loaded.text = f"{sum(latest.loaded is True for latest in online)}"
        self._moving.text = f"{sum(latest.moving is True for latest in online)}"
        self._weighed.text = f"{sum(intake.mass_t for intake in intakes if intake.source == 'ticket'):,.0f}"
        self._violations.text = f"{board.violations}"
        self._alerts.text = f"{board.open_alerts}"
