"""Operating days: a site's local days, from its cut-off hour to the next, and the mass that each one moved.

Day d begins at the first instant at which the site's clocks show the cut-off of local date d or later, and ends where day d + 1 begins.
So days follow each other without gap or overlap through every change of the clocks; one may last 23, 25 or (a date that a country
skipped) 0 hours. Days are numbered from 1970-01-01.
"""

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from core.columns import Ints, States, Texts
from core.events import DayTotals

_DAY_MS = 86_400_000
_EPOCH = datetime(1970, 1, 1)
_AWAY_DAYS = 2
"""Local dates differ from the UTC date by less than this, cut-off and zone together."""


def operating_day(t_ms: Ints, zone: str, cutoff_min: int) -> Ints:
    """The operating day of each instant.

    Parameters
    ----------
    t_ms : shape (n,)
        Instants [ms since 1970-01-01T00:00Z], of the years 2 to 9998.
    zone
        IANA name of the site's time zone.
    cutoff_min
        The cut-off [minutes after local midnight], 0 to 1439.

    Returns
    -------
    shape (n,)
        Days since 1970-01-01; never falls where t_ms rises.

    Raises
    ------
    ValueError
        When the cut-off is outside of a day.
    zoneinfo.ZoneInfoNotFoundError
        When there is no such zone.

    Notes
    -----
    Exact: each day's first instant is taken from the zone's rules once, and the instants are sorted in between them.
    """
    utc_days = np.unique(t_ms // _DAY_MS)
    days: Ints = np.unique(utc_days[:, None] + np.arange(-_AWAY_DAYS, _AWAY_DAYS + 1))
    starts_ms = np.array([_day_start_ms(int(day), zone, cutoff_min) for day in days], dtype=np.int64)
    return days[np.searchsorted(starts_ms, t_ms, side="right") - 1]


def day_span_ms(day: int, zone: str, cutoff_min: int) -> tuple[int, int]:
    """The instants [ms] at which an operating day begins and ends; the end is the next day's first instant."""
    return _day_start_ms(day, zone, cutoff_min), _day_start_ms(day + 1, zone, cutoff_min)


def day_totals(
    *,
    site: Texts,
    t_ms: Ints,
    stream: Texts,
    direction: States,
    source: Texts,
    mass_kg: Ints,
    zone: str,
    cutoff_min: int,
) -> DayTotals:
    """Mass and count per site, operating day, stream, direction and source.

    Parameters
    ----------
    site, t_ms, stream, direction, source, mass_kg : shape (n,)
        What entered or left, in any order: the site's id, the instant [ms], the waste stream, IN or OUT, who says so ("ticket",
        "movement", "onboard"), and whole kilograms.
    zone, cutoff_min
        Of these sites, as in `operating_day`. Sites of several zones are totalled zone by zone.

    Returns
    -------
    DayTotals
        Sorted by (site, day, stream, direction, source). Sums are exact in int64.
    """
    keys: list[npt.NDArray[Any]] = [site, operating_day(t_ms, zone, cutoff_min), stream, direction, source]
    order = np.lexsort(keys[::-1])
    new = np.zeros(len(order), dtype=bool)
    new[:1] = True
    for key in keys:
        new[1:] |= key[order][1:] != key[order][:-1]
    starts = np.flatnonzero(new)
    first = order[starts]
    return DayTotals.of(
        site=site[first],
        day=keys[1][first],
        stream=stream[first],
        direction=direction[first],
        source=source[first],
        mass_kg=np.add.reduceat(mass_kg[order], starts) if len(starts) else [],
        count=np.diff(starts, append=len(order)),
    )


@lru_cache(maxsize=4096)
def _day_start_ms(day: int, zone: str, cutoff_min: int) -> int:
    """The first instant at which the wall clock shows the cut-off of this date, or later."""
    if not 0 <= cutoff_min < 1440:
        raise ValueError(f"cut-off is {cutoff_min} minutes after midnight; an operating day begins at 0 to 1439")
    wall = _EPOCH + timedelta(days=day, minutes=cutoff_min)
    offsets = [wall.replace(tzinfo=ZoneInfo(zone), fold=fold).utcoffset() for fold in (0, 1)]
    early_s, late_s = ((wall - _EPOCH - offset) // timedelta(seconds=1) for offset in offsets if offset is not None)
    # early <= late: the wall clock shows this once, or twice and the first time counts. Otherwise it leapt over it, between the two.
    return (early_s if early_s <= late_s else _leap_s(wall, zone, late_s, early_s)) * 1000


def _leap_s(wall: datetime, zone: str, before_s: int, after_s: int) -> int:
    """The second at which the wall clock leaps over a time that it never shows."""
    while after_s - before_s > 1:
        middle_s = (before_s + after_s) // 2
        shown = datetime.fromtimestamp(middle_s, ZoneInfo(zone)).replace(tzinfo=None)
        before_s, after_s = (middle_s, after_s) if shown < wall else (before_s, middle_s)
    return after_s
