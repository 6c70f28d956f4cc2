"""How an asset is named outside, and which measurements it may report.

Inside, an asset is the number that the journal gave to its key: permanent, one or more.
"""

import sqlite3
from dataclasses import dataclass

from core.columns import Columns
from core.readings import Indications, Levels, Movements, Readings, TruckReadings, Weighings

MEASUREMENTS: dict[str, type[Readings]] = {
    "truck/reading": TruckReadings,
    "scale/weighing": Weighings,
    "scale/indication": Indications,
    "station/movement": Movements,
    "station/level": Levels,
}
"""Every table of readings under the name that it has on the wire, in the journal and in InfluxDB."""

_NAMES: dict[type[Columns], str] = {table: name for name, table in MEASUREMENTS.items()}


@dataclass(frozen=True, slots=True)
class AssetKey:
    """An asset as its district knows it. ``kind`` is ``truck``, ``scale`` or ``station``."""

    district: str
    kind: str
    name: str


def measurement_of(table: type[Columns]) -> str:
    """The measurement's name, for example ``truck/reading``."""
    return _NAMES[table]


def assets_of(db: sqlite3.Connection) -> dict[int, AssetKey]:
    """Every asset that a commit has made durable, by its number."""
    return {number: AssetKey(*key) for number, *key in db.execute("select number, district, kind, name from assets")}
