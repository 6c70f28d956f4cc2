"""Settings: one typed object, filled once at start from a TOML file and the environment.

`PLIMSOLL_ENDPOINT__PORT=2883` overrides `[endpoint] port`. Every setting stands, with its meaning, in plimsoll.sample.toml.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from core.rules import Rules

PREFIX = "PLIMSOLL_"
_LEAST_PACKET_BYTES = 1_024


class SettingsError(ValueError):
    """A setting that cannot be used; names the setting, the value and what was expected."""


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the settings' sections: a misspelt setting is an error, not a silence."""


class Data(Section, frozen=True):
    """Where things are kept."""

    folder: Path = Path("plimsoll-data")
    registry: Path = Path("registry")
    clock: Path | None = None
    low_disk_mb: int = 2_048


class Endpoint(Section, frozen=True):
    """The MQTT endpoint inside the collector."""

    host: str = "127.0.0.1"
    port: int = 1883
    accounts: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    packet_bytes: int = 2 << 20
    messages_per_s: float = 0.0
    connections: int = 10_000


class Broker(Section, frozen=True):
    """The connection to an MQTT broker."""

    host: str = "127.0.0.1"
    port: int = 1883
    protocol: Literal["3.1.1", "5"] = "5"
    client_id: str = "plimsoll-collector"
    username: str | None = None
    password_file: Path | None = None
    tls_ca: Path | None = None


class Collector(Section, frozen=True):
    """How readings are taken in."""

    source: Literal["endpoint", "broker"] = "endpoint"
    flush_ms: int = 20
    flush_messages: int = 20_000
    derive_ms: int = 1_000
    clock_ahead_ms: int = 300_000
    flood_per_s: int = 100


class Api(Section, frozen=True):
    """The HTTP API and the console page."""

    host: str = "127.0.0.1"
    port: int = 8000
    tile_url: str | None = None


class Alerts(Section, frozen=True):
    """Who is told, and when."""

    targets_file: Path | None = None
    late_ms: int = 600_000
    quiet_ms: int = 60_000
    silence_ms: int = 900_000
    stall_ms: int = 60_000
    clock_behind_ms: int = 900_000


class Settings(Section, frozen=True):
    """All settings."""

    data: Data = Data()
    endpoint: Endpoint = Endpoint()
    broker: Broker = Broker()
    collector: Collector = Collector()
    api: Api = Api()
    alerts: Alerts = Alerts()
    rules: Rules = Rules()


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Raises
    ------
    SettingsError
        When the file cannot be read, or a setting is unknown or has a wrong type.
    """
    tree = _from_file(path) if path else {}
    for name, text in environ.items():
        section, _, key = name.removeprefix(PREFIX).lower().partition("__")
        if name.startswith(PREFIX) and key:
            tree.setdefault(section, {})[key] = text
    try:
        settings = msgspec.convert(tree, Settings, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{path or 'environment'}: {error}; see plimsoll.sample.toml") from error
    _check_endpoint(settings.endpoint)
    return settings


def _check_endpoint(own: Endpoint) -> None:
    given = {"tls_cert": own.tls_cert, "tls_key": own.tls_key}
    missing = [name for name, file in given.items() if file is None]
    if len(missing) == 1:
        raise SettingsError(f"[endpoint] {missing[0]} is not set; TLS needs tls_cert and tls_key, and neither of them is plain TCP")
    for name, least in (("packet_bytes", _LEAST_PACKET_BYTES), ("messages_per_s", 0), ("connections", 1)):
        if getattr(own, name) < least:
            raise SettingsError(f"[endpoint] {name} is {getattr(own, name)}, expected {least} or more")


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"settings file {path} cannot be read: {error}; expected TOML as in plimsoll.sample.toml") from error


def _path(wanted: type, given: object) -> Path:
    if wanted is not Path or not isinstance(given, str):
        raise TypeError(f"{given!r} is no path")
    return Path(given)
