"""Structures of arrays: the one shape in which readings and events travel between the parts.

A table is a frozen dataclass whose fields are one-dimensional arrays of equal length. Row order carries no meaning unless a
function says so. Not measured is NaN in float columns, ``MISSING`` in int32 positions, ``UNKNOWN`` (-1) in int8 states and the
empty string in text.
"""

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
States = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.str_]

MISSING = np.int32(np.iinfo(np.int32).min)
"""A position that was not measured (``lat_e7``, ``lon_e7``)."""
UNKNOWN = np.int8(-1)
"""A state that was not measured (``body_up``, ``cover_open``, ``load_state``)."""
OPEN_MS = np.int64(np.iinfo(np.int64).max)
"""The end of a span that has not ended."""


_DTYPES: dict[Any, str] = {Ints: "<i8", Int32s: "<i4", States: "i1", Floats: "<f8", Bools: "?", Texts: "U"}


@dataclass(frozen=True, eq=False, slots=True)
class Columns:
    """Base of every table. Subclasses are ``@dataclass(frozen=True, eq=False, slots=True)`` and annotate arrays only."""

    def __len__(self) -> int:
        first: npt.NDArray[Any] = getattr(self, fields(self)[0].name)
        return len(first)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Column names in their canonical order."""
        return tuple(field.name for field in fields(cls))

    @classmethod
    def dtypes(cls) -> dict[str, np.dtype[Any]]:
        """The dtype of each column; ``U`` stands for text of any width."""
        return {field.name: np.dtype(_DTYPES[field.type]) for field in fields(cls)}

    @classmethod
    def of(cls, **columns: npt.ArrayLike) -> Self:
        """Build a table from anything array-like, with each column cast to its dtype.

        Raises
        ------
        ValueError
            When two columns differ in length.
        """
        cast = {name: np.asarray(columns[name], dtype=dtype) for name, dtype in cls.dtypes().items()}
        lengths = {name: len(column) for name, column in cast.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"{cls.__name__}: columns differ in length: {lengths}; every column needs one value per row")
        return cls(**cast)

    @classmethod
    def empty(cls) -> Self:
        return cls.of(**dict.fromkeys(cls.names(), ()))

    @classmethod
    def concat(cls, parts: "list[Self]") -> Self:
        """The rows of all parts, in their order."""
        if not parts:
            return cls.empty()
        if len(parts) == 1:
            return parts[0]
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in cls.names()})

    def take(self, rows: npt.NDArray[Any] | slice) -> Self:
        """The rows at these indexes, or where this mask is true."""
        return type(self)(**{name: getattr(self, name)[rows] for name in self.names()})
