"""The topics of the wire contract: which asset speaks, and which measurement."""

import unicodedata
from functools import lru_cache
from typing import NamedTuple

from ingest.wire import TYPES
from storage.assets import AssetKey

PREFIX = ("plimsoll", "v1")
FILTER = "plimsoll/v1/#"
"""What a collector subscribes to: wrong topics below it come in too, to be kept as dead letters."""
MAX_NAME = 64
_LEVELS = 6


class Route(NamedTuple):
    """What a topic says."""

    key: AssetKey
    measurement: str


class BadTopicError(ValueError):
    """The topic is not one of the wire contract's."""


@lru_cache(maxsize=65_536)
def route_of(topic: str) -> Route:
    """Read a topic. Good ones are remembered; bad ones are not, so that nobody can fill the memory with them.

    Raises
    ------
    BadTopicError
        Naming the level that is wrong and what was expected.
    """
    levels = topic.split("/")
    if len(levels) != _LEVELS or tuple(levels[:2]) != PREFIX:
        raise BadTopicError("expected plimsoll/v1/{district}/{kind}/{asset}/{message}")
    district, kind, asset, message = levels[2:]
    measurement = f"{kind}/{message}"
    if measurement not in TYPES:
        raise BadTopicError(f"{shown(measurement)} is no measurement, expected one of {', '.join(TYPES)}")
    for level, name in (("district", district), ("asset", asset)):
        if not is_name(name):
            expected = f"1 to {MAX_NAME} characters without +, #, control characters and white space at the ends"
            raise BadTopicError(f"{level} is {shown(name)}, expected {expected}")
    return Route(AssetKey(district, kind, asset), measurement)


def is_name(text: str) -> bool:
    """Whether a district or an asset may be called so."""
    return 0 < len(text) <= MAX_NAME and text == text.strip() and not set(text) & {"+", "#"} and is_clean(text)


def is_clean(text: str) -> bool:
    """No control characters, and nothing that UTF-8 cannot hold."""
    return text.isprintable() or not any(unicodedata.category(character) in {"Cc", "Cs"} for character in text)


def shown(value: object) -> str:
    """A value as it stands in a message to people: quoted, and not longer than a line."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
