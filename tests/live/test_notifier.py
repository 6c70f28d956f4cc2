"""The alert desk's way out, against a real webhook on this machine: a flag in a real store becomes an HTTP request."""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.columns import OPEN_MS
from core.events import FlagKind, Flags, Severity
from core.readings import TruckReadings
from desk.alerts import AlertDesk, AlertRules
from desk.channels import AppriseChannel, Target
from desk.folder import FolderRegistry
from desk.notifier import Notifier, Pace
from storage.assets import AssetKey
from storage.journal import Journal
from storage.results import Results
from storage.store import EmbeddedStore
from tests.live.webhook import SECRET, Webhook

pytestmark = [
    pytest.mark.live,
]


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    webhook = Webhook()
    yield webhook
    webhook.close()


@pytest.fixture
def other_webhook() -> Iterator[Webhook]:
    webhook = Webhook()
    yield webhook
    webhook.close()


@pytest.fixture
def registry(tmp_path: Path) -> FolderRegistry:
    folder = tmp_path / "registry"
    folder.mkdir()
    (folder / "registry.toml").write_text(
        'district = "wujin"\nname_zh = "武进区"\nname_en = "Wujin"\nzone = "Asia/Shanghai"\ncutoff = "00:00"\ndatum = "WGS-84"\n',
        encoding="utf-8",
    )
    (folder / "trucks.csv").write_text(
        "id,plate,type,axles,rated_kg,tare_kg,gross_limit_kg,company_zh,company_en,from\nT1,苏D10001,smart,4,16500,13500,31000,,,\n",
        encoding="utf-8",
    )
    return FolderRegistry(folder)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.sqlite", wall_ms) as journal:
        truck = {name: [0] for name in TruckReadings.names()} | {"asset": [journal.asset(AssetKey("wujin", "truck", "T1"))]}
        journal.commit([TruckReadings.of(**truck)])
        yield journal


@pytest.fixture
def desk(tmp_path: Path, journal: Journal, registry: FolderRegistry) -> Iterator[AlertDesk]:
    with EmbeddedStore(tmp_path / "journal.sqlite") as store:
        desk = AlertDesk(tmp_path / "desk.sqlite", store, registry, wall_ms, AlertRules())
        yield desk
        desk.close()


def store_flags(journal: Journal, *starts_ms: int) -> None:
    """Make these the truck's overloads, all of them still lasting."""
    count = len(starts_ms)
    flags = Flags.of(
        asset=[1] * count,
        kind=[FlagKind.OVERLOAD_GROSS] * count,
        start_ms=starts_ms,
        end_ms=[OPEN_MS] * count,
        severity=[Severity.FAIL] * count,
        at_ms=starts_ms,
        lat_e7=[317051200] * count,
        lon_e7=[1199053400] * count,
        value=[33420.0] * count,
        limit=[31000.0] * count,
        u=[820.0] * count,
        rows=[14] * count,
        rules=["1"] * count,
    )
    Results(journal).replace(flags, {1: int(np.iinfo(np.int64).min)}, wall_ms())


class Running:
    """A notifier at work in a thread of its own."""

    def __init__(self, desk: AlertDesk, *targets: Target, **pace: Any) -> None:
        self._stop = threading.Event()
        notifier = Notifier(desk, [AppriseChannel(target) for target in targets], wall_ms, Pace(**pace))
        self._thread = threading.Thread(target=notifier.run, args=(self._stop,))

    def __enter__(self) -> "Running":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive()


def test_a_flag_reaches_the_webhook_within_seconds_and_its_withdrawal_follows_once(
    journal: Journal, desk: AlertDesk, webhook: Webhook
) -> None:
    with Running(desk, Target("duty", webhook.url)):
        time.sleep(0.2)
        began = time.monotonic()
        store_flags(journal, wall_ms())
        webhook.wait(lambda: len(webhook.heard) == 1)
        assert time.monotonic() - began < 3
        store_flags(journal)
        webhook.wait(lambda: len(webhook.heard) == 2)
        time.sleep(1.2)
    [alert] = desk.books.list(10)
    raised, withdrawn = webhook.heard
    assert raised["title"] == "超限 苏D10001（T1） | Over gross limit 苏D10001 (T1)"
    assert withdrawn["title"].startswith("撤回：超限")
    assert all(alert.id in told["message"] for told in (raised, withdrawn))
    assert [(attempt.attempt, attempt.result) for attempt in desk.outbox.deliveries(alert.id)] == [(1, "sent"), (1, "sent")]


def test_a_failed_target_is_tried_again_and_told_on_the_other(
    journal: Journal, desk: AlertDesk, webhook: Webhook, other_webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    webhook.answer = 500
    targets = Target("duty", webhook.url), Target("chief", other_webhook.url)
    with Running(desk, *targets, first_wait_s=0.1, longest_wait_s=0.5, attempts=1000):
        time.sleep(0.2)
        store_flags(journal, wall_ms())
        other_webhook.wait(lambda: any("通知渠道失效 duty" in told["title"] for told in other_webhook.heard))
        webhook.answer = 200
        webhook.wait(lambda: len(webhook.heard) == 1)
        other_webhook.wait(lambda: any("恢复：通知渠道失效 duty" in told["title"] for told in other_webhook.heard))
    [alert] = [alert for alert in desk.books.list(10) if alert.kind == "overload_gross"]
    attempts = [attempt for attempt in desk.outbox.deliveries(alert.id) if attempt.channel == "duty"]
    assert [attempt.attempt for attempt in attempts] == list(range(1, len(attempts) + 1))
    assert {attempt.detail for attempt in attempts[:-1]} == {"answered 500"}
    assert attempts[-1].result == "sent"
    assert webhook.paths[0] == f"/{SECRET}"
    assert SECRET not in caplog.text
    assert "channel duty works again" in caplog.text


def test_a_process_killed_between_send_and_log_sends_the_same_message_again(
    tmp_path: Path, journal: Journal, desk: AlertDesk, webhook: Webhook
) -> None:
    desk.outbox.open(["duty"])
    store_flags(journal, wall_ms())
    desk.poll()
    script = """
import os, signal, sys, time
from pathlib import Path
from desk.channels import AppriseChannel, Target
from desk.file import DeskFile
from desk.notifier import Courier, Pace
from desk.outbox import Outbox

outbox = Outbox(DeskFile(Path(sys.argv[1])))
outbox.log = lambda attempt: os.kill(os.getpid(), signal.SIGKILL)
Courier(outbox, AppriseChannel(Target("duty", sys.argv[2])), lambda: time.time_ns() // 1_000_000, Pace()).step()
"""
    died = subprocess.run([sys.executable, "-c", script, str(tmp_path / "desk.sqlite"), webhook.url], check=False, timeout=60)
    assert died.returncode == -9
    with Running(desk, Target("duty", webhook.url)):
        webhook.wait(lambda: len(webhook.heard) == 2)
        time.sleep(1.2)
    first, second = webhook.heard
    assert first == second
    assert desk.books.list(1)[0].id in first["message"]
