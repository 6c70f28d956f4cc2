"""Serving: a reader needs a journal to read."""

from pathlib import Path

from plimsoll.cli import main


def test_serving_before_a_collector_has_run_is_said_in_one_line(tmp_path: Path, capsys):
    (tmp_path / "settings.toml").write_text(f"[data]\nfolder = '{tmp_path / 'data'}'\n")
    assert main(["serve", "--settings", str(tmp_path / "settings.toml")]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "journal.sqlite is not there" in line
    assert "plimsoll collect" in line
