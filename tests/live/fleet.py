"""A fleet that publishes to a collector, at the test's pace."""

import threading
from collections.abc import Sequence

from simulators.message import Message
from simulators.publisher import Publisher, PublisherError
from tests.live.programs import Way
from tests.live.servers import HOST


class Sender:
    """A fleet on a thread of its own: publishes as far as it may, and repeats what was not acknowledged."""

    def __init__(self, messages: Sequence[Message], way: Way) -> None:
        self.allowed = self.acknowledged = 0
        self._messages, self._way = messages, way
        self._gone = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fleet")

    def __enter__(self) -> "Sender":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._gone.set()
        self._thread.join()

    @property
    def is_done(self) -> bool:
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._publish()
        except PublisherError:
            if not self._gone.is_set():  # otherwise the test has failed already, and says why
                raise

    def _publish(self) -> None:
        with Publisher(HOST, self._way.port, client_id="fleet", window=300, patience_s=60, progress=self._note) as publisher:
            for number, message in enumerate(self._messages):
                while number >= self.allowed and not self._gone.is_set():
                    publisher.wait(0.02)
                if self._gone.is_set():
                    return
                publisher.publish(message.topic, message.payload)
            publisher.drain()

    def _note(self, acknowledged: int) -> None:
        self.acknowledged = acknowledged


def publish(messages: Sequence[Message], way: Way) -> None:
    with Publisher(HOST, way.port, client_id="again", patience_s=120) as publisher:
        for message in messages:
            publisher.publish(message.topic, message.payload)
