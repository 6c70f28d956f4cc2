"""What the bureau's registry holds: one frozen dataclass per kind of entry.

None is what the bureau does not know. Times are epoch milliseconds; positions are (longitude, latitude) in degrees, WGS-84.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

RoleName = Literal["construction", "disposal", "landfill", "transfer", "incinerator", "depot", "forbidden"]
TruckType = Literal["smart", "tarpaulin", "other", "collection", "container"]
Stream = Literal["muck", "construction", "domestic", "kitchen", "bulky", "hazardous", "fly_ash"]
DensityState = Literal["bank", "loose"]

ROLE_NAMES: tuple[str, ...] = get_args(RoleName)
TRUCK_TYPES: tuple[str, ...] = get_args(TruckType)
STREAMS: tuple[str, ...] = get_args(Stream)
DENSITY_STATES: tuple[str, ...] = get_args(DensityState)

Position = tuple[float, float]
Line = tuple[Position, ...]


class Hours(NamedTuple):
    """A span of the local day in minutes after midnight. It runs over midnight when `to_min` is not after `from_min`."""

    from_min: int
    to_min: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Truck:
    """One registration of a truck (一车一档). A truck with several holds each from its `from_ms` on."""

    id: str
    plate: str
    type: TruckType
    axles: int | None
    rated_kg: float | None
    tare_kg: float | None
    gross_limit_kg: float | None
    company_zh: str
    company_en: str
    from_ms: int | None  # None: from the truck's first reading
    terminal: bool = True  # False: known by its plate at the scales only


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A polygon with a role."""

    id: str
    role: RoleName
    name_zh: str
    name_en: str
    capacity_t_per_day: float | None
    rings: tuple[Line, ...]  # the outline, then its holes; the last position of each repeats the first


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A line that trucks should follow, within half of `width_m` on either side."""

    id: str
    from_site: str
    to_site: str
    width_m: float
    line: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """A weighbridge. `interval_kg` is its scale interval e."""

    id: str
    site: str
    name_zh: str
    name_en: str
    interval_kg: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """A transfer station's own telemetry; its ground is the site."""

    id: str
    site: str
    name_zh: str
    name_en: str
    capacity_t_per_day: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """Who may haul from which site to which, along which route, in which hours, up to which volume (处置证)."""

    id: str
    from_site: str
    to_site: str
    route: str | None
    hours: Hours
    volume_m3: float
    from_ms: int
    to_ms: int
    trucks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Density:
    """Mass per volume of a stream, in the ground (实方) or loose on a truck (松方)."""

    stream: Stream
    state: DensityState
    kg_per_m3: float
    u_kg_per_m3: float  # standard uncertainty
    from_ms: int | None  # None: always
