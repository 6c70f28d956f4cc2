"""From a truck's MQTT message to a webhook: an overload and a spillage leave within seconds, each alert under one id."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.publisher import Publisher
from tests.live.servers import free_port
from tests.live.webhook import Webhook

pytestmark = pytest.mark.live

REGISTRY = 'district = "wujin"\nname_zh = "武进区"\nname_en = "Wujin"\nzone = "Asia/Shanghai"\ncutoff = "00:00"\ndatum = "WGS-84"\n'
TRUCKS = (
    "id,plate,type,axles,rated_kg,tare_kg,gross_limit_kg,company_zh,company_en,from\n"
    "HEAVY,苏D00001,smart,4,16000,15000,31000,,,\nLEAKY,苏D00002,smart,4,16000,15000,31000,,,\n"
)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    made = Webhook()
    yield made
    made.close()


def haul(now_ms: int, load_kg: float, lost_kg: float = 0.0) -> list[dict[str, object]]:
    """Twenty minutes up to now, a reading each 10 s: standing empty, loaded within a minute, driving; a part lost ten minutes later."""
    readings = []
    for step in range(120):
        load = load_kg * min(max(step - 12, 0) / 6, 1.0) - (lost_kg if step > 80 else 0.0)
        driving = step > 24
        readings.append(
            {
                "t_ms": now_ms - (119 - step) * 10_000,
                "lat_deg": 31.7,
                "lon_deg": 119.9 + 0.001 * max(step - 24, 0),
                "speed_kmh": 34.0 if driving else 0.0,
                "load_kg": load + (step * 37 % 11) * 10.0,
                "body_up": False,
            }
        )
    return readings


@pytest.fixture
def collector(tmp_path: Path, webhook: Webhook) -> Iterator[int]:
    """A collector with one channel; the port of its endpoint."""
    port = free_port()
    registry = tmp_path / "registry"
    registry.mkdir()
    (registry / "registry.toml").write_text(REGISTRY, encoding="utf-8")
    (registry / "trucks.csv").write_text(TRUCKS, encoding="utf-8")
    (tmp_path / "targets.toml").write_text(f'[targets]\nduty = "{webhook.url}"\n', encoding="utf-8")
    settings = tmp_path / "settings.toml"
    settings.write_text(
        f"[data]\nfolder = '{tmp_path / 'data'}'\nregistry = '{registry}'\n"
        f"[endpoint]\nport = {port}\n[alerts]\ntargets_file = '{tmp_path / 'targets.toml'}'\n",
        encoding="utf-8",
    )
    log = (tmp_path / "log").open("wb")
    process = subprocess.Popen([sys.executable, "-m", "plimsoll", "collect", "--settings", str(settings)], stdout=log, stderr=log)
    yield port
    process.terminate()
    assert process.wait(30) == 0, (tmp_path / "log").read_text(encoding="utf-8")
    log.close()


def test_an_overload_and_a_spillage_leave_within_seconds_of_their_messages(collector: int, webhook: Webhook):
    now_ms = time.time_ns() // 1_000_000
    with Publisher("127.0.0.1", collector, client_id="two-trucks", patience_s=60) as publisher:
        for truck, readings in {"HEAVY": haul(now_ms, 24_000.0), "LEAKY": haul(now_ms, 14_000.0, lost_kg=3_000.0)}.items():
            publisher.publish(f"plimsoll/v1/wujin/truck/{truck}/reading", json.dumps(readings).encode())
        publisher.drain()
        sent_s = time.monotonic()
        webhook.wait(lambda: {"苏D00001", "苏D00002"} <= {plate for plate in ("苏D00001", "苏D00002") if plate in str(webhook.heard)}, 30)
    told = " ".join(str(message) for message in webhook.heard)
    assert "超载" in told
    assert "Over rated payload" in told
    assert "抛撒" in told
    assert time.monotonic() - sent_s < 15, "within seconds, on a busy machine"
