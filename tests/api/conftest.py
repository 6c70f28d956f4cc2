"""A district with a journal, results and a desk, on disk, as the collector would have left them at noon of 1 June 2022."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from api.app import create_app
from api.deps import ApiSettings, Deps
from core.columns import MISSING, OPEN_MS
from core.days import day_totals
from core.events import Cycles, FlagKind, Flags, Latest, Severity, Sign, Tickets
from core.readings import IN, TruckReadings
from desk.books import Books
from desk.file import DeskFile
from desk.registry import FolderRegistry
from storage.assets import AssetKey
from storage.journal import DeadLetter, Journal
from storage.results import Results
from storage.store import EmbeddedStore

NOW_MS = 1_654_056_000_000  # 2022-06-01T12:00:00+08:00
MINUTE_MS = 60_000
DISTRICT = "wujin"


def _square(lon_deg: float, lat_deg: float) -> list[list[float]]:
    half = 0.004
    corners = ((-half, -half), (half, -half), (half, half), (-half, half), (-half, -half))
    return [[lon_deg + east, lat_deg + north] for east, north in corners]


SITES = [
    ("C01", "construction", "延政路工地", "Yanzheng Road site", None, (119.95, 31.70)),
    ("D01", "disposal", "礼嘉消纳场", "Lijia disposal site", 900, (120.00, 31.66)),
    ("L01", "landfill", "夹山填埋场", "Jiashan landfill", 800, (119.88, 31.64)),
    ("X01", "transfer", "马杭转运站", "Mahang transfer station", None, (119.98, 31.73)),
    ("F01", "forbidden", "禁行区", "Closed area", None, (119.92, 31.75)),
]


def _write_registry(folder: Path) -> FolderRegistry:
    folder.mkdir()
    (folder / "registry.toml").write_text(
        f'district = "{DISTRICT}"\nname_zh = "武进区"\nname_en = "Wujin"\nzone = "Asia/Shanghai"\ncutoff = "00:00"\ndatum = "WGS-84"\n',
        encoding="utf-8",
    )
    features = [
        {
            "type": "Feature",
            "properties": {"id": name, "role": role, "name_zh": zh, "name_en": en, "capacity_t_per_day": capacity},
            "geometry": {"type": "Polygon", "coordinates": [_square(*centre)]},
        }
        for name, role, zh, en, capacity, centre in SITES
    ]
    route = {
        "type": "Feature",
        "properties": {"id": "R01", "from_site": "C01", "to_site": "D01", "width_m": 100},
        "geometry": {"type": "LineString", "coordinates": [[119.95, 31.70], [120.00, 31.66]]},
    }
    for name, content in (("sites", features), ("routes", [route])):
        collection = {"type": "FeatureCollection", "datum": "WGS-84", "features": content}
        (folder / f"{name}.geojson").write_text(json.dumps(collection, ensure_ascii=False), encoding="utf-8")
    (folder / "trucks.csv").write_text(
        "id,plate,type,axles,rated_kg,tare_kg,gross_limit_kg,company_zh,company_en,from,terminal\n"
        "T1,苏D10001,smart,4,16500,13500,31000,武进渣运,Wujin Muck,,yes\n"
        "渣2,苏D20002,tarpaulin,4,16000,14500,31000,武进渣运,Wujin Muck,,\n"
        "T9,苏D90009,other,,,,,,,,\n"
        "G1,苏D70007,collection,3,11500,13500,25000,,,,no\n",
        encoding="utf-8",
    )
    (folder / "scales.csv").write_text("id,site,name_zh,name_en,interval_kg\nS1,L01,一号磅,Scale 1,20\n", encoding="utf-8")
    (folder / "stations.csv").write_text("id,site,name_zh,name_en,capacity_t_per_day\nM1,X01,马杭,Mahang,200\n", encoding="utf-8")
    return FolderRegistry(folder)


@dataclass
class Clock:
    now_ms: int = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


class InProcess(httpx.BaseTransport):
    """Calls an application in this process. (Starlette's own test client warns about the httpx that it asks for.)"""

    def __init__(self, app: FastAPI) -> None:
        self._inner = httpx.ASGITransport(app, raise_app_exceptions=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return asyncio.run(self._call(request))

    async def _call(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        return httpx.Response(response.status_code, headers=response.headers, content=await response.aread())


@dataclass
class World:
    """Everything behind an application, open for writing."""

    journal: Journal
    results: Results
    store: EmbeddedStore
    deps: Deps
    clock: Clock
    desk: Books
    number: dict[str, int]

    def client(self, **settings: object) -> httpx.Client:
        changed = replace(self.deps.settings, **settings)  # type: ignore[arg-type] # the settings' own types check it
        return httpx.Client(transport=InProcess(create_app(replace(self.deps, settings=changed))), base_url="http://plimsoll")


def readings(asset: int, t_ms: list[int], **columns: object) -> TruckReadings:
    """Readings of one truck on a straight line, with what else is said of them."""
    rows = len(t_ms)
    told = {
        "asset": [asset] * rows,
        "t_ms": t_ms,
        "seq": [0] * rows,
        "received_ms": [t + 200 for t in t_ms],
        "hist": [0] * rows,
        "lat_e7": [317_000_000 + 1_000 * row for row in range(rows)],
        "lon_e7": [1_199_500_000] * rows,
        "speed_kmh": [36.0] * rows,
        "heading_deg": [90.0] * rows,
        "load_kg": [np.nan] * rows,
        "load_state": [-1] * rows,
        "body_up": [-1] * rows,
        "cover_open": [-1] * rows,
    }
    return TruckReadings.of(**{**told, **columns})  # type: ignore[arg-type] # array-likes all


def flag(asset: int, kind: FlagKind, start_ms: int, **columns: object) -> Flags:
    told = {
        "asset": asset,
        "kind": kind,
        "start_ms": start_ms,
        "end_ms": start_ms + MINUTE_MS,
        "severity": Severity.FAIL,
        "at_ms": start_ms,
        "lat_e7": 317_000_000,
        "lon_e7": 1_199_500_000,
        "value": 18_900.0,
        "limit": 16_500.0,
        "u": 780.0,
        "rows": 40,
        "rules": "1",
    }
    return Flags.of(**{name: [value] for name, value in {**told, **columns}.items()})


def _latest(number: dict[str, int]) -> Latest:
    return Latest.of(
        asset=[number["T1"], number["渣2"], number["stranger"]],
        t_ms=[NOW_MS - 5_000, NOW_MS - 20 * MINUTE_MS, NOW_MS - 1_000],
        heard_ms=[NOW_MS - 4_800, NOW_MS - 20 * MINUTE_MS + 200, NOW_MS - 800],
        late_ms=[200] * 3,
        steady_ms=[NOW_MS - 300_000] * 3,
        steady_late_ms=[200] * 3,
        fix_ms=[NOW_MS - 5_000, NOW_MS - 21 * MINUTE_MS, -1],
        lat_e7=[317_000_000, 316_600_000, MISSING],
        lon_e7=[1_199_500_000, 1_200_000_000, MISSING],
        speed_kmh=[36.0, 0.0, np.nan],
        heading_deg=[90.0, np.nan, np.nan],
        load_kg=[16_000.0, 0.0, np.nan],
        loaded=[1, 0, -1],
        moving=[1, 0, -1],
        site=["", "D01", ""],
    )


def _cycles(number: dict[str, int]) -> Cycles:
    hour_ms = 60 * MINUTE_MS
    return Cycles.of(
        asset=[number["T1"], number["T1"], number["渣2"]],
        start_ms=[NOW_MS - 3 * hour_ms, NOW_MS - 20 * MINUTE_MS, NOW_MS - 2 * hour_ms],
        depart_ms=[NOW_MS - 3 * hour_ms + 5 * MINUTE_MS, OPEN_MS, NOW_MS - 2 * hour_ms + MINUTE_MS],
        arrive_ms=[NOW_MS - 2 * hour_ms, OPEN_MS, NOW_MS - hour_ms],
        end_ms=[NOW_MS - 2 * hour_ms + MINUTE_MS, OPEN_MS, NOW_MS - hour_ms + MINUTE_MS],
        load_site=["C01", "C01", ""],
        dump_site=["D01", "", "D01"],
        payload_kg=[18_900.0, np.nan, 15_200.0],
        payload_u_kg=[780.0, np.nan, 700.0],
        plateau_rows=[300, 0, 200],
        haul_m=[9_300, 0, 8_000],
        load_signs=[Sign.LOAD | Sign.SITE, Sign.LOAD, Sign.LOAD],
        dump_signs=[Sign.LOAD | Sign.LIFT | Sign.SITE, 0, Sign.GAP],
        rules=["1", "1", "1"],
    )


def _tickets(scale: int) -> Tickets:
    return Tickets.of(
        asset=[scale, scale],
        start_ms=[NOW_MS - 50 * MINUTE_MS, NOW_MS - 40 * MINUTE_MS],
        end_ms=[NOW_MS - 45 * MINUTE_MS, NOW_MS - 40 * MINUTE_MS],
        number=["A-1", "A-2"],
        plate=["苏D10001", "苏D55555"],
        gross_kg=[30_020, 18_000],
        tare_kg=[13_480, 9_000],
        net_kg=[16_540, 9_000],
        stream=["domestic", "fly_ash"],
        direction=[IN, IN],
        paired=[True, False],
    )


def _fill(journal: Journal, results: Results, number: dict[str, int]) -> None:
    track = readings(number["T1"], [NOW_MS - 5_000 - 10_000 * row for row in range(30)][::-1], load_kg=[16_000.0] * 30)
    letter = DeadLetter(NOW_MS, "plimsoll/v1/x", "not_json", "empty", b"", 0, "")
    commit = journal.commit([track, track], [letter], [readings(number["T1"], [NOW_MS + 10 * MINUTE_MS])])
    everyone = dict.fromkeys(number.values(), -1)
    totals = day_totals(
        site=np.array(["L01", "L01", "L01", "D01"]),
        t_ms=np.array([NOW_MS, NOW_MS, NOW_MS, NOW_MS - 86_400_000]),
        stream=np.array(["domestic", "fly_ash", "domestic", "muck"]),
        direction=np.array([IN] * 4, dtype=np.int8),
        source=np.array(["ticket", "ticket", "onboard", "onboard"]),
        mass_kg=np.array([300_540, 100_000, 290_000, 45_000]),
        zone="Asia/Shanghai",
        cutoff_min=0,
    )
    flags = Flags.concat(
        [
            flag(number["T1"], FlagKind.OVERLOAD_PAYLOAD, NOW_MS - 150 * MINUTE_MS),
            flag(number["T1"], FlagKind.GAP, NOW_MS - 90 * MINUTE_MS, severity=Severity.INFO, value=1_200_000.0, limit=600_000.0, u=0.0),
            flag(
                number["渣2"],
                FlagKind.SPILLAGE,
                NOW_MS - 9 * MINUTE_MS,
                severity=Severity.CONDITIONAL,
                end_ms=OPEN_MS,
                value=900.0,
                limit=500.0,
            ),
        ]
    )
    with results.transaction(commit):
        results.replace(_latest(number), everyone, NOW_MS)
        results.replace(_cycles(number), everyone, NOW_MS)
        results.replace(_tickets(number["S1"]), everyone, NOW_MS)
        results.replace(flags, None, NOW_MS)
        results.replace(totals, None, NOW_MS)
    for part, state in (("source", {"state": "ok", "lag_ms": 40}), ("journal", {"state": "ok", "lag_ms": 120, "commit": commit})):
        journal.put_status(part, state)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    clock = Clock()
    registry = _write_registry(tmp_path / "registry")
    with Journal.open(tmp_path / "journal.sqlite", clock) as journal, EmbeddedStore(tmp_path / "journal.sqlite") as store:
        number = {name: journal.asset(AssetKey(DISTRICT, "truck", name)) for name in ("T1", "渣2", "stranger")}
        number["S1"] = journal.asset(AssetKey(DISTRICT, "scale", "S1"))
        number["far"] = journal.asset(AssetKey("liyang", "truck", "T1"))
        results = Results(journal)
        _fill(journal, results, number)
        file = DeskFile(tmp_path / "desk.sqlite")
        desk = Books(file)
        settings = ApiSettings(console=False, live_interval_s=0.05, heartbeat_s=0.2)
        deps = Deps(store=store, registry=registry, alerts=desk, clock=clock, settings=settings)
        yield World(journal, results, store, deps, clock, desk, number)
        file.close()


@pytest.fixture
def client(world: World) -> httpx.Client:
    return world.client()
