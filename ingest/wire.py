"""The wire contract as types: what docs/wire.md says, once, for the decoder.

A member that is absent or null was not measured. The types judge a reading's shape; `ranges`, `whole` and `texts` judge its values.
"""

from enum import StrEnum
from typing import ClassVar, Literal, NamedTuple

import msgspec

MAX_PAYLOAD_BYTES = 1 << 20
MAX_ELEMENTS = 1_000
MAX_DEPTH = 32
"""Containers inside each other; the outermost counts."""

Ranges = dict[str, tuple[int, int]]
Stream = Literal["muck", "construction", "domestic", "kitchen", "bulky", "hazardous", "fly_ash"]
Direction = Literal["in", "out"]
LoadState = Literal["empty", "half", "full"]

INSTANT = {"t_ms": (946_684_800_000, 4_133_980_799_999), "seq": (0, 2**63 - 1)}
"""The years 2000 to 2100, and what an int64 holds."""
MASS = (0, 200_000)
NAMES = {"number": 64, "plate": 32}


class Reason(StrEnum):
    """Why a message, or an element of one, was refused: a closed list."""

    BAD_TOPIC = "bad_topic"
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    BAD_SHAPE = "bad_shape"
    OUT_OF_RANGE = "out_of_range"
    FLOOD = "flood"


class Reading(msgspec.Struct, gc=False, kw_only=True):
    """What every reading carries."""

    t_ms: int
    seq: int | None = None
    hist: bool | None = None

    ranges: ClassVar[Ranges] = INSTANT
    whole: ClassVar[tuple[str, ...]] = ()
    """Members that are whole kilograms."""
    texts: ClassVar[dict[str, int]] = {}
    """Longest text, in characters."""
    filled: ClassVar[tuple[str, ...]] = ()
    """Texts that may not be empty."""


class TruckReading(Reading, gc=False, kw_only=True):
    """truck/reading."""

    lat_deg: float | None = None
    lon_deg: float | None = None
    speed_kmh: float | None = None
    heading_deg: float | None = None
    load_kg: float | None = None
    load_state: LoadState | None = None
    body_up: bool | None = None
    cover_open: bool | None = None

    ranges: ClassVar[Ranges] = INSTANT | {
        "lat_deg": (-90, 90),
        "lon_deg": (-180, 180),
        "speed_kmh": (0, 250),
        "heading_deg": (0, 360),
        "load_kg": (-5_000, 100_000),
    }


class Indication(Reading, gc=False, kw_only=True):
    """scale/indication."""

    gross_kg: float
    stable: bool | None = None

    ranges: ClassVar[Ranges] = INSTANT | {"gross_kg": (-1_000, 200_000)}


class Weighing(Reading, gc=False, kw_only=True):
    """scale/weighing."""

    plate: str
    stream: Stream
    direction: Direction
    number: str | None = None
    gross_kg: float | None = None
    tare_kg: float | None = None
    net_kg: float | None = None

    ranges: ClassVar[Ranges] = INSTANT | {"gross_kg": MASS, "tare_kg": MASS, "net_kg": MASS}
    whole: ClassVar[tuple[str, ...]] = ("gross_kg", "tare_kg", "net_kg")
    texts: ClassVar[dict[str, int]] = NAMES
    filled: ClassVar[tuple[str, ...]] = ("plate",)


class Movement(Reading, gc=False, kw_only=True):
    """station/movement."""

    mass_kg: float
    stream: Stream
    direction: Direction
    plate: str | None = None
    number: str | None = None

    ranges: ClassVar[Ranges] = INSTANT | {"mass_kg": MASS}
    whole: ClassVar[tuple[str, ...]] = ("mass_kg",)
    texts: ClassVar[dict[str, int]] = NAMES


class Level(Reading, gc=False, kw_only=True):
    """station/level."""

    stock_kg: float | None = None
    leachate_m3: float | None = None

    ranges: ClassVar[Ranges] = INSTANT | {"stock_kg": (0, 10_000_000), "leachate_m3": (0, 100_000)}


class Belonging(NamedTuple):
    """Members of which some must be there together."""

    members: tuple[str, ...]
    together: bool
    """True: all or none of them. False: at least one."""


BELONGING: dict[type[Reading], Belonging] = {
    TruckReading: Belonging(("lat_deg", "lon_deg"), together=True),
    Weighing: Belonging(("gross_kg", "tare_kg"), together=False),
    Level: Belonging(("stock_kg", "leachate_m3"), together=False),
}

TYPES: dict[str, type[Reading]] = {
    "truck/reading": TruckReading,
    "scale/indication": Indication,
    "scale/weighing": Weighing,
    "station/movement": Movement,
    "station/level": Level,
}
"""Every measurement's type, under the name that it has in a topic and in the journal."""
