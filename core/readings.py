"""What assets report: one table per measurement, quantised once, at the door.

Times are int64 milliseconds UTC of the device's clock; ``received_ms`` is ours. A reading's identity is (asset, t_ms, seq);
``asset`` is the number that the journal gave to (district, kind, name). Quantisation: 1e-7 degree, 0.1 km/h, 1 degree of heading, 1 kg.
"""

from dataclasses import dataclass

from core.columns import Columns, Floats, Int32s, Ints, States, Texts

EMPTY, HALF, FULL = 0, 1, 2
"""``load_state`` of a terminal that sends no weight (the three states of JT/T 808's status bits 8 and 9)."""

IN, OUT = 0, 1
"""``direction`` of a weighing or movement, seen from the facility."""


@dataclass(frozen=True, eq=False, slots=True)
class TruckReadings(Columns):
    """A truck's position, motion and load."""

    asset: Ints
    t_ms: Ints
    seq: Ints
    received_ms: Ints
    hist: States  # 1: the device marked it as a re-upload of stored data
    lat_e7: Int32s
    lon_e7: Int32s
    speed_kmh: Floats
    heading_deg: Floats
    load_kg: Floats  # the on-board sensor's net load
    load_state: States
    body_up: States
    cover_open: States


@dataclass(frozen=True, eq=False, slots=True)
class Weighings(Columns):
    """What a scale's software printed: a whole ticket (gross, tare), or one half of it. Masses are whole kilograms."""

    asset: Ints
    t_ms: Ints
    seq: Ints
    received_ms: Ints
    hist: States
    number: Texts
    plate: Texts
    gross_kg: Floats
    tare_kg: Floats
    net_kg: Floats  # as printed; the core computes its own
    stream: Texts
    direction: States


@dataclass(frozen=True, eq=False, slots=True)
class Indications(Columns):
    """A scale indicator's live value."""

    asset: Ints
    t_ms: Ints
    seq: Ints
    received_ms: Ints
    hist: States
    gross_kg: Floats
    stable: States


@dataclass(frozen=True, eq=False, slots=True)
class Movements(Columns):
    """Tonnes that a transfer station took in or sent out (a container that left)."""

    asset: Ints
    t_ms: Ints
    seq: Ints
    received_ms: Ints
    hist: States
    number: Texts
    plate: Texts
    mass_kg: Floats  # whole kilograms
    stream: Texts
    direction: States


@dataclass(frozen=True, eq=False, slots=True)
class Levels(Columns):
    """What a transfer station holds at an instant."""

    asset: Ints
    t_ms: Ints
    seq: Ints
    received_ms: Ints
    hist: States
    stock_kg: Floats
    leachate_m3: Floats


Readings = TruckReadings | Weighings | Indications | Movements | Levels
IDENTITY = ("asset", "t_ms", "seq")
"""The columns that name a reading."""
BOOKKEEPING = ("received_ms", "hist")
"""Columns that say how a reading came; they are no part of its content."""
