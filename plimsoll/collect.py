"""`plimsoll collect`: the collector, and the alert desk beside it on a thread of its own."""

import gc
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

from desk.alerts import AlertDesk
from desk.channels import AppriseChannel, read_targets
from desk.notifier import Notifier
from desk.registry import Registry
from desk.rules import AlertRules
from plimsoll import assembly
from plimsoll.clock import Clock, ScaledClock
from plimsoll.settings import Settings
from storage.journal import Journal
from storage.store import EmbeddedStore


def run(settings: Settings) -> int:
    """Take readings in until SIGINT or SIGTERM."""
    # Readings pass through many small tuples, none of them in a cycle: looking for cycles as often as usual costs a fifth of the CPU.
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    now, registry, stop = assembly.clock(settings), assembly.registry(settings), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with (
        Journal.open(assembly.journal_path(settings), now) as journal,
        alerts(settings, registry, now),
        assembly.source(settings) as messages,
    ):
        assembly.collector(settings, now, messages, journal, registry).run(stop)
    return 0


@contextmanager
def alerts(settings: Settings, registry: Registry, now: Clock) -> Iterator[AlertDesk]:
    """The alert desk and its notifier at work; the journal's file must be there."""
    own = settings.alerts
    rules = AlertRules(
        late_ms=own.late_ms,
        quiet_ms=own.quiet_ms,
        silence_ms=own.silence_ms,
        stall_ms=own.stall_ms,
        clock_behind_ms=own.clock_behind_ms,
    )
    if isinstance(now, ScaledClock):
        rules = rules.at_speed(now.speed)
    channels = [AppriseChannel(target) for target in read_targets(own.targets_file)] if own.targets_file else []
    stop = threading.Event()
    with (
        EmbeddedStore(assembly.journal_path(settings)) as store,
        closing(AlertDesk(assembly.desk_path(settings), store, registry, now, rules)) as desk,
    ):
        clerk = threading.Thread(target=Notifier(desk, channels, now).run, args=(stop,), name="notifier")
        clerk.start()
        try:
            yield desk
        finally:
            stop.set()
            clerk.join()
