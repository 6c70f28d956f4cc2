"""Between the journal's numbers and the names that callers use. A name belongs to a district: two districts may each have a truck 1."""

from api.deps import Deps
from api.errors import not_found
from storage.assets import AssetKey


def numbers(deps: Deps, kind: str) -> dict[AssetKey, int]:
    """The journal's number of each asset of a kind that has reported."""
    return {key: number for number, key in deps.store.assets().items() if key.kind == kind}


SILENT = 0
"""Stands for an asset that never reported: the journal's numbers begin at 1, so a read of it finds nothing."""


def number_of(deps: Deps, kind: str, name: str, district: str | None, *, where: str) -> int:
    """The journal's number of an asset; ``SILENT`` when it is registered but has never reported.

    Raises
    ------
    ApiError
        When neither the journal nor the registry knows it.
    """
    key = AssetKey(district or deps.registry.district, kind, name)
    number = numbers(deps, kind).get(key, SILENT)
    if number == SILENT and (key.district != deps.registry.district or name not in _registered(deps, kind)):
        raise not_found(kind, name, where=where, expected=f"a {kind} that has reported in {key.district} or is registered there")
    return number


def _registered(deps: Deps, kind: str) -> set[str]:
    match kind:
        case "truck":
            return {truck.id for truck in deps.registry.trucks()}
        case "scale":
            return {scale.id for scale in deps.registry.scales()}
        case _:
            return {station.id for station in deps.registry.stations()}
