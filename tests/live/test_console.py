"""The dispatcher's page in a real browser: what is on it, in both languages, and that it asks no other host for anything."""

import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright

from api.app import create_app
from api.deps import ApiSettings, Deps
from core.columns import OPEN_MS, Ints
from core.days import day_totals
from core.events import DayTotals, FlagKind, Flags, Latest, Severity
from core.readings import IN, TruckReadings
from desk.books import Alert, Books
from desk.file import DeskFile
from desk.registry import FolderRegistry, Registry
from simulators import wujin
from storage.assets import AssetKey
from storage.journal import Journal
from storage.results import Results
from storage.store import EmbeddedStore

pytestmark = [pytest.mark.live, pytest.mark.slow]

NOW_MS = 1_654_093_800_000  # 2022-06-01T22:30:00+08:00, when much muck moves
MINUTE_MS = 60_000
DOCS = Path(__file__).parents[2] / "docs"
CHROMIUM = "/usr/bin/chromium"
SWITCHES = (
    *("--no-sandbox", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


class Clock:
    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


@dataclass
class Console:
    """A served district that a test may change."""

    url: str
    journal: Journal
    results: Results
    latest: Latest
    flags: Flags
    clock: Clock


def fleet(registry: Registry, assets: Ints, random: np.random.Generator) -> Latest:
    """Every truck somewhere along a route: loaded on its way out, empty on its way back, some of them silent for an hour."""
    rows = len(assets)
    lines = [np.array(route.line) for route in registry.routes()]
    line = [lines[number] for number in random.integers(0, len(lines), rows)]
    leg = [int(random.integers(0, len(points) - 1)) for points in line]
    share, back = random.random(rows), random.random(rows) < 0.45
    start = np.array([points[number] for points, number in zip(line, leg, strict=True)])
    step = np.array([points[number + 1] - points[number] for points, number in zip(line, leg, strict=True)])
    lon_deg, lat_deg = (start + step * share[:, None]).T
    east, north = step[:, 0] * np.cos(np.radians(31.7)), step[:, 1]
    heading_deg = (np.degrees(np.arctan2(east, north)) + 180 * back) % 360
    moving = random.random(rows) < 0.7
    t_ms = NOW_MS - np.where(random.random(rows) < 0.08, 60 * MINUTE_MS, random.integers(1_000, 20_000, rows))
    return Latest.of(
        asset=assets,
        t_ms=t_ms,
        heard_ms=t_ms,
        late_ms=[0] * rows,
        steady_ms=t_ms,
        steady_late_ms=[0] * rows,
        fix_ms=[NOW_MS] * rows,
        lat_e7=np.rint(lat_deg * 1e7),
        lon_e7=np.rint(lon_deg * 1e7),
        speed_kmh=np.where(moving, random.uniform(20, 60, rows), 0.0),
        heading_deg=heading_deg,
        load_kg=np.where(back, 0.0, random.normal(15_500, 900, rows)),
        loaded=~back,
        moving=moving,
        site=[""] * rows,
    )


def reported(latest: Latest) -> TruckReadings:
    """One reading of each truck, which makes it known to the journal."""
    rows = len(latest)
    nothing = {name: [-1] * rows for name in ("load_state", "body_up", "cover_open")}
    same = {name: getattr(latest, name) for name in ("asset", "t_ms", "lat_e7", "lon_e7", "speed_kmh", "heading_deg", "load_kg")}
    return TruckReadings.of(seq=[0] * rows, received_ms=latest.t_ms, hist=[0] * rows, **same, **nothing)


def verdicts(latest: Latest, weighbridge: int) -> Flags:
    """Forty flags of the last three hours, five of them still active; one is about the weighbridge with the longest name."""
    trucks = latest.take(slice(0, 200, 5))
    rows, numbers = len(trucks), np.arange(len(trucks))
    kind = np.array([FlagKind.OVERLOAD_PAYLOAD, FlagKind.SPILLAGE, FlagKind.OVERLOAD_GROSS, FlagKind.GAP, FlagKind.GPS_JUMP])[numbers % 5]
    kind[5] = FlagKind.TICKET_OVERLOAD_GROSS
    figures = {
        FlagKind.OVERLOAD_PAYLOAD: (18_900.0, 16_200.0, 780.0),
        FlagKind.OVERLOAD_GROSS: (33_400.0, 31_000.0, 830.0),
        FlagKind.SPILLAGE: (900.0, 500.0, 60.0),
        FlagKind.GAP: (1_260_000.0, 600_000.0, 0.0),
        FlagKind.GPS_JUMP: (4_200.0, 150.0, 0.0),
        FlagKind.TICKET_OVERLOAD_GROSS: (32_600.0, 31_000.0, 20.0),
    }
    value, limit, u = np.array([figures[FlagKind(one)] for one in kind]).T
    start_ms = NOW_MS - numbers * 4 * MINUTE_MS - MINUTE_MS
    return Flags.of(
        asset=np.where(numbers == 5, weighbridge, trucks.asset),
        kind=kind,
        start_ms=start_ms,
        end_ms=np.where(numbers < 5, OPEN_MS, start_ms + MINUTE_MS),
        severity=np.where(kind >= FlagKind.GPS_JUMP, Severity.INFO, np.where(numbers % 2, Severity.CONDITIONAL, Severity.FAIL)),
        at_ms=start_ms,
        lat_e7=trucks.lat_e7,
        lon_e7=trucks.lon_e7,
        value=value,
        limit=limit,
        u=u,
        rows=[40] * rows,
        rules=["1"] * rows,
    )


def tonnes(registry: Registry) -> DayTotals:
    """What came in today: two streams at the landfill, one elsewhere, on-board estimates beside the landfill's tickets."""
    told = [("L01", "domestic", "ticket", 402_340), ("L01", "fly_ash", "ticket", 112_600), ("L01", "domestic", "onboard", 395_000)]
    told += [("I01", "domestic", "ticket", 1_120_400), ("T01", "domestic", "movement", 171_200), ("T02", "kitchen", "movement", 96_500)]
    disposal = [site.id for site in registry.sites() if site.role == "disposal"]
    told += [(site, "muck", "onboard", 1_300_000 - 70_000 * number) for number, site in enumerate(disposal)]
    site, stream, source, mass_kg = zip(*told, strict=True)
    return day_totals(
        site=np.array(site),
        t_ms=np.full(len(told), NOW_MS),
        stream=np.array(stream),
        direction=np.full(len(told), IN, dtype=np.int8),
        source=np.array(source),
        mass_kg=np.array(mass_kg),
        zone=registry.zone,
        cutoff_min=registry.cutoff_min,
    )


def alert(number: int, **columns: Any) -> Alert:
    told = {
        "id": f"0198-{number}",
        "kind": "overload_payload",
        "subject": "S001",
        "asset": 1,
        "flag_start_ms": None,
        "start_ms": NOW_MS - 9 * MINUTE_MS,
        "end_ms": None,
        "severity": Severity.FAIL,
        "at_ms": NOW_MS - 9 * MINUTE_MS,
        "lat_e7": None,
        "lon_e7": None,
        "value": 18_900.0,
        "threshold": 16_200.0,
        "u": 780.0,
        "rows": 40,
        "raised_ms": NOW_MS - number * MINUTE_MS,
        "changed_ms": NOW_MS,
    }
    return Alert(**{**told, **columns})


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    folder, clock, random = tmp_path_factory.mktemp("console"), Clock(), np.random.default_rng(2022)
    wujin.scenario().write_registry(folder / "registry")
    registry = FolderRegistry(folder / "registry")
    muck = [truck.id for truck in registry.trucks() if truck.type in {"smart", "tarpaulin", "other"}]
    file = DeskFile(folder / "desk.sqlite")
    books = Books(file)
    for entry in (alert(1), alert(2, kind="spillage", end_ms=NOW_MS), alert(3, kind="stalled", subject="derive", asset=0, value=None)):
        books.put(entry)
    with Journal.open(folder / "journal.sqlite", clock) as journal, EmbeddedStore(folder / "journal.sqlite") as store:
        assets = np.array([journal.asset(AssetKey(registry.district, "truck", name)) for name in muck])
        weighbridge = journal.asset(AssetKey(registry.district, "scale", max(registry.scales(), key=lambda scale: len(scale.name_en)).id))
        latest, results = fleet(registry, assets, random), Results(journal)
        journal.commit([reported(latest)])
        flags = verdicts(latest, weighbridge)
        results.replace(latest, None, NOW_MS)
        results.replace(flags, None, NOW_MS)
        results.replace(tonnes(registry), None, NOW_MS)
        for part in ("source", "journal", "derive"):
            journal.put_status(part, {"state": "ok", "lag_ms": 120})
        settings = ApiSettings(refresh_s=0.5, stale_ms=10**9)
        app = create_app(Deps(store=store, registry=registry, alerts=books, clock=clock, settings=settings))
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=2))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()
            while not server.started:
                time.sleep(0.02)
            yield Console(f"http://127.0.0.1:{listener.getsockname()[1]}", journal, results, latest, flags, clock)
            server.should_exit = True
            thread.join(20)
    file.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(SWITCHES))
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(15_000)
    yield page
    page.close()


def opened(page: Page, url: str) -> list[str]:
    """Open a page, wait for its trucks, and return every address that it asks for from then to the end."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    page.wait_for_function("document.querySelectorAll('.truck').length >= 300")
    return asked


def keep(page: Page, name: str) -> None:
    """Write the README's screenshot, when asked for."""
    if os.environ.get("PLIMSOLL_SCREENSHOTS"):
        page.wait_for_timeout(1_500)  # bars grow for a moment
        page.screenshot(path=DOCS / f"{name}.png")


LANGUAGES = {
    "zh": ("武进区", "夹山填埋场", "生活垃圾 · 进", "磅单", "超载", "确定", "English", "系统正常", "填埋场"),
    "en": ("Wujin", "Jiashan Landfill", "domestic waste · in", "ticket", "Over rated payload", "fail", "中文", "all well", "landfill"),
}
BOXES = """[...document.querySelectorAll('.top > *:not(.gap), .figure, .panel')].map((one) => one.getBoundingClientRect())
    .map((box) => [Math.ceil(box.left), Math.ceil(box.top), Math.floor(box.right), Math.floor(box.bottom)])"""
CUT_OFF = """[...document.querySelectorAll('.value, .title, .clock, .name, .chip')]
    .filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.textContent)"""

WIDE = """[...document.querySelectorAll('.q-table__middle')]
    .filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.textContent.slice(0, 40))"""


@pytest.mark.parametrize("language", LANGUAGES)
def test_trucks_tonnes_and_flags_are_on_the_page_in_both_languages(console: Console, page: Page, language: str) -> None:
    district, landfill, stream, source, kind, verdict, other, health, role = LANGUAGES[language]
    opened(page, f"{console.url}/{language}")
    expect(page.locator("html")).to_have_attribute("lang", {"zh": "zh-CN", "en": "en-US"}[language])
    expect(page.locator(".top")).to_contain_text(district)
    expect(page.locator(".top")).to_contain_text(health)
    expect(page.locator(".top")).to_contain_text("2022-06-01")
    expect(page.locator(".top a")).to_have_text(other)
    row = page.locator(".tonnes-panel tbody tr").first
    for text in (landfill, stream, "402.3", source, "57%"):
        expect(row).to_contain_text(text)
    newest = page.locator(".flags-panel tbody tr").first
    for text in ("22:29", kind, "18.9 t / 16.2 t", verdict):
        expect(newest).to_contain_text(text)
    expect(page.locator(".alerts-panel tbody tr")).to_have_count(3)
    expect(page.locator(".legend")).to_contain_text(role)
    expect(page.locator(".chart canvas")).to_have_count(1)
    keep(page, f"console-{language}")


def test_nothing_on_the_page_comes_from_another_host(console: Console, page: Page) -> None:
    asked = opened(page, console.url)
    page.mouse.move(400, 400)
    page.mouse.wheel(0, -400)
    page.wait_for_timeout(1_500)
    assert {urlsplit(url).netloc for url in asked if urlsplit(url).scheme not in {"data", "blob"}} == {urlsplit(console.url).netloc}


def test_the_language_is_switched_by_a_link(console: Console, page: Page) -> None:
    opened(page, console.url)
    page.get_by_role("link", name="English").click()
    expect(page).to_have_url(f"{console.url}/en")
    expect(page.locator(".flags-panel .title")).to_have_text("Newest flags")
    page.get_by_role("link", name="中文").click()
    expect(page.locator(".flags-panel .title")).to_have_text("最新异常")


def test_trucks_show_their_load_state_heading_and_silence(console: Console, page: Page) -> None:
    opened(page, console.url)
    silent = int((console.latest.t_ms < NOW_MS - 10 * MINUTE_MS).sum())
    expect(page.locator(".truck")).to_have_count(len(console.latest))
    expect(page.locator(".truck.offline")).to_have_count(silent)
    states = [page.locator(f".truck.{state}").count() for state in ("loaded", "empty", "offline")]
    assert sum(states) == len(console.latest)
    turned = page.locator(".truck.loaded g").first.get_attribute("transform") or ""
    assert re.fullmatch(r"rotate\([\d.]+\)", turned)


def test_a_truck_that_moves_moves_on_the_map_and_a_new_flag_comes_on_top(console: Console, page: Page) -> None:
    opened(page, console.url)
    transform = "document.querySelector('.truck.loaded:not(.flagged)').style.transform"
    moved, flag = console.latest.take(np.arange(len(console.latest))), console.flags.take([0])
    moved.lat_e7[:] += 200_000
    flag.start_ms[:], flag.value[:] = NOW_MS, 21_000.0
    before = page.evaluate(transform)
    console.results.replace(moved, None, NOW_MS)
    console.results.replace(Flags.concat([console.flags, flag]), None, NOW_MS)
    try:
        expect(page.locator(".flags-panel tbody tr").first).to_contain_text("21.0 t / 16.2 t")
        page.wait_for_function(f"before => {transform} !== before", arg=before)  # a refresh may fall between the two writes
    finally:
        console.results.replace(console.latest, None, NOW_MS)
        console.results.replace(console.flags, None, NOW_MS)


def test_a_clock_that_is_behind_is_on_the_trucks_card(console: Console, page: Page) -> None:
    opened(page, console.url)
    wrong = console.latest.take(np.arange(len(console.latest)))
    for name in ("late_ms", "steady_late_ms"):
        getattr(wrong, name)[:] = 480 * MINUTE_MS
    wrong.heard_ms[:], wrong.steady_ms[:], wrong.t_ms[:] = NOW_MS, NOW_MS - 60 * MINUTE_MS, NOW_MS - 480 * MINUTE_MS
    console.results.replace(wrong, None, NOW_MS)
    try:
        expect(page.locator(".truck.offline")).to_have_count(0)
        page.locator(".truck").first.dispatch_event("mouseover")
        expect(page.locator(".truck-card")).to_contain_text("设备时钟落后约 8 小时")
    finally:
        console.results.replace(console.latest, None, NOW_MS)


@pytest.mark.parametrize("size", [(1440, 900), (1024, 768)])
@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_overlaps_or_is_cut_off(console: Console, page: Page, size: tuple[int, int], language: str) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    opened(page, f"{console.url}/{language}")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    boxes = page.evaluate(BOXES)
    assert len(boxes) >= 16
    for number, (left, top, right, bottom) in enumerate(boxes):
        assert (left >= 0, top >= 0, right <= size[0], bottom <= size[1]) == (True, True, True, True)
        for other in boxes[number + 1 :]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
    assert page.evaluate(CUT_OFF) == []
    assert page.evaluate(WIDE) == []


def test_unknown_paths_are_refused_in_the_apis_one_shape(console: Console, page: Page) -> None:
    answer = page.request.get(f"{console.url}/nowhere")
    assert answer.status == 404
    assert answer.json()["error"]["where"] == "/nowhere"
    assert page.request.get(f"{console.url}/trucks").ok
