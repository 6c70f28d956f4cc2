"""Which clients the endpoint knows: the names whose sessions go on when they come back.

Nobody can subscribe, and QoS 1 leaves nothing behind at a receiver, so a session is nothing but its name; what it has in flight is in
the client. A client that hears Session Present 0 has to throw that away, so the names outlive this process.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

_log = logging.getLogger(__name__)

Name = tuple[str, str]
"""Account (empty without one) and client identifier."""
_MOST_NAMES = 100_000
_ENDED = 0.0
_LINE = msgspec.json.Decoder(tuple[str, str, float | None])


class Sessions:
    """The known names: those of one file, or without a file those of this process. Safe to use from several threads.

    A line of the file is ``["account","client id",until_s]``; the last line of a name counts. `until_s` is null for a session without
    an end, and 0 for one that has ended. A line begins with its line feed, so that one torn by a crash spoils no other.

    Parameters
    ----------
    path
        The file; made where there is none.
    clock
        Seconds since 1970, by which sessions expire.
    most
        Beyond so many names, the one that came longest ago is forgotten.

    Raises
    ------
    OSError
        When the file cannot be read or written.
    """

    def __init__(self, path: Path | None = None, *, clock: Callable[[], float] = time.time, most: int = _MOST_NAMES) -> None:
        self._path, self._clock, self._most = path, clock, most
        self._lock = threading.Lock()
        self._until_s: dict[Name, float | None] = {}  # in the order in which they came
        self._lines = 0
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._until_s = _read(path, clock()) if path.exists() else {}
            self._compact(path)

    def open(self, name: Name, *, resume: bool, keep: bool) -> bool:
        """Begin a connection; whether an earlier session goes on. What a later start must know is on disk when this returns.

        Parameters
        ----------
        resume
            The client wants its earlier session (Clean Start 0); otherwise that one ends now.
        keep
            The session outlives the connection. Otherwise it is forgotten at once: a crash ends the connection, and so the session.
        """
        with self._lock:
            known, until_s = name in self._until_s, self._until_s.get(name)
            if keep != known or until_s is not None:
                self._write(name, None if keep else _ENDED, sync=True)
            self._until_s.pop(name, None)
            if keep:
                self._until_s[name] = None
            self._stay_small()
            return known and resume and (until_s is None or until_s > self._clock())

    def end(self, name: Name, after_s: float) -> None:
        """Let a session end so many seconds from now; a power cut may undo this."""
        with self._lock:
            if name not in self._until_s:
                return
            if after_s <= 0:
                self._forget(name)
            else:
                self._until_s[name] = self._clock() + after_s
                self._write(name, self._until_s[name])
            self._stay_small()

    def __len__(self) -> int:
        return len(self._until_s)

    def _forget(self, name: Name) -> None:
        del self._until_s[name]
        self._write(name, _ENDED)

    def _stay_small(self) -> None:
        while len(self._until_s) > self._most:
            self._forget(next(iter(self._until_s)))
        if self._path is not None and self._lines > 2 * self._most:
            self._compact(self._path)

    def _write(self, name: Name, until_s: float | None, *, sync: bool = False) -> None:
        if self._path is None:
            return
        with self._path.open("ab") as file:
            file.write(_line(name, until_s))
            file.flush()
            if sync:
                os.fdatasync(file.fileno())
        self._lines += 1

    def _compact(self, path: Path) -> None:
        """Write a file of what counts, and put it in the place of the old one whole."""
        beside = path.with_name(path.name + ".new")
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.writelines(_line(name, until_s) for name, until_s in self._until_s.items())
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._lines = len(self._until_s)


def _read(path: Path, now_s: float) -> dict[Name, float | None]:
    """The names that have not expired, in the order of their last lines."""
    known: dict[Name, float | None] = {}
    strange = 0
    for line in path.read_bytes().split(b"\n"):
        if not line:
            continue
        try:
            account, client_id, until_s = _LINE.decode(line)
        except msgspec.DecodeError:
            strange += 1
            continue
        known.pop((account, client_id), None)
        if until_s is None or until_s > now_s:
            known[account, client_id] = until_s
    if strange:
        _log.warning("%s: %d lines are torn or no sessions; whose they were begins a new one", path, strange)
    return known


def _line(name: Name, until_s: float | None) -> bytes:
    return b"\n" + msgspec.json.encode((*name, until_s))
