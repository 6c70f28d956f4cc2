import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from core.columns import OPEN_MS
from core.events import Latest
from core.readings import TruckReadings
from storage.database import JournalError
from storage.journal import Journal
from storage.results import Results
from storage.store import EmbeddedStore

Rows = Callable[..., TruckReadings]
Seal = Callable[[Journal, int], None]

WRITER = """
import sys, numpy as np
from core.events import Latest
from core.readings import TruckReadings
from storage.journal import Journal
from storage.results import Results

def filled(table, **columns):
    n = len(columns["t_ms"])
    return table.of(**{name: columns.get(name, ["" if dtype.kind == "U" else 0] * n) for name, dtype in table.dtypes().items()})

with Journal.open(sys.argv[1], lambda: 0, hot_rows=500) as journal:
    results = Results(journal)
    first = journal.position()[0]
    print("open", flush=True)
    for step in range(first, 10**9):
        t_ms = 1_751_889_600_000 + 50 * step + np.arange(50)
        number = journal.commit([filled(TruckReadings, asset=[1 + step % 3] * 50, t_ms=t_ms, seq=[step] * 50)])
        print(number, flush=True)
        with results.transaction(number):
            results.replace(filled(Latest, asset=[1], t_ms=[number]), {1: 0}, 0)
        while journal.seal():
            pass
"""


@contextmanager
def writing(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that commits without a pause and says each commit's number once it is acknowledged."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "open\n"
        yield process
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


@pytest.mark.slow
def test_a_writer_killed_at_any_instant_loses_no_acknowledged_commit(path: Path) -> None:
    moments = np.random.default_rng().uniform(0.0, 0.25, 6)
    acknowledged = 0
    for moment_s in moments:
        with writing(path) as process:
            time.sleep(moment_s)
            process.kill()
            assert process.stdout is not None
            said = [int(line) for line in process.stdout.read().split("\n") if line]
            process.wait()
        acknowledged = max([acknowledged, *said])
        with EmbeddedStore(path) as store:  # reads what a killed writer left, before the next writer mends it
            readings = TruckReadings.concat([store.track(asset, 0, int(OPEN_MS)) for asset in (1, 2, 3)])
            latest = store.latest()
        commits, sizes = np.unique(readings.seq, return_counts=True)
        assert commits.tolist() == list(range(len(commits)))  # none is missing
        assert (sizes == 50).all()  # none is there by half
        assert acknowledged <= len(commits) <= acknowledged + 1
        with Journal.open(path, lambda: 0) as journal:
            assert journal.position()[0] == len(commits)
            assert latest.t_ms.tolist() in ([], [journal.position()[1]])  # results and their cursor are one
        acknowledged = len(commits)
    assert acknowledged > 0


def test_a_second_writer_is_told_who_writes(path: Path) -> None:
    with writing(path) as process, pytest.raises(JournalError) as refused:
        Journal.open(path, lambda: 0)
    assert str(refused.value).startswith(f"{path}.lock is locked by process {process.pid}; a journal has one writer")
    with Journal.open(path, lambda: 0) as journal:
        assert journal.position()[0] >= 0


def test_one_process_cannot_open_it_twice_either(journal: Journal) -> None:
    with pytest.raises(JournalError, match=f"locked by process {os.getpid()}"):
        Journal.open(journal.path, lambda: 0)


def test_another_process_sees_every_commit(journal: Journal, seal: Seal, rows: Rows, noon_ms: int) -> None:
    reader = """
import sys
from storage.store import EmbeddedStore
with EmbeddedStore(sys.argv[1]) as store:
    for line in sys.stdin:
        print(len(store.track(1, 0, 2**62)), flush=True)
"""
    command = [sys.executable, "-c", reader, str(journal.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for step in range(1, 4):
            number = journal.commit([rows(1, noon_ms + step)])
            if step == 2:
                seal(journal, number)
            process.stdin.write("go\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"{step}\n"
        process.stdin.close()
        assert process.wait() == 0


def test_results_and_readings_outlive_an_orderly_end(path: Path, rows: Rows, noon_ms: int) -> None:
    with Journal.open(path, lambda: 0) as journal:
        journal.commit([rows(1, noon_ms)])
        with Results(journal).transaction(1):
            pass
    assert not path.with_name("journal.sqlite-wal").exists()
    with EmbeddedStore(path) as store:
        assert len(store.track(1, 0, int(OPEN_MS))) == 1
        assert len(store.latest()) == len(Latest.empty())
