"""Overload in its two legal meanings: over the rated payload (超载), and over the gross limit of the axle class (超限)."""

import numpy as np

from core.columns import Floats
from core.events import Cycles, FlagKind, Flags, Severity
from core.jump import Anchors
from core.limits import Limits
from core.rules import Rules


def overloads(cycles: Cycles, limits: Limits, departures: Anchors, rules: Rules) -> Flags:
    """Flags of the cycles whose load lies above a limit; never both meanings in one number.

    Parameters
    ----------
    cycles, limits, departures : one row per cycle
        With what the registry said at the cycle's start, and the fix at its departure.
    """
    payload, gross = cycles.payload_kg, cycles.payload_kg + limits.tare_kg
    return Flags.concat(
        [
            _over(cycles, FlagKind.OVERLOAD_PAYLOAD, payload, limits.rated_kg, departures, rules),
            _over(cycles, FlagKind.OVERLOAD_GROSS, gross, limits.gross_limit_kg, departures, rules),
        ]
    )


def _over(cycles: Cycles, kind: FlagKind, value_kg: Floats, limit_kg: Floats, departures: Anchors, rules: Rules) -> Flags:
    """One meaning. Above the limit is a suspicion; above the guard band besides, a verdict (ILAC-G8:09/2019, guarded rejection)."""
    found = np.flatnonzero((value_kg > limit_kg) & (cycles.plateau_rows >= rules.plateau_rows))
    value_kg, limit_kg, cycles, departures = value_kg[found], limit_kg[found], cycles.take(found), departures.take(found)
    sure = value_kg > limit_kg + rules.guard_k * cycles.payload_u_kg
    return Flags.of(
        asset=cycles.asset,
        kind=np.full(len(found), kind),
        start_ms=cycles.start_ms,
        end_ms=cycles.end_ms,
        severity=np.where(sure, Severity.FAIL, Severity.CONDITIONAL),
        at_ms=np.minimum(cycles.depart_ms, cycles.end_ms),
        lat_e7=departures.lat_e7,
        lon_e7=departures.lon_e7,
        value=value_kg,
        limit=limit_kg,
        u=cycles.payload_u_kg,
        rows=cycles.plateau_rows,
        rules=np.full(len(found), rules.version),
    )
