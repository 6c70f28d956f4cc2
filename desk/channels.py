"""Where messages go: named targets with a secret address, reached through Apprise.

An address holds tokens and passwords. It is in no error, log line or delivery result: those name the target.
"""

import logging
import re
import threading
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from apprise import Apprise, AppriseAsset, NotifyType

from desk.outbox import Message

TYPES = {
    "raised": NotifyType.WARNING,
    "escalated": NotifyType.WARNING,
    "withdrawn": NotifyType.INFO,
    "cleared": NotifyType.SUCCESS,
    "digest": NotifyType.INFO,
}


class TargetError(ValueError):
    """A target that cannot be used. Says which, never its address."""


@dataclass(frozen=True, slots=True)
class Target:
    """A name that may be shown, and an Apprise URL that may not."""

    name: str
    url: str = field(repr=False)


class Channel(Protocol):
    """Something that can be told."""

    @property
    def name(self) -> str: ...

    def send(self, message: Message) -> str | None:
        """Send a message; None when it was taken, else why not, in words without secrets."""
        ...


class AppriseChannel:
    """A target that Apprise speaks to."""

    def __init__(self, target: Target) -> None:
        self.name = target.name
        _keep_quiet()
        service = Apprise.instantiate(target.url, asset=AppriseAsset(app_id="Plimsoll", secure_logging=True))
        if service is None:
            raise TargetError(
                f"target {target.name}: its address is not a URL that Apprise knows, expected for example json://host/path; "
                "nothing is sent to it until it is corrected"
            )
        self._service = service

    def send(self, message: Message) -> str | None:
        REASONS.forget()
        try:
            taken = self._service.notify(body=message.body, title=message.title, notify_type=TYPES[message.about])
        except Exception as error:  # whatever a plugin raises must not end the channel, and its text may hold the address
            return type(error).__name__
        return None if taken else REASONS.last()


def read_targets(path: Path) -> list[Target]:
    """The targets of a TOML file: a table ``[targets]`` with an Apprise URL per name.

    Raises
    ------
    TargetError
        When the file cannot be read or is not such a table.
    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TargetError(f"targets file {path} cannot be read: {error.strerror}; no alert would leave") from error
    except ValueError:
        raise TargetError(f"targets file {path} is not TOML in UTF-8, expected [targets] with lines such as duty = 'json://…'") from None
    table = tree.get("targets")
    if not isinstance(table, dict):
        raise TargetError(f"targets file {path} has no table [targets], expected one with an Apprise URL per name")
    for name, url in table.items():
        if not isinstance(url, str):
            raise TargetError(f"targets file {path}, target {name}: is a {type(url).__name__}, expected an Apprise URL as text")
    return [Target(name, url) for name, url in table.items()]


class _Reasons(logging.Handler):
    """Reduces what Apprise logs on a thread to what cannot hold a secret: the status that the service answered with."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._here = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        status = re.search(r"error=(\d{3})\b", record.getMessage())
        self._here.reason = f"answered {status[1]}" if status else "no connection, or an answer that says no"

    def forget(self) -> None:
        self._here.reason = "refused"

    def last(self) -> str:
        return str(self._here.reason)


REASONS = _Reasons()


def _keep_quiet() -> None:
    """Keep Apprise's and urllib3's own log lines out of ours: they print addresses."""
    apprise = logging.getLogger("apprise")
    apprise.propagate = False
    apprise.setLevel(logging.WARNING)
    if REASONS not in apprise.handlers:
        apprise.addHandler(REASONS)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
