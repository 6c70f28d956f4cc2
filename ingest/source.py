"""Where messages come from: the one thing the broker client and the built-in endpoint share."""

from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple, Protocol, Self


class Message(NamedTuple):
    """One message as the device sent it."""

    topic: str
    payload: bytes


class Delivery(NamedTuple):
    """Messages to be made durable, and the call that then tells their senders so.

    The acknowledgement is called once, from the thread that reads, after the messages are
    journalled. A delivery that is not acknowledged is given up by `drop` or `close`; its senders
    repeat it.
    """

    messages: list[Message]
    acknowledge: Callable[[], None]


class Source(Protocol):
    """Something that delivers messages at least once."""

    def read(self, timeout_s: float) -> Delivery | None:
        """Wait up to `timeout_s` for messages; None when none came."""
        ...

    def drop(self) -> None:
        """Cut the connections, because what was read could not be made durable: all of it comes again."""
        ...

    def close(self) -> None:
        """Stop listening; what is unacknowledged comes again another time."""
        ...

    def state(self) -> dict[str, object]:
        """What an operator wants to know about it, as plain JSON values."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
