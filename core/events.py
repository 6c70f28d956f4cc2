"""What the core concludes: one table per kind of event.

Every event begins at the time of a reading (``start_ms``), so that (asset, kind, start) names it however the stream was cut.
``end_ms`` is ``OPEN_MS`` while the span lasts. Sites are named by their ids; the empty string is none.
"""

from dataclasses import dataclass
from enum import IntEnum, IntFlag

from core.columns import Bools, Columns, Floats, Int32s, Ints, States, Texts


class Sign(IntFlag):
    """Evidence for one edge of a cycle. Two independent signs confirm an edge; fewer leave it inferred."""

    LOAD = 1  # the load sensor crossed its threshold
    LIFT = 2  # the body went up
    COVER = 4  # the cover opened or closed
    SITE = 8  # inside a site whose role fits the edge
    STOP = 16  # the truck stood
    GAP = 32  # no readings around the edge: it happened in silence
    RESTART = 64  # the first reading of this asset: the edge lies before our data


class FlagKind(IntEnum):
    """The rules' verdicts. Names are the API's words (lower case)."""

    OVERLOAD_PAYLOAD = 1  # 超载: over the rated payload
    OVERLOAD_GROSS = 2  # 超限: over the gross limit of the axle class
    SPILLAGE = 3  # 疑似抛撒: load lost on the way
    GPS_JUMP = 4  # 定位漂移
    GAP = 5  # 数据中断
    TICKET_OVERLOAD_GROSS = 6  # 超限, evidenced by a weighing
    TICKET_MISMATCH = 7  # the printed net is not gross minus tare


class Severity(IntEnum):
    """How sure a verdict is."""

    INFO = 0
    CONDITIONAL = 1  # above the limit, but within the guard band: a suspicion that cannot be told from a lawful load
    FAIL = 2  # above the limit by more than the guard band


@dataclass(frozen=True, eq=False, slots=True)
class Cycles(Columns):
    """One load → haul → dump of one truck. ``start_ms`` is the reading at which the load rose."""

    asset: Ints
    start_ms: Ints
    depart_ms: Ints  # first moving reading of the haul; OPEN_MS before it
    arrive_ms: Ints  # last moving reading of the haul so far
    end_ms: Ints  # the reading at which the load had fallen
    load_site: Texts
    dump_site: Texts
    payload_kg: Floats  # plateau of the haul; NaN where no weight was measured
    payload_u_kg: Floats  # standard uncertainty
    plateau_rows: Ints
    haul_m: Ints
    load_signs: Ints  # Sign
    dump_signs: Ints  # Sign; 0 while open
    rules: Texts  # version of the rules by which it was told


@dataclass(frozen=True, eq=False, slots=True)
class Flags(Columns):
    """A verdict about a span of one asset's time, with what it takes to explain it."""

    asset: Ints
    kind: States  # FlagKind
    start_ms: Ints
    end_ms: Ints
    severity: States  # Severity
    at_ms: Ints  # the reading that shows it best: the step of a spillage, the departure of an overloaded truck
    lat_e7: Int32s  # where, at at_ms
    lon_e7: Int32s
    value: Floats  # measured, in the unit of the limit (kg, m, ms)
    limit: Floats
    u: Floats  # standard uncertainty of value
    rows: Ints  # how many readings speak
    rules: Texts  # version of the rules that judged


@dataclass(frozen=True, eq=False, slots=True)
class Latest(Columns):
    """The newest reading of each truck by device time, with the newest fix that was no jump, and how late its readings come."""

    asset: Ints
    t_ms: Ints
    heard_ms: Ints  # receipt of the newest reading that came, re-uploads left aside; -1: none came
    late_ms: Ints  # how long after its device time that was
    steady_ms: Ints  # receipt of the first reading since which they come about as late as each other
    steady_late_ms: Ints  # how late that one was
    fix_ms: Ints  # -1: never had a fix
    lat_e7: Int32s
    lon_e7: Int32s
    speed_kmh: Floats
    heading_deg: Floats
    load_kg: Floats
    loaded: States  # -1 unknown, 0 empty, 1 loaded
    moving: States
    site: Texts


@dataclass(frozen=True, eq=False, slots=True)
class Tickets(Columns):
    """One completed weighing. ``asset`` is the scale, ``start_ms`` its first weighing, ``end_ms`` its second (or the same)."""

    asset: Ints
    start_ms: Ints
    end_ms: Ints
    number: Texts
    plate: Texts
    gross_kg: Ints
    tare_kg: Ints
    net_kg: Ints  # gross minus tare, always
    stream: Texts
    direction: States
    paired: Bools  # put together from two weighings, not printed as one


@dataclass(frozen=True, eq=False, slots=True)
class DayTotals(Columns):
    """Mass that entered or left a facility in one operating day.

    ``site``, ``day`` (days since 1970-01-01), stream, direction and source name the row.
    """

    site: Texts
    day: Ints
    stream: Texts
    direction: States
    source: Texts  # "ticket", "movement" or "onboard": never added together
    mass_kg: Ints
    count: Ints
