"""Who may publish what through the endpoint: a CSV file of users, salted scrypt hashes and the topic prefix of each.

A device has the prefix of its own asset, a gateway that of a district or of everything. The file may change while the endpoint runs;
it is read again at the next login.
"""

import base64
import csv
import hashlib
import hmac
import logging
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_log = logging.getLogger(__name__)

ROOT = "plimsoll/v1/"
"""The prefix of a gateway that may publish for every asset of every district."""
_COLUMNS = ["user", "hash", "prefix"]
_COST = {"n": 2**14, "r": 8, "p": 1}  # 16 MiB and some 50 ms for each guess
_HIGHEST_N_R = 2**17  # 16 MiB, half of what OpenSSL computes with
_KINDS = ("truck", "scale", "station")


class AccountsError(ValueError):
    """An accounts file that cannot be used; names the file, the line and what was expected."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user, and the beginning of every topic that it may publish to."""

    user: str
    hash: str
    prefix: str

    def allows(self, topic: str) -> bool:
        return topic.startswith(self.prefix)


class Accounts:
    """The accounts of one file. Safe to use from several threads.

    Raises
    ------
    AccountsError
        When the file cannot be read. A later version of it that cannot be read is logged, and the earlier one stays in force.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._version = _version(path)
        self._accounts = read_accounts(path)
        # What an unknown user's password is compared with, so that the time taken does not tell who exists.
        self._nobody = Account("", hash_password(os.urandom(16)), ROOT)

    def login(self, user: str, password: bytes) -> Account | None:
        """Give the account, or None when there is no such user or the password is another one. Takes some 50 ms."""
        account = self._current().get(user, self._nobody)
        matches = _matches(password, account.hash)
        return account if matches and account is not self._nobody else None

    def _current(self) -> dict[str, Account]:
        with self._lock:
            version = _version(self._path)
            if version != self._version:
                self._version = version
                try:
                    self._accounts = read_accounts(self._path)
                except AccountsError as error:
                    _log.error("%s; the accounts read before stay in force", error)
            return self._accounts


def read_accounts(path: Path) -> dict[str, Account]:
    """Read the accounts by user.

    Raises
    ------
    AccountsError
        When the file is not there, is not such a CSV file, or has a bad or a second line for one user.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            if rows.fieldnames != _COLUMNS:
                raise AccountsError(f"{path}: the header is {rows.fieldnames}, expected {','.join(_COLUMNS)}")
            accounts: dict[str, Account] = {}
            for row in rows:
                account = _account(row, f"{path}:{rows.line_num}")
                if account.user in accounts:
                    raise AccountsError(f"{path}:{rows.line_num}: user {account.user!r} stands twice")
                accounts[account.user] = account
            return accounts
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AccountsError(f"accounts file {path} cannot be read: {error}") from error


def put_account(path: Path, user: str, password: bytes, prefix: str) -> None:
    """Add a user to the file, or give it another password and prefix. Makes the file where there is none.

    Raises
    ------
    AccountsError
        When the prefix is none, or the file is there and cannot be read.
    """
    accounts = read_accounts(path) if path.exists() else {}
    row = {"user": user, "hash": hash_password(password), "prefix": prefix}
    accounts[user] = _account(row, str(path))
    _write(path, accounts.values())


def remove_account(path: Path, user: str) -> None:
    """Take a user out of the file; a connection that it has open stays open.

    Raises
    ------
    AccountsError
        When there is no such user, or the file cannot be read.
    """
    accounts = read_accounts(path)
    if accounts.pop(user, None) is None:
        raise AccountsError(f"{path}: there is no user {user!r}; nothing was removed")
    _write(path, accounts.values())


def _write(path: Path, accounts: Iterable[Account]) -> None:
    """Put a file that only its owner reads in the place of the old one, whole."""
    beside = path.with_name(path.name + ".new")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(_COLUMNS)
        lines.writerows([account.user, account.hash, account.prefix] for account in accounts)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def device_prefix(district: str, kind: str, asset: str) -> str:
    """Give the prefix of a device: the topics of its own asset, and no others."""
    return f"{ROOT}{district}/{kind}/{asset}/"


def gateway_prefix(district: str) -> str:
    """Give the prefix of a gateway: the topics of every asset of its district."""
    return f"{ROOT}{district}/"


def hash_password(password: bytes) -> str:
    """Hash with a fresh salt: ``scrypt$n$r$p$salt$hash``."""
    salt = os.urandom(16)
    return "$".join(["scrypt", *map(str, _COST.values()), _base64(salt), _base64(hashlib.scrypt(password, salt=salt, **_COST))])


def _matches(password: bytes, hashed: str) -> bool:
    n, r, p, salt, expected = _parts(hashed)
    return hmac.compare_digest(hashlib.scrypt(password, salt=salt, n=n, r=r, p=p), expected)


def _parts(hashed: str) -> tuple[int, int, int, bytes, bytes]:
    scheme, *costs, salt, expected = hashed.split("$")
    n, r, p = map(int, costs)
    if scheme != "scrypt" or n < 2 or n & (n - 1) or r < 1 or p < 1 or n * r > _HIGHEST_N_R:
        raise ValueError(f"scheme {scheme!r} with the costs n={n}, r={r}, p={p} cannot be computed here")
    return n, r, p, base64.b64decode(salt, validate=True), base64.b64decode(expected, validate=True)


def _account(row: dict[str, str], where: str) -> Account:
    account = Account(row["user"], row["hash"], row["prefix"])
    if not account.user:
        raise AccountsError(f"{where}: the user is empty")
    try:
        _parts(account.hash)
    except (ValueError, AttributeError) as error:
        raise AccountsError(f"{where}: the hash of {account.user!r} is not scrypt$n$r$p$salt$hash: {error}") from error
    if not _is_prefix(account.prefix):
        raise AccountsError(
            f"{where}: the prefix of {account.user!r} is {account.prefix!r}, expected {ROOT}, {ROOT}DISTRICT/ or {ROOT}DISTRICT/KIND/ASSET/"
        )
    return account


def _is_prefix(prefix: str | None) -> bool:
    if not prefix or not prefix.startswith(ROOT) or not prefix.endswith("/"):
        return False
    levels = prefix.removeprefix(ROOT).split("/")[:-1]
    plain = all(levels) and not any(character in prefix for character in "+#\0")
    return plain and (len(levels) < 2 or (len(levels) == 3 and levels[1] in _KINDS))


def _version(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
