"""Tidying the journal: many small hot batches become a few, many hot rows become blocks.

Blocks are written some at a time, so that nobody waits long. A row that is in a batch and in a block is one row, so a round may be cut
at any instant, and begun anew.
"""

import threading
from collections.abc import Iterator
from itertools import islice

from core.order import distinct
from storage import batches, blocks
from storage.assets import MEASUREMENTS
from storage.database import Readers, Writer
from storage.tables import by_day

BLOCKS_A_STEP = 64
SMALL_ROWS = 20_000
"""Hot batches of fewer rows are folded together."""


class Sealer:
    """Keeps the hot batches within ``hot_rows`` rows and ``hot_batches`` batches, as far as it may touch them."""

    def __init__(self, writer: Writer, readers: Readers, hot_rows: int, hot_batches: int) -> None:
        self._writer, self._readers = writer, readers
        self._hot_rows, self._hot_batches = hot_rows, hot_batches
        self._turn = threading.Lock()
        self._round: Iterator[None] | None = None

    def step(self, through: int) -> bool:
        """Do a piece of work on the commits up to this one, or go on with the round begun; whether there may be more to do."""
        with self._turn:
            work = self._round or self._work(through)
            self._round = None  # what fails is begun anew
            for _ in work:
                self._round = work
                return True
            return False

    def _work(self, through: int) -> Iterator[None]:
        with self._readers.snapshot() as db:
            count, rows = batches.extent(db, through)
        if rows > self._hot_rows:
            yield from self._seal(through)
        elif count > self._hot_batches:
            self._fold(through)

    def _seal(self, through: int) -> Iterator[None]:
        for table in MEASUREMENTS.values():
            with self._readers.snapshot() as db:
                days = by_day(distinct(batches.rows_of(db, table, through)))
            while some := list(islice(days, BLOCKS_A_STEP)):
                with self._readers.snapshot() as db:  # packed before the writer is asked to wait; nobody else changes blocks
                    grown = [blocks.grown(db, *day) for day in some]
                with self._writer.transaction() as db:
                    for block in grown:
                        blocks.put(db, block)
                yield
        with self._writer.transaction() as db:
            batches.drop_through(db, through)

    def _fold(self, through: int) -> None:
        for table in MEASUREMENTS.values():
            with self._readers.snapshot() as db:
                ids, rows = batches.small(db, table, through, SMALL_ROWS)
            if len(ids) > 1:
                with self._writer.transaction() as db:
                    batches.drop(db, ids)
                    batches.append(db, through, distinct(rows))
