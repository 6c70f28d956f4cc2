"""A small district that is in order, to be loaded whole or spoilt in one place, and a desk with a clock and flags to move."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from core.columns import OPEN_MS
from core.events import FlagKind, Flags, Latest, Severity
from core.lateness import STEP_MS
from desk.alerts import Alert, AlertDesk, AlertRules
from desk.registry import FolderRegistry
from storage.assets import AssetKey
from storage.store import Stored

SQUARE = [[119.90, 31.70], [119.91, 31.70], [119.91, 31.71], [119.90, 31.71], [119.90, 31.70]]
HOLE = [[119.904, 31.704], [119.906, 31.704], [119.906, 31.706], [119.904, 31.704]]
FAR_SQUARE = [[120.00, 31.70], [120.01, 31.70], [120.01, 31.71], [120.00, 31.71], [120.00, 31.70]]


def _feature(kind: str, coordinates: object, **properties: object) -> dict[str, object]:
    return {"type": "Feature", "properties": properties, "geometry": {"type": kind, "coordinates": coordinates}}


def _collection(*features: dict[str, object]) -> str:
    return json.dumps({"type": "FeatureCollection", "datum": "WGS-84", "features": features}, ensure_ascii=False)


FILES = {
    "registry.toml": """district = "wujin"
name_zh = "武进区"
name_en = "Wujin"
zone = "Asia/Shanghai"
cutoff = "00:00"
datum = "WGS-84"
""",
    "sites.geojson": _collection(
        _feature("Polygon", [SQUARE, HOLE], id="C01", role="construction", name_zh="一号工地", name_en="Site 1", capacity_t_per_day=None),
        _feature("Polygon", [FAR_SQUARE], id="L01", role="landfill", name_zh="夹山填埋场", name_en="Jiashan", capacity_t_per_day=1000),
    ),
    "routes.geojson": _collection(
        _feature("LineString", [[119.905, 31.705], [120.005, 31.705]], id="R01", from_site="C01", to_site="L01", width_m=100)
    ),
    "trucks.csv": """id,plate,type,axles,rated_kg,tare_kg,gross_limit_kg,company_zh,company_en,from
T2,苏D20002,tarpaulin,4,16000,14500,31000,武进渣运,Wujin Muck,
T1,苏D10001,smart,4,17500,13500,31000,武进渣运,Wujin Muck,2022-07-01T00:00:00+08:00
T1,苏D10001,smart,4,16500,13500,30000,武进渣运,Wujin Muck,
T3,苏D30003,other,,,,,,,
""",
    "scales.csv": "id,site,name_zh,name_en,interval_kg\nS1,L01,一号磅,Scale 1,20\n",
    "stations.csv": "id,site,name_zh,name_en,capacity_t_per_day\nM1,L01,马杭,Mahang,200\n",
    "permits.csv": """id,from_site,to_site,route,hours,volume_m3,from,to,trucks
P1,C01,L01,R01,19:00-06:00,12000,2022-01-01T00:00:00+08:00,2023-01-01T00:00:00+08:00,T1;T2
""",
    "densities.csv": "stream,state,kg_per_m3,u_kg_per_m3,from\nmuck,bank,1800,90,\n",
}


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., FolderRegistry]:
    """Load the district with some files replaced (text) or left out (None)."""

    def load(replaced: dict[str, str | bytes | None] | None = None) -> FolderRegistry:
        for name, content in {**FILES, **(replaced or {})}.items():
            if content is not None:
                (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return FolderRegistry(tmp_path)

    return load


@pytest.fixture
def files() -> dict[str, str]:
    """The text of every file of the district."""
    return dict(FILES)


DAY_MS = int(datetime(2022, 3, 1, 12, tzinfo=UTC).timestamp() * 1000)
"""Now, when a test begins: 20:00 in Wujin."""


class SmallStore:
    """As much of a store as the desk reads, with flags that a test sets, moves and withdraws."""

    def __init__(self) -> None:
        self.known = {1: AssetKey("wujin", "truck", "T1"), 2: AssetKey("wujin", "truck", "T2"), 3: AssetKey("wujin", "scale", "S1")}
        self.rows: dict[tuple[int, int, int], tuple[int, bool, dict[str, object]]] = {}
        self.watermarks: dict[int, int] = {}
        self.heard: dict[int, dict[str, int]] = {}
        self.parts: dict[str, dict[str, object]] = {}
        self.change = 0

    def flag(
        self, start_ms: int, end_ms: int | None = None, *, asset: int = 1, kind: FlagKind = FlagKind.OVERLOAD_GROSS, **columns: object
    ) -> None:
        """Store a flag, new or changed."""
        self.change += 1
        row = {
            "severity": Severity.FAIL,
            "at_ms": start_ms,
            "lat_e7": 317051200,
            "lon_e7": 1199053400,
            "value": 33420.0,
            "limit": 31000.0,
            "u": 820.0,
            "rows": 14,
            "rules": "1",
        } | columns
        row |= {"asset": asset, "kind": kind, "start_ms": start_ms, "end_ms": OPEN_MS if end_ms is None else end_ms}
        self.rows[asset, kind, start_ms] = self.change, False, row

    def withdraw(self, start_ms: int, *, asset: int = 1, kind: FlagKind = FlagKind.OVERLOAD_GROSS) -> None:
        self.change += 1
        self.rows[asset, kind, start_ms] = self.change, True, self.rows[asset, kind, start_ms][2]

    def flags_changed(self, after_change: int, limit: int) -> Stored[Flags]:
        found = sorted((row for row in self.rows.values() if row[0] > after_change), key=lambda row: row[0])[:limit]
        rows = Flags.of(**{name: [row[2][name] for row in found] for name in Flags.names()})
        changes, withdrawn = np.array([row[0] for row in found], np.int64), np.array([row[1] for row in found], np.bool_)
        return Stored(rows, np.zeros(len(found), np.int64), withdrawn, changes)

    def assets(self) -> dict[int, AssetKey]:
        return self.known

    def latest(self) -> Latest:
        count = len(self.watermarks)
        columns: dict[str, object] = {name: np.zeros(count) for name in Latest.names()} | {"site": [""] * count}
        columns |= {"asset": list(self.watermarks), "t_ms": list(self.watermarks.values())}
        for name in ("heard_ms", "late_ms", "steady_ms", "steady_late_ms"):
            columns[name] = [self.heard.get(asset, {}).get(name, 0) for asset in self.watermarks]
        return Latest.of(**columns)

    def hear(self, asset: int, heard_ms: int, late_ms: int) -> None:
        """A reading comes, so late."""
        before = self.heard.get(asset)
        steady = before is not None and abs(late_ms - before["late_ms"]) <= STEP_MS
        first = {"steady_ms": heard_ms, "steady_late_ms": late_ms}
        self.heard[asset] = (before if steady and before else first) | {"heard_ms": heard_ms, "late_ms": late_ms}
        self.watermarks[asset] = heard_ms - late_ms

    def status(self) -> dict[str, dict[str, object]]:
        return self.parts


class Bench:
    """A desk on a small store, with a clock that the test moves."""

    def __init__(self, path: Path, registry: FolderRegistry, rules: AlertRules) -> None:
        self.store, self.now_ms = SmallStore(), DAY_MS
        self._open = lambda: AlertDesk(path, self.store, registry, lambda: self.now_ms, rules)
        self.desk = self._open()

    def restart(self) -> None:
        self.desk.close()
        self.desk = self._open()

    def pass_ms(self, ms: int) -> None:
        """Let time pass, with everything in order meanwhile."""
        self.now_ms += ms
        self.desk.poll()

    def alerts(self) -> list[Alert]:
        return self.desk.books.list(100)

    def said(self, alert: str | None = None) -> list[str]:
        """What every message was about, of one alert or of all, in the order of posting."""
        query = "select about from messages where ? is null or alert = ? order by number"
        return [about for (about,) in self.desk.books._file.rows(query, (alert, alert))]


@pytest.fixture
def bench(tmp_path: Path, load: Callable[..., FolderRegistry]) -> Iterator[Bench]:
    bench = Bench(tmp_path / "desk.sqlite", load(), AlertRules(silence_ms=10 * 86_400_000))
    yield bench
    bench.desk.close()
