"""One SQLite file: a single writer, and readers on any thread of any process.

The writer holds a lock file for as long as it lives. Readers have a connection per thread and see whole commits only.
"""

import fcntl
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np

from storage.codec import DamagedError
from storage.schema import FORMAT, SCHEMA


def _as_int(value: Any) -> int:
    return int(value)


for integer in (np.int8, np.int32, np.int64, np.bool_):
    sqlite3.register_adapter(integer, _as_int)  # sqlite3 would bind a NumPy integer as a blob, without a word


class JournalError(Exception):
    """The journal could not do what was asked. Nothing of it was stored, and the journal can be used again."""


@contextmanager
def explained(path: Path, action: str) -> Iterator[None]:
    """Turn what SQLite, the system and the codec raise into one error that names the file."""
    try:
        yield
    except (sqlite3.Error, OSError, DamagedError) as error:
        raise JournalError(f"{path}: cannot {action}: {error}") from error


class Lease:
    """The right to write, held through a lock on a file of its own; the system frees it when the process dies."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._file, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise JournalError(f"{path} is locked by process {holder}; a journal has one writer, so end that one first") from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        os.close(self._file)


class Readers:
    """Read-only connections to the file; any thread may read, and each read sees one commit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._idle: deque[sqlite3.Connection] = deque()
        self._closed = False

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one commit, whatever is written meanwhile."""
        with explained(self.path, "read"):
            connection = self._connection()
            try:
                connection.execute("begin")
                yield connection
            finally:
                connection.rollback()
                self._put_back(connection)

    def _connection(self) -> sqlite3.Connection:
        try:
            return self._idle.pop()
        except IndexError:
            # Lent to one thread at a time.
            uri = f"{self.path.absolute().as_uri()}?mode=ro"
            return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=10)

    def _put_back(self, connection: sqlite3.Connection) -> None:
        self._idle.append(connection)
        if self._closed:
            self.close()

    def close(self) -> None:
        self._closed = True
        while self._idle:
            self._idle.pop().close()


class Writer:
    """The file's only writing connection. Every transaction is on disk when it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._turn = threading.RLock()
        with explained(path, "open"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lease = Lease(path.with_name(path.name + ".lock"))
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)  # guarded by _turn
            try:
                self._prepare()
            except BaseException:
                self.close()
                raise

    def _prepare(self) -> None:
        # Blobs of tens of kilobytes: fewer, larger pages. The WAL is cut back after a burst.
        for pragma in ("page_size = 16384", "journal_mode = wal", "synchronous = full", "journal_size_limit = 67108864"):
            self._db.execute(f"pragma {pragma}")
        found = self._db.execute("pragma user_version").fetchone()[0]
        if found == 0:
            self._db.executescript(f"begin immediate; {SCHEMA} pragma user_version = {FORMAT}; commit;")
        elif found != FORMAT:
            raise JournalError(f"{self.path}: the file has format {found}, this program reads and writes format {FORMAT}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; durable when the outermost transaction of this thread ends."""
        with self._turn, explained(self.path, "write"):
            if self._db.in_transaction:
                yield self._db
                return
            self._db.execute("begin immediate")
            try:
                yield self._db
                self._db.execute("commit")
            except BaseException:
                self._db.rollback()  # does nothing where SQLite has done so by itself
                raise

    def close(self) -> None:
        with self._turn:
            self._db.close()
            self._lease.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
