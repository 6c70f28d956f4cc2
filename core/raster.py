"""A grid over polygons: most cells know which polygon contains them, the others know the few edges that decide.

All coordinates are whole units of 1e-7 degree, x for longitude and y for latitude, and every comparison is exact. A cell is a square
of 2^bits units. Cells exist only for the columns and rows that some polygon reaches, so that one far away does not coarsen the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Self

import numpy as np
import numpy.typing as npt

from core.columns import Bools, Columns, Int32s, Ints

_FINEST_BITS = 11
"""Smallest cells: 2^11 e-7 degree, 23 m."""
_MOST_CELLS = 1 << 20
"""Larger grids leave the cache, which costs more than the edges that finer cells spare."""

NOWHERE = -1
_ASK = -2
"""An answer of _ASK - k sends the question to the edges of asked cell k."""
_NONE: Ints = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False, slots=True)
class Edges(Columns):
    """Edges of polygons, each from its lower end (a) to its upper end (b)."""

    ax: Ints
    ay: Ints
    bx: Ints
    by: Ints

    @classmethod
    def between(cls, ends: Ints) -> Self:
        """From shape (edges, 4): x, y of one end and of the other, either way up."""
        downward = ends[:, 1:2] > ends[:, 3:4]
        ax, ay, bx, by = np.where(downward, ends[:, [2, 3, 0, 1]], ends).T
        return cls.of(ax=ax, ay=ay, bx=bx, by=by)

    def x_at(self, y: Ints) -> Ints:
        """Where each edge has this height, rounded down; the height is between its ends. A level edge answers with its end a."""
        rise: Ints = np.maximum(self.by - self.ay, 1)
        run: Ints = (self.bx - self.ax) * (y - self.ay) // rise
        return self.ax + run

    def contain(self, x: Ints, y: Ints, starts: Ints) -> Bools:
        """Whether each run of edges, from these starts, contains its point. x and y repeat the point for every edge of its run.

        Even-odd parity of the edges that a ray to the right crosses, or a point on an edge. Products stay below 2^63 as long as no
        edge or distance is longer than 180 degrees.
        """
        side = (self.bx - self.ax) * (y - self.ay) - (x - self.ax) * (self.by - self.ay)
        crossed = (self.ay <= y) & (y < self.by) & (side > 0)
        between_x = (np.minimum(self.ax, self.bx) <= x) & (x <= np.maximum(self.ax, self.bx))
        touched = (side == 0) & between_x & (self.ay <= y) & (y <= self.by)
        inside: Bools = np.logical_xor.reduceat(crossed, starts) | np.logical_or.reduceat(touched, starts)
        return inside


@dataclass(frozen=True, eq=False, slots=True)
class Axis:
    """Numbers the cells along one axis that some polygon reaches, from 1; 0 is outside of all."""

    bits: int
    first: int  # the cell whose number stands first
    numbers: Int32s

    @classmethod
    def of(cls, bits: int, lows: Ints, highs: Ints) -> Self:
        """For polygons that reach from these coordinates to those, both included."""
        low_cells, high_cells = lows >> bits, highs >> bits
        first, last = (int(low_cells.min()) - 1, int(high_cells.max())) if len(lows) else (0, 0)
        steps = np.zeros(last - first + 3, dtype=np.int64)
        np.add.at(steps, low_cells - first, 1)
        np.add.at(steps, high_cells - first + 1, -1)
        reached = np.cumsum(steps[:-1]) > 0
        return cls(bits, first, np.where(reached, np.cumsum(reached), 0).astype(np.int32))

    def __len__(self) -> int:
        return int(self.numbers.max()) + 1

    def number(self, coordinates: Int32s) -> Int32s:
        return self.numbers.take((coordinates >> self.bits) - np.int32(self.first), mode="clip")


@dataclass(frozen=True, eq=False, slots=True)
class _Cover:
    """How one polygon lies in the grid."""

    inside: Ints  # cells wholly inside
    cells: Ints  # cells that its boundary may touch
    edge_counts: Ints  # per such cell
    edges: Edges  # those that decide, cell after cell

    @classmethod
    def of(cls, polygon: Edges, columns: Axis, rows: Axis) -> Self:
        """Scan the polygon strip by strip (a strip is one row of cells): where edges run, and what lies between them."""
        bits = columns.bits
        left, bottom = int(np.minimum(polygon.ax, polygon.bx).min()) >> bits, int(polygon.ay.min()) >> bits
        width, height = (int(np.maximum(polygon.ax, polygon.bx).max()) >> bits) - left + 1, (int(polygon.by.max()) >> bits) - bottom + 1
        edge, strip = _by_strip(polygon, bits)
        pieces = polygon.take(edge)
        touched = np.zeros((height, width), dtype=bool)
        piece, column = _columns_of(pieces, strip, bits)
        touched[strip[piece] - bottom, column - left] = True
        odd = _odd_crossings(pieces, strip, bits, (left, bottom), (height, width))

        def numbered(row: Ints, column: Ints) -> Ints:
            first = rows.numbers[bottom - rows.first] * len(columns) + columns.numbers[left - columns.first]
            cells: Ints = row * len(columns) + column + first
            return cells

        row, column = np.nonzero(touched)
        pieces_until = np.searchsorted(strip, np.arange(bottom, bottom + height + 1))
        cell, piece = _members(pieces_until, row)
        reaches = np.maximum(pieces.ax, pieces.bx)[piece] >= (column[cell] + left) << bits
        return cls(
            inside=numbered(*np.nonzero(odd & ~touched)),
            cells=numbered(row, column),
            edge_counts=np.bincount(cell[reaches], minlength=len(row)),
            edges=pieces.take(piece[reaches]),
        )


def _by_strip(polygon: Edges, bits: int) -> tuple[Ints, Ints]:
    """Every (edge, strip) that meet, sorted by strip."""
    lowest, highest = polygon.ay >> bits, polygon.by >> bits
    edge = np.repeat(np.arange(len(polygon)), highest - lowest + 1)
    strip = lowest[edge] + _within(highest - lowest + 1)
    order = np.argsort(strip, kind="stable")
    return edge[order], strip[order]


def _columns_of(pieces: Edges, strip: Ints, bits: int) -> tuple[Ints, Ints]:
    """Every (piece, column) that may meet within the piece's strip; one too many does no harm."""
    from_x = pieces.x_at(np.maximum(pieces.ay, strip << bits))
    to_x = np.where(pieces.ay == pieces.by, pieces.bx, pieces.x_at(np.minimum(pieces.by, (strip + 1) << bits)))
    rounded_up = np.minimum(np.maximum(from_x, to_x) + 1, np.maximum(pieces.ax, pieces.bx))
    lowest, highest = np.minimum(from_x, to_x) >> bits, rounded_up >> bits
    piece = np.repeat(np.arange(len(pieces)), highest - lowest + 1)
    return piece, lowest[piece] + _within(highest - lowest + 1)


def _odd_crossings(pieces: Edges, strip: Ints, bits: int, origin: tuple[int, int], shape: tuple[int, int]) -> Bools:
    """Cells that have an odd number of edges to their left, along the lowest points of their strip."""
    y = strip << bits
    crossing = np.flatnonzero((pieces.ay <= y) & (y < pieces.by))
    column = pieces.take(crossing).x_at(y[crossing]) >> bits
    crossings = np.zeros(shape, dtype=np.int64)
    np.add.at(crossings, (strip[crossing] - origin[1], column - origin[0]), 1)
    odd: Bools = ((np.cumsum(crossings, axis=1) - crossings) & 1).astype(bool)
    return odd


@dataclass(frozen=True, eq=False, slots=True)
class Raster:
    """Answers which polygon contains a point; of overlapping ones the first given."""

    columns: Axis
    rows: Axis
    answers: npt.NDArray[np.signedinteger]  # per cell: a polygon, NOWHERE, or _ASK and below
    behind: Ints  # per asked cell: the polygon that contains all of it, should no test succeed
    tests_until: Ints  # per asked cell and one more: where its tests begin
    polygon: Ints  # per test, ascending within a cell and below the one behind
    edges_until: Ints  # per test and one more: where its edges begin
    edges: Edges

    @classmethod
    def of(cls, polygons: Sequence[Edges]) -> Self:
        """Cut the plane into the finest cells that stay within the limit."""
        ends = [
            (np.minimum(edges.ax, edges.bx).min(), np.maximum(edges.ax, edges.bx).max(), edges.ay.min(), edges.by.max())
            for edges in polygons
        ]
        left, right, bottom, top = np.array(ends, dtype=np.int64).reshape(-1, 4).T
        for bits in count(_FINEST_BITS):
            columns, rows = Axis.of(bits, left, right), Axis.of(bits, bottom, top)
            if len(columns) * len(rows) <= _MOST_CELLS:
                break
        return cls._over([_Cover.of(edges, columns, rows) for edges in polygons], columns, rows)

    @classmethod
    def _over(cls, covers: Sequence[_Cover], columns: Axis, rows: Axis) -> Self:
        answers = np.full(len(columns) * len(rows), NOWHERE, dtype=np.int64)
        for number, cover in reversed(list(enumerate(covers))):
            answers[cover.inside] = number
        cell, edge_counts = (np.concatenate([_NONE, *(getattr(cover, name) for cover in covers)]) for name in ("cells", "edge_counts"))
        polygon = np.repeat(np.arange(len(covers)), np.array([len(cover.cells) for cover in covers], dtype=np.int64))
        undecided = np.flatnonzero((answers[cell] == NOWHERE) | (polygon < answers[cell]))
        test = undecided[np.argsort(cell[undecided], kind="stable")]
        asked, test_counts = np.unique(cell[test], return_counts=True)
        behind = answers[asked]
        answers[asked] = _ASK - np.arange(len(asked))
        _, edge = _members(_until(edge_counts), test)
        return cls(
            columns=columns,
            rows=rows,
            answers=answers.astype(np.int16 if max(len(asked), len(covers)) < _ASK - np.iinfo(np.int16).min else np.int32),
            behind=behind,
            tests_until=_until(test_counts),
            polygon=polygon[test],
            edges_until=_until(edge_counts[test]),
            edges=Edges.concat([cover.edges for cover in covers]).take(edge),
        )

    def locate(self, x: Int32s, y: Int32s) -> Ints:
        """The polygon that contains each point, or NOWHERE. Points off the grid (a missing coordinate too) are nowhere."""
        cell = self.rows.number(y) * np.int32(len(self.columns)) + self.columns.number(x)
        answer = self.answers.take(cell).astype(np.int64)
        asked = np.flatnonzero(answer <= _ASK)
        if len(asked):
            answer[asked] = self._ask(_ASK - answer[asked], x[asked].astype(np.int64), y[asked].astype(np.int64))
        return answer

    def _ask(self, cell: Ints, x: Ints, y: Ints) -> Ints:
        """The first polygon whose edges contain each point, which lies in this asked cell."""
        point, test = _members(self.tests_until, cell)
        pair, edge = _members(self.edges_until, test)
        starts = _until(np.diff(self.edges_until)[test])[:-1]
        inside = np.flatnonzero(self.edges.take(edge).contain(x[point[pair]], y[point[pair]], starts))[::-1]
        answer = self.behind[cell]
        answer[point[inside]] = self.polygon[test[inside]]  # the last assignment stays: the first polygon
        return answer


def _until(counts: Ints) -> Ints:
    """Where runs of these lengths begin, and the end of the last."""
    return np.concatenate([[0], np.cumsum(counts)])


def _within(counts: Ints) -> Ints:
    """0, 1, 2 … within each run of these lengths."""
    until = _until(counts)
    return np.arange(until[-1]) - np.repeat(until[:-1], counts)


def _members(until: Ints, runs: Ints) -> tuple[Ints, Ints]:
    """All members of these runs, each with the place of its run among them."""
    counts = until[runs + 1] - until[runs]
    place = np.repeat(np.arange(len(runs)), counts)
    return place, until[runs][place] + _within(counts)
