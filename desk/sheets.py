"""Reads the registry's files cell by cell; what cannot be read is refused with file, row, column, value and what was expected."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from desk.entries import Hours

DAY_MIN = 24 * 60


class RegistryError(ValueError):
    """A registry that cannot be used. Nothing of it is loaded: half a registry would judge wrongly."""


def refusal(where: str, value: object, expected: str) -> RegistryError:
    """The error for one value that cannot be used."""
    return RegistryError(f"{where} is {value!r}, expected {expected}; the registry was not loaded")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file: its cells as text, trimmed; the empty text is an empty cell."""

    place: str
    cells: Mapping[str, str]

    def refuse(self, column: str, expected: str) -> RegistryError:
        return refusal(f"{self.place}, column {column}", self.cells[column], expected)

    def maybe_text(self, column: str) -> str:
        return self.cells[column]

    def text(self, column: str) -> str:
        if not self.cells[column]:
            raise self.refuse(column, "some text")
        return self.cells[column]

    def word(self, column: str, words: Sequence[str]) -> str:
        if self.cells[column] not in words:
            raise self.refuse(column, f"one of {', '.join(words)}")
        return self.cells[column]

    def maybe_no(self, column: str) -> bool:
        """Whether a yes-or-no column, which may be empty or absent, does not say no."""
        return column not in self.cells or self.word(column, ("yes", "no", "")) != "no"

    def name(self, column: str) -> str:
        """An id as the wire contract allows it in a topic."""
        text = self.text(column)
        if len(text) > 64 or any(character in "/+#" or not character.isprintable() for character in text):
            raise self.refuse(column, "1 to 64 characters without /, +, # and control characters")
        return text

    def names(self, column: str) -> tuple[str, ...]:
        """Ids joined by semicolons."""
        return tuple(name.strip() for name in self.cells[column].split(";") if name.strip())

    def maybe_number(self, column: str) -> float | None:
        return self.number(column) if self.cells[column] else None

    def number(self, column: str, *, zero: bool = False) -> float:
        """A finite number above 0, or with `zero` not below it."""
        try:
            number = float(self.cells[column])
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or number < 0 or (number == 0 and not zero):
            raise self.refuse(column, f"a number {'of 0 or more' if zero else 'above 0'}")
        return number

    def maybe_whole(self, column: str) -> int | None:
        number = self.maybe_number(column)
        if number is not None and not number.is_integer():
            raise self.refuse(column, "a whole number above 0")
        return None if number is None else int(number)

    def maybe_instant_ms(self, column: str) -> int | None:
        return self.instant_ms(column) if self.cells[column] else None

    def instant_ms(self, column: str) -> int:
        try:
            instant = datetime.fromisoformat(self.cells[column])
        except ValueError:
            instant = None
        if instant is None or instant.tzinfo is None:
            raise self.refuse(column, "an instant with its offset, such as 2022-03-01T00:00:00+08:00")
        return round(instant.timestamp() * 1000)

    def hours(self, column: str) -> Hours:
        begin, _, end = self.cells[column].partition("-")
        from_min, to_min = minutes(begin), minutes(end)
        if from_min is None or to_min is None or from_min == DAY_MIN:
            raise self.refuse(column, "local hours such as 19:00-06:00")
        return Hours(from_min, to_min)


def minutes(text: str) -> int | None:
    """Minutes after midnight of "HH:MM", up to 24:00; None where the text says no time of day."""
    hour, colon, minute = text.strip().partition(":")
    if not (colon and len(hour) == len(minute) == 2 and (hour + minute).isascii() and (hour + minute).isdigit()):
        return None
    total = int(hour) * 60 + int(minute)
    return total if int(minute) < 60 and total <= DAY_MIN else None


def read_text(path: Path) -> str:
    """A file's text. A byte order mark, as spreadsheets write it, is no part of it."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise refusal(f"{path.name}, byte {error.start}", error.object[error.start : error.start + 8], "UTF-8 text") from error
    except OSError as error:
        raise RegistryError(f"{path} cannot be read: {error.strerror}; the registry was not loaded") from error


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The rows of a CSV file with a header; none where there is no such file. Columns beyond `columns` are the bureau's own.

    Rows are numbered as a spreadsheet shows them: the header is row 1.
    """
    if not path.exists():
        return
    lines = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        header = [cell.strip() for cell in next(lines, [])]
        if missing := [column for column in columns if column not in header]:
            raise refusal(f"{path.name}, row 1", ",".join(header), f"a header with the column {', '.join(missing)}")
        for number, cells in enumerate(lines, start=2):
            if cells:
                yield _row(f"{path.name}, row {number}", header, cells)
    except csv.Error as error:
        raise RegistryError(f"{path.name}, line {lines.line_num}: {error}; expected RFC 4180 CSV; the registry was not loaded") from error


def _row(place: str, header: list[str], cells: list[str]) -> Row:
    if len(cells) != len(header):
        raise refusal(place, ",".join(cells), f"{len(header)} cells as in the header, not {len(cells)}")
    return Row(place, {column: cell.strip() for column, cell in zip(header, cells, strict=True)})
