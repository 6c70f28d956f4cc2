"""The bureau's registry: which trucks, sites, routes, scales, stations, permits and densities there are, and since when.

A `Registry` answers with every version of every entry, in the bureau's order; the functions turn it into what the core takes.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from core.columns import Floats, Ints, Texts
from core.geofence import Role, Sites
from core.rules import TruckSpecs
from desk.entries import Density, Permit, Route, Scale, Site, Station, Truck
from desk.folder import FolderRegistry
from desk.sheets import RegistryError

__all__ = ["FolderRegistry", "Registry", "RegistryError", "core_sites", "gross_limits_kg", "truck_specs", "trucks_at"]

FROM_THE_FIRST = int(np.iinfo(np.int64).min)


class Registry(Protocol):
    """Reference data of one district."""

    @property
    def district(self) -> str:
        """The district as it stands in topics."""
        ...

    @property
    def name_zh(self) -> str: ...

    @property
    def name_en(self) -> str: ...

    @property
    def zone(self) -> str:
        """The IANA zone in which its days begin."""
        ...

    @property
    def cutoff_min(self) -> int:
        """Minutes after local midnight at which an operating day begins."""
        ...

    def trucks(self) -> tuple[Truck, ...]: ...

    def sites(self) -> tuple[Site, ...]: ...

    def scales(self) -> tuple[Scale, ...]: ...

    def stations(self) -> tuple[Station, ...]: ...

    def routes(self) -> tuple[Route, ...]: ...

    def permits(self) -> tuple[Permit, ...]: ...

    def densities(self) -> tuple[Density, ...]: ...


def core_sites(registry: Registry) -> Sites:
    """The sites as the core locates fixes in them."""
    sites = registry.sites()
    return Sites.of([site.id for site in sites], [Role[site.role.upper()] for site in sites], [site.rings for site in sites])


def truck_specs(registry: Registry, number_of: Mapping[str, int]) -> TruckSpecs:
    """The limits of these trucks by journal number, in all their versions.

    Parameters
    ----------
    number_of
        The journal's number of each truck id that has reported; registered trucks beyond it are left out.
    """
    known = [truck for truck in registry.trucks() if truck.id in number_of]
    known.sort(key=lambda truck: (number_of[truck.id], _since(truck)))
    return TruckSpecs.of(
        asset=[number_of[truck.id] for truck in known],
        from_ms=[_since(truck) for truck in known],
        rated_kg=[_nan(truck.rated_kg) for truck in known],
        tare_kg=[_nan(truck.tare_kg) for truck in known],
        gross_limit_kg=[_nan(truck.gross_limit_kg) for truck in known],
    )


def trucks_at(registry: Registry, t_ms: int) -> dict[str, Truck]:
    """The registration of each truck that holds at an instant, by truck id; before its first one, that one."""
    held: dict[str, Truck] = {}
    for truck in sorted(registry.trucks(), key=_since):
        if truck.id not in held or _since(truck) <= t_ms:
            held[truck.id] = truck
    return held


def gross_limits_kg(registry: Registry, plate: Texts, t_ms: Ints) -> Floats:
    """The gross limit of the truck that carried each plate at each instant.

    Parameters
    ----------
    plate, t_ms : shape (n,)
        Plates as a scale printed them, and when.

    Returns
    -------
    shape (n,)
        Limits [kg]; NaN where the plate is not registered, or its limit is not known.
    """
    of_plate: dict[str, list[Truck]] = {}
    for truck in sorted(registry.trucks(), key=_since):
        of_plate.setdefault(truck.plate, []).append(truck)

    def limit_kg(plate: str, t_ms: int) -> float:
        held = [truck for truck in of_plate.get(plate, []) if _since(truck) <= t_ms]
        return _nan(held[-1].gross_limit_kg) if held else np.nan

    return np.array([limit_kg(str(name), int(when)) for name, when in zip(plate, t_ms, strict=True)], dtype=np.float64)


def _since(truck: Truck) -> int:
    return FROM_THE_FIRST if truck.from_ms is None else truck.from_ms


def _nan(value: float | None) -> float:
    return np.nan if value is None else value
