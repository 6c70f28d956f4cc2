"""Recordings of real devices, as messages in the order in which they arrived.

`jersey-city` is the city's public GPS feed, polled once a minute: poll time, latitude, longitude, vehicle, address and position time
between bars, poll times in UTC and position times on the devices' local clocks without a zone. `plimsoll` is our own: a JSON object per
line with `arrival_ms`, `topic` and `payload`, a JSON value, or a string where the payload is to be sent just so. Files that end in .gz
are compressed.
"""

import gzip
import json
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import NoReturn, Protocol, TextIO
from zoneinfo import ZoneInfo

from simulators.message import Message

Reader = Callable[[Iterator[str], str, ZoneInfo], Iterator[Message]]
_JERSEY_HEADER = "poll_time_file|lat|lon|vehicle|address|position_time"


class Wire(Protocol):
    """What a replay needs of a `Publisher`."""

    def publish(self, topic: str, payload: bytes) -> None: ...

    def wait(self, wait_s: float) -> None: ...

    def drain(self) -> None: ...


class RecordingError(ValueError):
    """A line of the recording is not what its format says."""


def read_recording(path: Path, format: str, *, district: str, zone: str = "America/New_York") -> Iterator[Message]:  # noqa: A002 - the command's word
    """Read a recording.

    Parameters
    ----------
    path
        The file.
    format
        One of `FORMATS`.
    district
        Whose assets these are, where the recording does not say.
    zone
        The IANA zone of the devices' clocks, where the recording does not say.

    Raises
    ------
    RecordingError
        Naming file, line and what was expected.
    """
    if format not in FORMATS:
        raise RecordingError(f"{format!r} is no format of a recording, expected one of {', '.join(FORMATS)}")
    file: TextIO = gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")  # noqa: SIM115 - below
    with file:
        lines = Lines(file)
        try:
            yield from FORMATS[format](iter(lines), district, ZoneInfo(zone))
        except (ValueError, KeyError, TypeError) as error:
            raise RecordingError(f"{path}, line {lines.number}: not what the format {format} says: {error!r}") from error


class Lines:
    """The lines of a file, without their ends, and the number of the newest."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            self.number += 1
            yield line.rstrip("\n")


def replay(messages: Iterable[Message], publisher: Wire, speed: float | None = None) -> None:
    """Publish messages `speed` times as fast as they arrived, or as fast as they go, and wait for their acknowledgements."""
    began_s, first_ms = time.monotonic(), None
    for arrival_ms, topic, payload in messages:
        first_ms = arrival_ms if first_ms is None else first_ms
        if speed is not None and (early_s := began_s + (arrival_ms - first_ms) / 1_000 / speed - time.monotonic()) > 0:
            publisher.wait(early_s)
        publisher.publish(topic, payload)
    publisher.drain()


def _jersey_city(lines: Iterator[str], district: str, zone: ZoneInfo) -> Iterator[Message]:
    header = next(lines, "")
    if header != _JERSEY_HEADER:
        _refuse(f"the first line is {header[:80]!r}, expected {_JERSEY_HEADER}")
    clock = LocalClock(zone)
    for line in lines:
        polled, lat, lon, vehicle, _address, positioned = line.split("|")
        arrival_ms = _utc_ms(polled)
        reading = {"t_ms": clock.instant_ms(vehicle, positioned, arrival_ms), "lat_deg": float(lat), "lon_deg": float(lon)}
        payload = json.dumps(reading, separators=(",", ":"), allow_nan=False).encode()
        yield Message(arrival_ms, f"plimsoll/v1/{district}/truck/{vehicle}/reading", payload)


def _plimsoll(lines: Iterator[str], _district: str, _zone: ZoneInfo) -> Iterator[Message]:
    for line in lines:
        said = json.loads(line)
        payload = said["payload"]
        text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
        yield Message(int(said["arrival_ms"]), str(said["topic"]), text.encode())


FORMATS: dict[str, Reader] = {"jersey-city": _jersey_city, "plimsoll": _plimsoll}


class LocalClock:
    """Instants of clocks that show local time and do not say which.

    When clocks are set back an hour of local time comes twice. Of the two instants the later is taken that is not after the arrival: a
    fix is reported soon. That is decided when a device's time is seen first; the feed may repeat it until long after.
    """

    def __init__(self, zone: ZoneInfo) -> None:
        self._candidates = lru_cache(maxsize=100_000)(lambda local: _instants_ms(local, zone))
        self._decided: dict[tuple[str, str], int] = {}

    def instant_ms(self, device: str, local: str, arrival_ms: int) -> int:
        """Milliseconds since 1970 of a device's local ISO 8601 time."""
        instants = self._candidates(local)
        if len(instants) == 1:
            return instants[0]
        choice = max((instant for instant in instants if instant <= arrival_ms), default=instants[0])
        return self._decided.setdefault((device, local), choice)


def _instants_ms(local: str, zone: ZoneInfo) -> list[int]:
    naive = datetime.fromisoformat(local)
    if naive.tzinfo is not None:
        _refuse(f"{local} states a zone, expected local time without one")
    return sorted({round(naive.replace(tzinfo=zone, fold=fold).timestamp() * 1_000) for fold in (0, 1)})


@lru_cache(maxsize=1_000)
def _utc_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


def _refuse(detail: str) -> NoReturn:
    raise ValueError(detail)
