"""What is to be told to whom, and what became of every attempt."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

from desk.file import DeskFile


@dataclass(frozen=True, slots=True)
class Message:
    """Something to be told to every channel but `not_to`."""

    number: int
    alert: str  # the stable id that stands in the text
    about: str  # raised, escalated, withdrawn, cleared or digest
    title: str
    body: str
    not_to: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """One line of the delivery log."""

    message: int
    channel: str
    attempt: int
    result: str  # sent, failed, or given_up: failed, and not tried again
    detail: str
    at_ms: int


Messages = list[Message]
Attempts = list[DeliveryAttempt]


class Outbox:
    """Messages, the channels that have yet to send them, and the delivery log."""

    def __init__(self, file: DeskFile) -> None:
        self._file = file

    def post(self, alert: str, about: str, title: str, body: str, created_ms: int, not_to: str = "") -> None:
        """Put a message into the outbox of every channel but `not_to`."""
        statement = "insert into messages (alert, about, title, body, not_to, created_ms) values (?, ?, ?, ?, ?, ?)"
        self._file.write(statement, (alert, about, title, body, not_to, created_ms))

    def messages(self, alert: str) -> Messages:
        """Everything that was said about an alert, oldest first."""
        return [Message(*row) for row in self._file.rows("select * from messages where alert = ? order by number", (alert,))]

    def open(self, names: Sequence[str]) -> list[str]:
        """Set these channels up and forget all others; the names of those forgotten. A new channel hears what is posted from now on."""
        with self._file.transaction():
            known = [name for (name,) in self._file.rows("select name from channels")]
            gone = [name for name in known if name not in names]
            for name in gone:
                self._file.write("delete from channels where name = ?", (name,))
            for name in names:
                self._file.write("insert or ignore into channels select ?, coalesce(max(number), 0), null from messages", (name,))
        return gone

    def next_for(self, channel: str) -> tuple[Message, int] | None:
        """The oldest message that a channel has not settled, with the number of attempts made so far."""
        query = """select messages.*, (select count(*) from deliveries where message = number and channel = name)
            from channels join messages on number > settled and not_to <> name where name = ? order by number limit 1"""
        rows = self._file.rows(query, (channel,))
        return (Message(*rows[0][:-1]), rows[0][-1]) if rows else None

    def log(self, attempt: DeliveryAttempt) -> None:
        """Write a line of the delivery log. A message that was sent or given up is settled for its channel."""
        with self._file.transaction():
            self._file.write("insert into deliveries values (?, ?, ?, ?, ?, ?)", astuple(attempt))
            if attempt.result != "failed":
                self._file.write("update channels set settled = ? where name = ?", (attempt.message, attempt.channel))

    def deliveries(self, alert: str) -> Attempts:
        """The delivery log of an alert's messages."""
        query = """select deliveries.* from deliveries join messages on number = message where alert = ?
            order by at_ms, message, channel, attempt"""
        return [DeliveryAttempt(*row) for row in self._file.rows(query, (alert,))]

    def set_failing(self, channel: str, failing_ms: int | None) -> None:
        """Note since when a channel fails, or with None that it works."""
        self._file.write("update channels set failing_ms = ? where name = ?", (failing_ms, channel))

    def failing(self) -> dict[str, int]:
        """The channels that fail, and since when."""
        return dict(self._file.rows("select name, failing_ms from channels where failing_ms is not null"))
