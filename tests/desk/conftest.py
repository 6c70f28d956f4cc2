"""A small district that is in order, for tests to load whole or to spoil in one place."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from desk.registry import FolderRegistry

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
