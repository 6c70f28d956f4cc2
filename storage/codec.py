"""Tables to bytes and back: the one format of hot batches and sealed blocks.

A body is ``magic, CRC-32, header length, header, columns``; the CRC covers all that follows it. The header is JSON and names every
column, so that a table which has grown a column since reads old bodies with that column not measured. Everything comes back bit
for bit, NaN payloads and negative zeros included.

Integers are stored as offsets from the smallest, in the narrowest type that holds them; in sealed blocks as differences between
neighbours where that is narrower. Floats that are whole multiples of 1, 0.1, 0.01 or 0.001 are stored as such integers.
"""

import struct
import zlib
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from core.columns import MISSING, UNKNOWN, Columns, Floats, Ints

C = TypeVar("C", bound=Columns)
Column = npt.NDArray[Any]
Buffer = bytes | memoryview

MAGIC = b"PLM1"
FEW_ROWS = 1000
"""Below this many rows a hot batch is stored as it is: narrowing would cost more time than it saves bytes."""

_PREFIX = struct.Struct("<4sII")
_SCALES = (1, 10, 100, 1000)
_EXACT = 2.0**53
_NAN_BITS = np.float64(np.nan).view(np.int64)


class DamagedError(ValueError):
    """These bytes are not what was written."""


class Part(msgspec.Struct, array_like=True):
    """How one column is stored. What a kind does not need stays at its default."""

    name: str
    kind: str  # raw, int, decimal, text
    dtype: str  # of the column; empty for text
    size: int = 0  # bytes in the body
    width: int = 0  # bytes per stored value; 0 when all are the same, and for text
    base: int = 0  # added to every stored integer
    first: int | None = None  # the first value, when differences are stored
    scale: int = 1  # decimal: integers per unit
    nan: int | None = None  # decimal: the integer that stands for NaN


class Header(msgspec.Struct, array_like=True):
    """What a body holds."""

    rows: int
    packed: bool  # every column is a zlib stream of its values' first bytes, then of their second ones …
    parts: list[Part]


_HEADER = msgspec.json.Decoder(Header)
_TEXTS = msgspec.json.Decoder(list[str])


def encode(table: Columns, level: int = 0) -> bytes:
    """The table as bytes; ``level`` is zlib's: 0 for hot batches, which are not compressed."""
    parts, bodies = [], []
    for name in table.names():
        part, body = _encode_column(name, getattr(table, name), level)
        if level:
            body = zlib.compress(_transposed(body, part.width), level)
        part.size = len(body)
        parts.append(part)
        bodies.append(body)
    header = msgspec.json.encode(Header(len(table), level > 0, parts))
    checked = b"".join([struct.pack("<I", len(header)), header, *bodies])
    return MAGIC + struct.pack("<I", zlib.crc32(checked)) + checked


def decode(table: type[C], body: bytes) -> C:
    """The table that was encoded; columns that it did not have are not measured.

    Raises
    ------
    DamagedError
        When the bytes are not those that were written.
    """
    header, start = _checked_header(body)
    wanted, columns = table.dtypes(), {}
    for part in header.parts:
        end = start + part.size
        if part.name in wanted:
            column: Buffer = memoryview(body)[start:end]
            if header.packed:
                column = _transposed(zlib.decompress(column), part.width, back=True)
            columns[part.name] = _decode_column(part, column, header.rows)
        start = end
    absent = {name: not_measured(dtype, header.rows) for name, dtype in wanted.items() if name not in columns}
    return table(**columns, **absent)


def not_measured(dtype: np.dtype[Any], rows: int) -> Column:
    """A column in which nothing was measured."""
    if dtype.kind == "U":
        return np.full(rows, "", "<U1")
    blanks: dict[str, Any] = {"f8": np.nan, "i4": MISSING, "i1": UNKNOWN}
    return np.full(rows, blanks.get(dtype.str[1:], 0), dtype)


def _checked_header(body: bytes) -> tuple[Header, int]:
    if len(body) < _PREFIX.size:
        raise DamagedError(f"{len(body)} bytes, at least {_PREFIX.size} were written")
    magic, crc, size = _PREFIX.unpack_from(body)
    if magic != MAGIC:
        raise DamagedError(f"begins with {magic!r}, {MAGIC!r} was written")
    found = zlib.crc32(memoryview(body)[8:])
    if found != crc:
        raise DamagedError(f"CRC-32 is {found:08x}, {crc:08x} was written")
    end = _PREFIX.size + size
    return _HEADER.decode(memoryview(body)[_PREFIX.size : end]), end


def _encode_column(name: str, column: Column, level: int) -> tuple[Part, bytes]:
    if column.dtype.kind == "U":
        return Part(name, "text", ""), msgspec.json.encode(column.tolist())
    if len(column) == 0 or (len(column) < FEW_ROWS and not level):
        return Part(name, "raw", column.dtype.str, width=column.itemsize), column.tobytes()
    if column.dtype.kind == "f":
        return _encode_floats(Part(name, "decimal", column.dtype.str), column, level)
    return _encode_ints(Part(name, "int", column.dtype.str), column.astype(np.int64), level)


def _decode_column(part: Part, body: Buffer, rows: int) -> Column:
    if part.kind == "text":
        return np.array(_TEXTS.decode(body), dtype=np.str_)
    if part.kind == "raw":
        return np.frombuffer(body, part.dtype)
    ints = _decode_ints(part, body, rows)
    return _decode_floats(part, ints) if part.kind == "decimal" else ints.astype(part.dtype, copy=False)


def _transposed(body: bytes, width: int, *, back: bool = False) -> bytes:
    """First bytes first: zlib then finds the high bytes, which hardly change, side by side; smaller and faster."""
    if width < 2 or not body:
        return body
    matrix = np.frombuffer(body, np.uint8).reshape((width, -1) if back else (-1, width))
    return matrix.T.tobytes()


def _encode_ints(part: Part, values: Ints, level: int) -> tuple[Part, bytes]:
    """Offsets from the smallest, or from the smallest step. Arithmetic wraps around, so that any int64 survives."""
    part.base, part.width = _base_and_width(values)
    if level and part.width > 1:
        steps = np.diff(values)
        base, width = _base_and_width(steps)
        if width < part.width:
            part.first, part.base, part.width, values = int(values[0]), base, width, steps
    if part.width == 0:
        return part, b""
    return part, (values.view(np.uint64) - _wrapped(part.base)).astype(f"<u{part.width}").tobytes()


def _decode_ints(part: Part, body: Buffer, rows: int) -> Ints:
    stored = rows if part.first is None else rows - 1
    ints = np.full(stored, _wrapped(part.base))
    if part.width:
        ints += np.frombuffer(body, f"<u{part.width}")
    if part.first is not None:
        ints = np.cumsum(np.concatenate([[_wrapped(part.first)], ints]))
    return ints.view(np.int64)


def _base_and_width(values: Ints) -> tuple[int, int]:
    base, top = int(values.min()), int(values.max())
    return base, next(width for width in (0, 1, 2, 4, 8) if top - base < 256**width)


def _wrapped(value: int) -> np.uint64:
    return np.uint64(value % 2**64)


def _encode_floats(part: Part, column: Floats, level: int) -> tuple[Part, bytes]:
    """Integers where that is exact to the bit, the floats themselves otherwise."""
    missing = np.isnan(column)
    bits = column.view(np.int64)
    known = np.where(missing, 0.0, column)
    if np.abs(known).max() < _EXACT / _SCALES[-1] and bool((bits[missing] == _NAN_BITS).all()):
        for scale in _SCALES:
            ints = np.rint(known * scale).astype(np.int64)
            if bool(((ints / scale).view(np.int64) == known.view(np.int64)).all()):
                part.scale = scale
                if missing.any():
                    part.nan = int(ints.min()) - 1
                    ints[missing] = part.nan
                return _encode_ints(part, ints, level)
    part.kind, part.width = "raw", column.itemsize
    return part, column.tobytes()


def _decode_floats(part: Part, ints: Ints) -> Floats:
    floats: Floats = ints / part.scale
    if part.nan is not None:
        floats[ints == part.nan] = np.nan
    return floats
