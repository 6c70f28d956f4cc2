"""`plimsoll replay` refuses a file before it looks for anybody to publish to."""

from pathlib import Path

import pytest

from plimsoll.cli import main


def test_a_recording_that_cannot_be_read_is_explained_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "polls.psv"
    file.write_text("time|place\n", encoding="utf-8")
    assert main(["replay", str(file), "--format", "jersey-city"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"plimsoll replay: {file}, line 1: not what the format jersey-city says")
    assert said.count("\n") == 1


def test_a_recording_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(tmp_path / "none"), "--format", "plimsoll"]) == 1
    assert str(tmp_path / "none") in capsys.readouterr().err
