import logging
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.accounts import (
    ROOT,
    Account,
    Accounts,
    AccountsError,
    device_prefix,
    gateway_prefix,
    hash_password,
    put_account,
    read_accounts,
    remove_account,
)

HASH = hash_password(b"secret")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "accounts.csv"


def lines(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["user,hash,prefix", *rows]) + "\n", encoding="utf-8")
    return path


def test_a_user_with_its_password_gets_its_account(path: Path) -> None:
    put_account(path, "苏D12345", b"secret", device_prefix("wujin", "truck", "苏D12345"))
    account = Accounts(path).login("苏D12345", b"secret")
    assert account is not None
    assert account.prefix == "plimsoll/v1/wujin/truck/苏D12345/"


@pytest.mark.parametrize(("user", "password"), [("truck", b"Secret"), ("truck", b""), ("nobody", b"secret"), ("", b""), ("", b"secret")])
def test_another_password_or_an_unknown_user_gets_none(path: Path, user: str, password: bytes) -> None:
    put_account(path, "truck", b"secret", ROOT)
    assert Accounts(path).login(user, password) is None


def test_a_device_may_publish_below_its_own_asset_only() -> None:
    account = Account("truck", HASH, device_prefix("wujin", "truck", "12"))
    assert account.allows("plimsoll/v1/wujin/truck/12/reading")
    for topic in ("plimsoll/v1/wujin/truck/123/reading", "plimsoll/v1/wujin/truck/12", "plimsoll/v1/wujin/scale/12/weighing", "$SYS/x", ""):
        assert not account.allows(topic)


@given(district=st.text("abc苏", min_size=1), asset=st.text("abc苏", min_size=1), message=st.text("abc苏/"))
def test_a_gateway_may_publish_for_its_whole_district(district: str, asset: str, message: str) -> None:
    gateway = Account("gateway", HASH, f"{ROOT}{district}/")
    assert gateway.allows(f"{ROOT}{district}/truck/{asset}/{message}")
    assert not gateway.allows(f"{ROOT}{district}d/truck/{asset}/{message}")
    assert Account("all", HASH, ROOT).allows(f"{ROOT}{district}/truck/{asset}/{message}")


def test_one_password_is_hashed_in_two_ways() -> None:
    assert hash_password(b"secret") != hash_password(b"secret")
    assert b"secret".decode() not in HASH


def test_the_file_is_its_owners_only_and_keeps_the_others(path: Path) -> None:
    put_account(path, "one", b"1", ROOT)
    put_account(path, "two", b"2", ROOT)
    put_account(path, "one", b"changed", f"{ROOT}wujin/")
    accounts = Accounts(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [accounts.login("one", b"1"), accounts.login("two", b"2") is None] == [None, False]
    assert accounts.login("one", b"changed") == read_accounts(path)["one"]


def test_a_removed_user_is_out_and_the_others_stay(path: Path) -> None:
    put_account(path, "one", b"1", ROOT)
    put_account(path, "two", b"2", gateway_prefix("wujin"))
    accounts = Accounts(path)
    remove_account(path, "one")
    assert accounts.login("one", b"1") is None
    assert accounts.login("two", b"2") is not None
    with pytest.raises(AccountsError, match="no user 'one'"):
        remove_account(path, "one")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (f",{HASH},{ROOT}", "the user is empty"),
        (f"truck,secret,{ROOT}", "is not scrypt"),
        (f"truck,{HASH.replace('16384', '16383')},{ROOT}", "is not scrypt"),
        (f"truck,{HASH.replace('16384', '1048576')},{ROOT}", "is not scrypt"),
        (f"truck,{HASH.replace('scrypt', 'md5')},{ROOT}", "is not scrypt"),
        (f"truck,{HASH}!,{ROOT}", "is not scrypt"),
        ("truck", "is not scrypt"),
        (f"truck,{HASH}", "the prefix"),
        (f"truck,{HASH},", "the prefix"),
        (f"truck,{HASH},plimsoll/v1", "the prefix"),
        (f"truck,{HASH},plimsoll/v1/wujin/truck/12", "the prefix"),
        (f"truck,{HASH},plimsoll/v1/wujin/truck/", "the prefix"),
        (f"truck,{HASH},plimsoll/v1/wujin/lorry/12/", "the prefix"),
        (f"truck,{HASH},plimsoll/v1/+/", "the prefix"),
        (f"truck,{HASH},plimsoll/v1//", "the prefix"),
        (f"truck,{HASH},{ROOT}\ntruck,{HASH},{ROOT}", "stands twice"),
    ],
)
def test_a_bad_line_is_named(path: Path, row: str, complaint: str) -> None:
    with pytest.raises(AccountsError, match=f"accounts.csv:[23]: .*{complaint}"):
        Accounts(lines(path, row))


def test_a_file_that_is_none_is_named(path: Path) -> None:
    with pytest.raises(AccountsError, match="cannot be read"):
        Accounts(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(AccountsError, match="cannot be read"):
        Accounts(path)
    path.write_text("user,password\n")
    with pytest.raises(AccountsError, match="expected user,hash,prefix"):
        Accounts(path)


def test_a_new_account_counts_from_the_next_login(path: Path) -> None:
    put_account(path, "one", b"1", ROOT)
    accounts = Accounts(path)
    put_account(path, "two", b"2", ROOT)
    assert accounts.login("two", b"2") is not None


def test_a_file_that_became_unreadable_leaves_the_accounts_in_force(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put_account(path, "one", b"1", ROOT)
    accounts = Accounts(path)
    lines(path, "one,nonsense,x")
    with caplog.at_level(logging.ERROR):
        assert accounts.login("one", b"1") is not None
    assert "stay in force" in caplog.text
    os.unlink(path)
    assert accounts.login("one", b"1") is not None
