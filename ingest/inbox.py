"""Between the endpoint's thread and the collector's: messages go one way in batches, their acknowledgements come back."""

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ingest.source import Message

Sender = TypeVar("Sender")


@dataclass(slots=True, eq=False)
class Batch(Generic[Sender]):
    """Messages that wait together, and what each sender is to be told once they are durable."""

    messages: list[Message] = field(default_factory=list)
    answers: dict[Sender, list[bytes]] = field(default_factory=dict)
    size: int = 0  # bytes on the wire


class Inbox(Generic[Sender]):
    """Collects messages until there are enough, or the batch before is long enough ago.

    So whoever comes after a pause is not kept waiting, and a stream makes no more batches than one every `flush_s`.
    """

    def __init__(self, flush_messages: int, flush_s: float) -> None:
        self._flush_messages, self._flush_s = flush_messages, flush_s
        self._changed = threading.Condition()
        self._batch: Batch[Sender] = Batch()
        self._taken_s = -math.inf
        self._closed = False

    def put(self, sender: Sender, messages: Sequence[Message], answers: list[bytes], size: int) -> None:
        """Add what one sender sent; its answers are given in the order in which they were put."""
        with self._changed:
            batch = self._batch
            first = not batch.answers and not batch.messages
            before = len(batch.messages)
            batch.messages.extend(messages)
            if answers:
                batch.answers.setdefault(sender, []).extend(answers)
            batch.size += size
            # The reader is woken twice a batch, not at each put: its wake-ups cost more than the rest of this function.
            if first or before < self._flush_messages <= len(batch.messages):
                self._changed.notify()

    def take(self, timeout_s: float) -> Batch[Sender] | None:
        """Wait up to `timeout_s` for a first message, then until it is time, and give everything that has come."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._batch.messages or self._batch.answers or self._closed, timeout_s):
                return None
            lingers_s = self._taken_s + self._flush_s - time.monotonic()
            self._changed.wait_for(lambda: len(self._batch.messages) >= self._flush_messages or self._closed, max(0.0, lingers_s))
            batch, self._batch = self._batch, Batch()
            self._taken_s = time.monotonic()
            return batch if batch.messages or batch.answers else None

    def clear(self) -> None:
        """Forget what waits."""
        with self._changed:
            self._batch = Batch()

    def close(self) -> None:
        """Forget what waits, and let the reader go."""
        with self._changed:
            self._batch = Batch()
            self._closed = True
            self._changed.notify_all()
