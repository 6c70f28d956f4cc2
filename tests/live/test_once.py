"""A whole simulated day over real MQTT agrees with its truth, through the collector's own endpoint and through a broker."""

from pathlib import Path

import pytest

from tests.live.programs import Program
from tests.live.servers import HOST, Mosquitto

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(900)]

LONGEST_S = 800.0


def played(tmp_path: Path, *words: str) -> str:
    """What `plimsoll demo --once` prints; it must find that everything agrees."""
    demo = Program(["demo", "--once", "--days", "1", *words], tmp_path / "once.log")
    demo.start()
    code = demo.finish(LONGEST_S)
    said = demo.log.read_text(encoding="utf-8")
    assert code == 0, said
    return said


def test_a_day_through_the_endpoint_agrees_with_its_truth(tmp_path: Path) -> None:
    said = played(tmp_path)
    assert "comparisons agree" in said
    assert "✗" not in said


def test_a_day_through_mosquitto_agrees_with_its_truth(tmp_path: Path, mosquitto: Mosquitto) -> None:
    assert "comparisons agree" in played(tmp_path, "--broker", f"{HOST}:{mosquitto.port}")


def test_a_comparison_needs_a_folder_without_a_journal(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "journal.sqlite").touch()
    demo = Program(["demo", "--once", "--data", str(folder)], tmp_path / "once.log")
    demo.start()
    assert demo.finish(60) == 1
    assert "holds a journal already" in demo.tail()
