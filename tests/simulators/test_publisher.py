"""The publisher against a peer that answers as the test says; against real brokers it is tested in tests/live."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import pytest

from simulators.publisher import Publisher, PublisherError

CONNACK = {4: b"\x20\x02\0\0", 5: b"\x20\x03\0\0\0"}
WINDOW_OF_THREE = b"\x20\x06\0\0\x03\x21\0\x03"
NOT_AUTHORIZED = b"\x20\x03\0\x87\0"


class Published(NamedTuple):
    payload: bytes
    mid: bytes
    again: bool


@dataclass
class Peer:
    """An MQTT server of one connection at a time; every message is a short one."""

    answer: bytes = CONNACK[5]
    puback: bytes = b""
    """What follows the message's number in an acknowledgement."""
    silent: bool = False
    """Acknowledge nothing."""
    cut_after: int = 1_000_000
    """Close the first connection after so many messages, the last one unacknowledged."""
    seen: list[Published] = field(default_factory=list)
    connections: int = 0

    def __enter__(self) -> Self:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            with connection, suppress(ConnectionError):  # the publisher may leave in the middle
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        with stream:
            while head := stream.read(2):
                body = stream.read(head[1])
                if head[0] == 0x10:
                    connection.sendall(self.answer)
                elif head[0] >> 4 == 3:
                    topic_end = 2 + int.from_bytes(body[:2])
                    mid, payload = body[topic_end : topic_end + 2], body[topic_end + 3 :]
                    self.seen.append(Published(payload, mid, bool(head[0] & 8)))
                    if self.connections == 1 and len(self.seen) >= self.cut_after:
                        return
                    if not self.silent:
                        connection.sendall(b"\x40" + bytes([2 + len(self.puback)]) + mid + self.puback)
                elif head[0] == 0xE0:
                    return


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer() as running:
        yield running


def publisher(peer: Peer, **settings: object) -> Publisher:
    return Publisher("127.0.0.1", peer.port, client_id="t", **settings)  # type: ignore[arg-type]  # settings of several types


def publish_ten(peer: Peer, **settings: object) -> None:
    with publisher(peer, **settings) as sender:
        for number in range(10):
            sender.publish("t", b"%d" % number)


def test_every_message_goes_once_and_in_order(peer: Peer) -> None:
    told: list[int] = []
    with publisher(peer, progress=told.append) as sender:
        for number in range(500):
            sender.publish("t", b"%d" % number)
        sender.drain()
        assert sender.unacknowledged == 0
    assert [said.payload for said in peer.seen] == [b"%d" % number for number in range(500)]
    assert told == sorted(set(told))
    assert told[-1] == 500


def test_what_a_lost_connection_left_open_goes_again() -> None:
    with Peer(cut_after=7) as peer, publisher(peer) as sender:
        for number in range(50):
            sender.publish("t", b"%d" % number)
        sender.drain()
    assert peer.connections == 2
    assert {said.payload for said in peer.seen} == {b"%d" % number for number in range(50)}
    assert [said.payload for said in peer.seen].count(b"6") == 2
    assert {said.payload for said in peer.seen if said.again} >= {b"6"}


@pytest.mark.parametrize(("answer", "window", "expected"), [(CONNACK[5], 4, 4), (WINDOW_OF_THREE, 100, 3)])
def test_no_more_are_on_their_way_than_the_window_of_either_side(answer: bytes, window: int, expected: int) -> None:
    complaint = f"no acknowledgement.*{expected} messages may not have arrived"
    with Peer(answer=answer, silent=True) as peer, pytest.raises(PublisherError, match=complaint):
        publish_ten(peer, window=window, patience_s=0.3)
    assert len(peer.seen) == expected


def test_a_refusal_to_connect_is_told_at_once() -> None:
    with Peer(answer=NOT_AUTHORIZED) as peer, pytest.raises(PublisherError, match="refused us: Not authorized"), publisher(peer):
        pass


def test_a_refused_message_is_told() -> None:
    with Peer(puback=b"\x87") as peer, pytest.raises(PublisherError, match="refused a message: Not authorized"):
        publish_ten(peer)


def test_nobody_there_is_told_after_some_patience() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with (
        pytest.raises(PublisherError, match=r"refused for 0\.3 s; 0 messages"),
        Publisher("127.0.0.1", port, client_id="t", patience_s=0.3),
    ):
        pass


def test_a_wait_keeps_the_answers_coming(peer: Peer) -> None:
    with publisher(peer) as sender:
        sender.publish("t", b"1")
        sender.wait(0.2)
        assert sender.unacknowledged == 0


def test_3_1_1_speaks_too() -> None:
    with Peer(answer=CONNACK[4]) as peer:
        with publisher(peer, protocol=4) as sender:
            sender.publish("t", b"x12")
        assert len(peer.seen) == 1
