"""What the bureau's registry says of a truck at the time of each reading."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from core.columns import Floats, Ints
from core.groups import Groups
from core.rules import TruckSpecs


@dataclass(frozen=True, eq=False, slots=True)
class Limits:
    """The registry's row in force from each of these rows on, ascending; NaN where the bureau does not know."""

    row: Ints
    rated_kg: Floats
    tare_kg: Floats
    gross_limit_kg: Floats

    @classmethod
    def of(cls, specs: TruckSpecs, trucks: Groups, asset: Ints, t_ms: Ints) -> Self:
        """Find the rows at which a registration comes into force.

        Parameters
        ----------
        specs
            Sorted by (asset, from_ms).
        asset : shape (trucks,)
            Ascending.
        t_ms : shape (rows,)
            Ascending within each truck.
        """
        truck = np.searchsorted(asset, specs.asset)
        known = truck < len(asset)
        known[known] = asset[truck[known]] == specs.asset[known]
        spec, truck = np.flatnonzero(known), truck[known]
        row = trucks.first[truck]
        for late in np.flatnonzero(specs.from_ms[spec] > t_ms[row]).tolist():
            of_truck = slice(trucks.first[truck[late]], trucks.end[truck[late]])
            row[late] += np.searchsorted(t_ms[of_truck], specs.from_ms[spec[late]])
        here = row < trucks.end[truck]
        starts = np.concatenate([trucks.first, row[here]])
        source = np.concatenate([np.full(len(trucks), len(specs)), spec[here]])
        order = np.argsort(starts, kind="stable")
        starts, source = starts[order], source[order]
        speaks = np.append(starts[1:] != starts[:-1], True) if len(starts) else np.zeros(0, dtype=np.bool_)
        starts, source = starts[speaks], source[speaks]
        return cls(
            starts,
            np.append(specs.rated_kg, np.nan)[source],
            np.append(specs.tare_kg, np.nan)[source],
            np.append(specs.gross_limit_kg, np.nan)[source],
        )

    def at(self, rows: Ints) -> "Limits":
        """What holds at each of these rows."""
        found = np.searchsorted(self.row, rows, side="right") - 1
        return Limits(rows, self.rated_kg[found], self.tare_kg[found], self.gross_limit_kg[found])

    def along(self, values: Floats, rows: int) -> Floats:
        """A value of each span of rows, for each row."""
        return np.repeat(values, np.diff(self.row, append=rows))
