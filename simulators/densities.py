"""What a cubic metre weighs, by stream and state: the versioned table that joins permits (volumes) to loads (masses)."""

from typing import NamedTuple


class Density(NamedTuple):
    """One row of the table, with its standard uncertainty."""

    stream: str
    state: str  # "bank" (实方, as it lies in the ground) or "loose" (松方, as it lies in a body)
    kg_per_m3: int
    u_kg_per_m3: int


MUCK_BANK = Density("muck", "bank", 1_800, 100)
MUCK_LOOSE = Density("muck", "loose", 1_450, 120)
DENSITIES = (
    MUCK_BANK,
    MUCK_LOOSE,
    Density("construction", "loose", 1_300, 200),
    Density("domestic", "loose", 450, 100),
    Density("kitchen", "loose", 900, 100),
    Density("fly_ash", "loose", 900, 150),
)
