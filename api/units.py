"""Single values on their way out: not measured becomes null, the store's integers become the units of the answer."""

import math

from pydantic import BaseModel

from core.columns import MISSING


class Point(BaseModel):
    """A position, WGS-84."""

    lat_deg: float
    lon_deg: float


def measured(value: float, digits: int = 3) -> float | None:
    """A measured value, rounded; None for NaN."""
    return None if math.isnan(value) else round(float(value), digits)


def known(state: int) -> bool | None:
    """A two-valued state; None when it was not measured."""
    return None if state < 0 else bool(state)


def point(lat_e7: int, lon_e7: int) -> Point | None:
    """A position in degrees; None where it was not measured."""
    return None if MISSING in (lat_e7, lon_e7) else Point(lat_deg=int(lat_e7) / 1e7, lon_deg=int(lon_e7) / 1e7)


def direction(state: int) -> str:
    """``in`` or ``out``, seen from the facility."""
    return ("in", "out")[int(state)]


def tonnes(mass_kg: int) -> float:
    """Kilograms as tonnes, exact to the kilogram."""
    return int(mass_kg) / 1000
