"""Instants at the door: epoch milliseconds inside, ISO 8601 with the district's offset outside.

Every instant in an answer is a string such as ``2022-06-01T08:15:30.000+08:00`` under a name that ends in ``_at``. Every instant in a
query may be written the same way, with any offset or ``Z``, or as whole milliseconds since 1970-01-01T00:00:00Z.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import Query
from pydantic import BeforeValidator, WithJsonSchema

from api.errors import invalid

EXPECTED = "an ISO 8601 instant with its offset (2022-06-01T08:00:00+08:00, …Z), or milliseconds since 1970"
DAY_MS = 86_400_000
AHEAD_MS = 300_000
"""How far ahead of us a device's clock may be before its readings are quarantined."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1)
# A plus sign that was not percent-encoded in a URL arrives as a space: 08:00:00 08:00 can mean nothing else.
_SPACED_OFFSET = re.compile(r" (\d\d:?\d\d)$")
_EARLIEST_MS, _LATEST_MS = 0, 4_102_444_800_000  # 1970 to 2100


def parse_ms(value: object) -> int:
    """Milliseconds of an instant as a query wrote it.

    Raises
    ------
    ValueError
        When the text is no instant, has no offset, or lies outside the years 1970 to 2100.
    """
    text = str(value).strip()
    t_ms = int(text) if re.fullmatch(r"-?\d{1,15}", text) else _iso_ms(text)
    if not _EARLIEST_MS <= t_ms < _LATEST_MS:
        raise ValueError(f"{EXPECTED}, in the years 1970 to 2100")
    return t_ms


def _iso_ms(text: str) -> int:
    try:
        instant = datetime.fromisoformat(_SPACED_OFFSET.sub(r"+\1", text))
    except ValueError:
        raise ValueError(EXPECTED) from None
    if instant.tzinfo is None:
        raise ValueError(EXPECTED)
    return (instant - _EPOCH) // timedelta(milliseconds=1)


def iso(t_ms: int, zone: ZoneInfo) -> str:
    """An instant in the district's local time, with its offset, to the millisecond."""
    return (_EPOCH + timedelta(milliseconds=int(t_ms))).astimezone(zone).isoformat(timespec="milliseconds")


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - _EPOCH_DAY).days


def day_date(day: int) -> date:
    """The date of a day number."""
    return _EPOCH_DAY + timedelta(days=int(day))


InstantMs = Annotated[
    int, BeforeValidator(parse_ms), WithJsonSchema({"type": "string", "title": "Instant", "description": EXPECTED, "format": "date-time"})
]


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open span of time, ``from_ms`` included."""

    from_ms: int
    to_ms: int

    @classmethod
    def of(cls, from_ms: int | None, to_ms: int | None, *, now_ms: int, default_ms: int, longest_ms: int) -> "Span":
        """The span that a query asked for: to now (and what devices may be ahead of it), from ``default_ms`` before its end by default.

        Raises
        ------
        ApiError
            When the span is empty or longer than ``longest_ms``.
        """
        end_ms = now_ms + AHEAD_MS if to_ms is None else to_ms
        start_ms = end_ms - default_ms if from_ms is None else from_ms
        if start_ms >= end_ms:
            raise invalid(f"the span ends {start_ms - end_ms} ms before it begins", where="query.from", expected="from earlier than to")
        if end_ms - start_ms > longest_ms:
            days = (end_ms - start_ms) / DAY_MS
            expected = f"at most {longest_ms / DAY_MS:g} days between from and to; ask for parts"
            raise invalid(f"the span has {days:.1f} days", where="query.from", expected=expected)
        return cls(start_ms, end_ms)


From = Annotated[InstantMs | None, Query(alias="from", description="Start of the span, included")]
To = Annotated[InstantMs | None, Query(alias="to", description="End of the span, excluded; now by default")]
