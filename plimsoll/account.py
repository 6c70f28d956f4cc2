"""`plimsoll account`: who may publish what through the endpoint."""

from pathlib import Path
from secrets import token_urlsafe

from ingest.accounts import AccountsError, device_prefix, put_account, read_accounts, remove_account
from plimsoll.settings import Settings, SettingsError

_GENERATED_BYTES = 18


def add(settings: Settings, user: str, prefix: str, password_file: Path | None) -> int:
    """Add an account, or change one; a password that nobody gave is made, and told this once."""
    file = _file(settings)
    known = file.exists() and user in read_accounts(file)
    password = _read(password_file) if password_file else token_urlsafe(_GENERATED_BYTES)
    put_account(file, user, password.encode(), prefix)
    _say(f"{user} {'has another password now and' if known else 'is added and'} may publish to {prefix}")
    if not password_file:
        _say(f"password: {password}")
    return 0


def show(settings: Settings) -> int:
    """Print each account with what it may publish to."""
    for account in read_accounts(_file(settings)).values():
        _say(f"{account.user}\t{account.prefix}")
    return 0


def remove(settings: Settings, user: str) -> int:
    """Remove an account."""
    remove_account(_file(settings), user)
    _say(f"{user} is removed; a connection that it has open goes on until it ends")
    return 0


def prefix_of(device: str) -> str:
    """The topics of the device that is written DISTRICT/KIND/ASSET."""
    levels = device.split("/")
    if len(levels) != 3:
        raise AccountsError(f"--device is {device!r}, expected DISTRICT/KIND/ASSET, for example wujin/truck/T001")
    return device_prefix(*levels)


def _file(settings: Settings) -> Path:
    if settings.endpoint.accounts is None:
        raise SettingsError("[endpoint] accounts is not set; it names the file of the accounts, for example accounts.csv")
    return settings.endpoint.accounts


def _read(file: Path) -> str:
    password = file.read_text(encoding="utf-8").strip()
    if not password:
        raise AccountsError(f"password file {file} is empty; expected a password in it")
    return password


def _say(line: str) -> None:
    print(line)  # noqa: T201  # the command line speaks to a person, or to a script that reads it line by line
