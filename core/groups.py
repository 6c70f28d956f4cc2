"""What is reckoned within groups of consecutive rows: the rows of one asset, of one haul, of one minute.

A group is a range of rows [first, end). Everything is whole numbers or a choice among given values, so that a group's result does not
depend on which other groups share the table.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from core.columns import Bools, Ints, States

_VALUE_BITS = 40
_VALUE_BIAS = 1 << (_VALUE_BITS - 1)


@dataclass(frozen=True, eq=False, slots=True)
class Groups:
    """Consecutive groups that cover a table: ``first`` row of each and its ``end``, one past the last."""

    first: Ints
    end: Ints

    @classmethod
    def of(cls, *keys: npt.NDArray[Any]) -> Self:
        """Group rows that agree in all keys with the row before."""
        rows = len(keys[0])
        new = np.ones(rows, dtype=np.bool_)
        if rows:
            new[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
        first = np.flatnonzero(new)
        return cls(first, np.append(first, rows)[1:])

    def __len__(self) -> int:
        return len(self.first)

    def holding(self, rows: Ints) -> Ints:
        """The group of each of these rows."""
        return np.searchsorted(self.first, rows, side="right") - 1

    def before(self, values: npt.NDArray[Any], carried: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The value of the row before; at the first row of a group, what was carried to it."""
        shifted = np.empty_like(values)
        shifted[1:] = values[:-1]
        shifted[self.first] = carried
        return shifted

    def newest(self, marked: Ints, rows: Ints) -> Ints:
        """Of the marked rows (ascending), the newest up to each of these rows within its group; -1 where there is none."""
        if not len(marked):
            return np.full(len(rows), -1)
        found = marked[np.searchsorted(marked, rows, side="right") - 1]
        return np.where((found <= rows) & (found >= self.first[self.holding(rows)]), found, -1)


@dataclass(frozen=True, eq=False, slots=True)
class Turns:
    """Rows at which a two-state memory changes, ascending, with its state before and after."""

    row: Ints
    before: States
    after: States

    def along(self, groups: Groups, carried: States, rows: int) -> States:
        """The memory's state after each row, where each group begins with what was carried to it."""
        return self.spread(groups, carried, self.after, rows)

    def spread(self, groups: Groups, carried: npt.NDArray[Any], values: npt.NDArray[Any], rows: int) -> npt.NDArray[Any]:
        """For each row the value of the last turn in its group; what was carried to the group, where none was."""
        starts = np.concatenate([groups.first, self.row])
        order = np.argsort(starts, kind="stable")
        return np.repeat(np.concatenate([carried, values])[order], np.diff(starts[order], append=rows))


def hysteresis(level: States, groups: Groups, carried: States) -> Turns:
    """Turns of a memory that each group begins with its carried state.

    Parameters
    ----------
    level : shape (rows,)
        1 sets the memory, 0 clears it, negative leaves it.
    carried : shape (groups,)
        State before the first row of each group; negative is unknown.
    """
    told = np.flatnonzero(level >= 0)
    after = level[told]
    before = np.empty_like(after)
    before[1:] = after[:-1]
    opening = np.searchsorted(told, groups.first)
    speaks = opening < np.searchsorted(told, groups.end)
    before[opening[speaks]] = carried[speaks]
    turned = after != before
    return Turns(told[turned], before[turned], after[turned])


def spans(first: Ints, end: Ints, rows: int) -> Bools:
    """Mark the rows of these ranges [first, end), which may overlap."""
    steps = np.zeros(rows + 1, dtype=np.int64)
    np.add.at(steps, first, 1)
    np.subtract.at(steps, end, 1)
    return np.cumsum(steps[:-1]) > 0


def expand(first: Ints, end: Ints) -> tuple[Ints, Ints]:
    """All rows of these ranges one after another, and the number of the range that each comes from."""
    lengths = end - first
    number = np.repeat(np.arange(len(first)), lengths)
    offset = np.cumsum(lengths) - lengths
    return np.arange(len(number)) + (first - offset)[number], number


def twice_median(values: Ints, groups: Groups) -> Ints:
    """Twice the median of each group: an integer, where the median of an even count may be a half.

    Values lie within ±2^39, groups are fewer than 2^23; none is empty.
    """
    number = np.arange(len(groups))
    packed = (np.repeat(number, groups.end - groups.first) << _VALUE_BITS) + (values + _VALUE_BIAS)
    packed.sort()
    lower = packed[(groups.first + groups.end - 1) // 2]
    upper = packed[(groups.first + groups.end) // 2]
    twice: Ints = lower + upper - 2 * ((number << _VALUE_BITS) + _VALUE_BIAS)
    return twice


def totals(values: Ints, groups: Groups) -> Ints:
    """Exact sum of each group; none is empty."""
    sums: Ints = np.add.reduceat(values, groups.first) if len(groups) else np.zeros(0, dtype=np.int64)
    return sums
