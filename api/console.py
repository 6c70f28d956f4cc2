"""The dispatcher's page, in Chinese and English, on NiceGUI. It shows what the resources answer and decides nothing itself.

``/`` is in the settings' language, ``/zh`` and ``/en`` in theirs. Scripts, styles and fonts come from this package and NiceGUI's:
the page asks no other host for anything, except for map tiles when the settings name a server.
"""

import logging
from pathlib import Path

import nicegui
from fastapi import FastAPI, Request
from nicegui import ui
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from api.board import Board, read_board
from api.chart import IntakePanel
from api.deps import Deps
from api.errors import no_such_path
from api.figures import Figures, Header
from api.fleet_map import STATIC, FleetMap
from api.panels import AlertsPanel, FlagsPanel, TonnesPanel
from api.shared import Shared
from api.text import LANGUAGES, Language, Words

log = logging.getLogger(__name__)

LOCALES: dict[Language, nicegui.language.Language] = {"zh": "zh-CN", "en": "en-US"}


class Page:
    """One browser's view of the district."""

    def __init__(self, deps: Deps, board: Shared[Board], language: Language) -> None:
        words = Words(language)
        self._board = board
        ui.add_head_html(f'<link rel="stylesheet" href="{STATIC}/console.css">')
        self._header = Header(deps, words)
        self._figures = Figures(words)
        with ui.element("main").classes("body"):
            with ui.element("div").classes("side"):
                self._map = FleetMap(deps, words)
                self._intake = IntakePanel(words)
            with ui.element("div").classes("side"):
                self._tonnes = TonnesPanel(words)
                self._flags = FlagsPanel(words, self._map.look_at)
                self._alerts = AlertsPanel(words)

    async def live(self, every_s: float) -> None:
        """Draw the ground once the browser is there, then keep everything on it up to date."""
        await ui.context.client.connected()
        await self._map.draw()
        ui.timer(every_s, self._refresh)

    async def _refresh(self) -> None:
        try:
            board = await self._board.get()
        except Exception:  # whatever ails the store: the page keeps what it last knew, says so, and asks again
            log.exception("the console cannot read the store; its pages show the last that they knew")
            self._header.show_trouble()
            return
        for part in (self._header, self._figures, self._map, self._intake, self._tonnes, self._flags, self._alerts):
            part.show(board)


def mount(app: FastAPI, deps: Deps) -> None:
    """Serve the console on an application. NiceGUI is one per process, so only one application can carry it."""
    board = Shared(lambda: read_board(deps), deps.settings.refresh_s / 2)
    languages: dict[str, Language] = {"/": deps.settings.language, **{f"/{language}": language for language in LANGUAGES}}
    for path, language in languages.items():
        _page(path, language, deps, board)
    app.mount(STATIC, StaticFiles(directory=Path(__file__).parent / "static"))
    nicegui.app.add_exception_handler(404, _not_found)
    ui.run_with(app, title="Plimsoll", favicon=Path(__file__).parent / "static" / "plimsoll.svg", show_welcome_message=False)


def _page(path: str, language: Language, deps: Deps, board: Shared[Board]) -> None:
    @ui.page(path, title=Words(language)("page_title"), language=LOCALES[language])
    async def page() -> None:
        await Page(deps, board, language).live(deps.settings.refresh_s)


async def _not_found(request: Request, _: Exception) -> Response:
    """NiceGUI answers every path that no resource has: in the API's one shape for errors."""
    return no_such_path(request.url.path)
