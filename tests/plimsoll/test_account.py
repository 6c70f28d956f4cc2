"""`plimsoll account` through the command line, as an operator types it."""

from pathlib import Path

import pytest

from ingest.accounts import Accounts
from plimsoll.cli import main


@pytest.fixture
def accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "accounts.csv"
    monkeypatch.setenv("PLIMSOLL_ENDPOINT__ACCOUNTS", str(file))
    return file


def account(*words: str) -> int:
    return main(["account", *words])


def test_a_password_that_nobody_gave_is_made_and_told_once(accounts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert account("add", "苏D12345", "--device", "wujin/truck/苏D12345") == 0
    told, password = capsys.readouterr().out.splitlines()
    assert told == "苏D12345 is added and may publish to plimsoll/v1/wujin/truck/苏D12345/"
    found = Accounts(accounts).login("苏D12345", password.removeprefix("password: ").encode())
    assert found is not None
    assert found.prefix == "plimsoll/v1/wujin/truck/苏D12345/"
    assert password.removeprefix("password: ") not in accounts.read_text()


def test_a_password_comes_from_a_file_and_is_not_told(accounts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "secret").write_text("geheim 渣土\n", encoding="utf-8")
    assert account("add", "depot", "--gateway", "wujin", "--password-file", str(tmp_path / "secret")) == 0
    assert "geheim" not in capsys.readouterr().out
    found = Accounts(accounts).login("depot", "geheim 渣土".encode())
    assert found is not None
    assert found.prefix == "plimsoll/v1/wujin/"


def test_adding_again_changes_the_account(accounts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("--gateway", "wujin"), ("--prefix", "plimsoll/v1/")):
        assert account("add", "all", *words) == 0
    first, second = capsys.readouterr().out.splitlines()[1::2]
    known = Accounts(accounts)
    assert known.login("all", first.removeprefix("password: ").encode()) is None
    assert known.login("all", second.removeprefix("password: ").encode()) is not None


def test_accounts_are_listed_without_their_secrets_and_removed(accounts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    account("add", "one", "--gateway", "wujin")
    account("add", "two", "--device", "wujin/scale/S1")
    capsys.readouterr()
    assert account("list") == 0
    assert capsys.readouterr().out == "one\tplimsoll/v1/wujin/\ntwo\tplimsoll/v1/wujin/scale/S1/\n"
    assert account("remove", "one") == 0
    capsys.readouterr()
    account("list")
    assert capsys.readouterr().out == "two\tplimsoll/v1/wujin/scale/S1/\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["remove", "nobody"], "no user 'nobody'; nothing was removed"),
        (["add", "x", "--device", "wujin/T001"], "--device is 'wujin/T001', expected DISTRICT/KIND/ASSET"),
        (["add", "x", "--device", "wujin/lorry/T001"], "the prefix of 'x' is 'plimsoll/v1/wujin/lorry/T001/'"),
        (["add", "x", "--gateway", "+"], "the prefix of 'x' is 'plimsoll/v1/+/'"),
        (["add", "x", "--prefix", "other/"], "the prefix of 'x' is 'other/'"),
        (["add", "", "--gateway", "wujin"], "the user is empty"),
        (["add", "x", "--gateway", "wujin", "--password-file", "/dev/null"], "password file /dev/null is empty"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(accounts: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    account("add", "there", "--gateway", "wujin")
    before = accounts.read_bytes()
    capsys.readouterr()
    assert account(*words) == 1
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert accounts.read_bytes() == before


def test_without_a_file_in_the_settings_nothing_is_made_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert account("list") == 1
    assert "[endpoint] accounts is not set" in capsys.readouterr().err
