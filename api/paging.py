"""Long lists in pages, newest first: a limit, and a cursor that names the last row that was given.

A cursor holds the row's key, so that rows which arrive between two pages move nothing.
"""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
from fastapi import Query
from pydantic import BaseModel

from api.errors import ApiError, invalid
from core.columns import Bools, Columns, Ints
from storage.store import Stored

Row = TypeVar("Row")
Event = TypeVar("Event", bound=Columns)
Key = tuple[int | str, ...]

READ_ROWS = 1_000_000
"""More rows than a bounded span holds: a page is cut from the whole span, so that its cursor is exact."""

Limit = Annotated[int, Query(ge=1, le=1000, description="Rows per page")]
Cursor = Annotated[str | None, Query(max_length=512, description="next_cursor of the page before")]


class Page(BaseModel, Generic[Row]):
    """Some rows, newest first, and the cursor of the next page (null: these were the last)."""

    rows: list[Row]
    next_cursor: str | None


def encode_cursor(key: Key) -> str:
    """A key as an opaque word."""
    return base64.urlsafe_b64encode(json.dumps(key, ensure_ascii=False).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, like: Key) -> Key:
    """The key in a cursor, which must look like ``like``.

    Raises
    ------
    ApiError
        When the cursor is not one of this list's.
    """
    try:
        key = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise _alien(cursor) from None
    if not isinstance(key, list) or [type(part) for part in key] != [type(part) for part in like]:
        raise _alien(cursor)
    return tuple(key)


def _alien(cursor: str) -> ApiError:
    return invalid(f"cursor {cursor!r} is none of this list's", where="query.cursor", expected="next_cursor of the page before")


def pick(stored: Stored[Event], mask: Bools) -> Stored[Event]:
    """The stored rows where the mask is true."""
    return Stored(stored.rows.take(mask), stored.revision[mask], stored.withdrawn[mask], stored.change[mask])


def page_rows(
    columns: Sequence[npt.NDArray[Any]], limit: int, cursor: str | None, *, oldest_first: bool = False
) -> tuple[Ints, str | None]:
    """The rows of one page, newest first unless told, and the next page's cursor.

    Parameters
    ----------
    columns : arrays of shape (n,)
        The key, most significant column first; together unique.
    limit : rows per page
    cursor : where the page before ended

    Returns
    -------
    rows : shape (at most ``limit``,)
        Indexes into the columns.
    next_cursor : None when nothing follows
    """
    order = np.lexsort(tuple(reversed(columns)))
    if not oldest_first:
        order = order[::-1]
    if cursor is not None and len(order):
        key = decode_cursor(cursor, _key(columns, 0))
        order = order[_beyond([column[order] for column in columns], key, np.greater if oldest_first else np.less)]
    page = order[:limit]
    more = len(order) > limit
    return page, encode_cursor(_key(columns, int(page[-1]))) if more else None


def _beyond(columns: Sequence[npt.NDArray[Any]], key: Key, beyond: Callable[[Any, Any], npt.NDArray[np.bool_]]) -> npt.NDArray[np.bool_]:
    """Whether each row's key lies beyond ``key`` in the list's order, column by column."""
    result = np.zeros(len(columns[0]), dtype=bool)
    for column, part in zip(reversed(columns), reversed(key), strict=True):
        result = beyond(column, part) | ((column == part) & result)
    return result


def _key(columns: Sequence[npt.NDArray[Any]], row: int) -> Key:
    return tuple(column[row].item() for column in columns)
