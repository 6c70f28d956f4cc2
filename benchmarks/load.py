"""A publisher that costs little: raw MQTT 3.1.1 at QoS 1 over non-blocking sockets, packets made before the clock starts.

It keeps a window of unacknowledged messages open over all its connections, so that what is measured is the other side.
"""

import contextlib
import selectors
import socket
import struct
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

WINDOW = 4_000  # unacknowledged messages of all connections together
PATIENCE_S = 60.0
_PUBACK_BYTES = 4


class Message(NamedTuple):
    topic: str
    payload: bytes


class Sent(NamedTuple):
    """What it took to have everything acknowledged."""

    seconds: float
    cpu_s: float


class Connection:
    """One client. What it has to send waits in `pending` until the socket takes it."""

    def __init__(self, port: int, number: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        client_id = b"bench-%d" % number
        connect = b"\0\4MQTT\4\2\0\0" + struct.pack(">H", len(client_id)) + client_id
        self.socket.sendall(bytes([0x10, len(connect)]) + connect)
        if self.socket.recv(4, socket.MSG_WAITALL) != b"\x20\2\0\0":
            raise ConnectionError("the server refused the connection")
        self.socket.setblocking(False)
        self.packet_id, self.heard_bytes, self.pending = 0, 0, b""

    def packet(self, message: Message) -> bytes:
        self.packet_id = self.packet_id % 65_535 + 1
        topic = message.topic.encode()
        body = struct.pack(">H", len(topic)) + topic + struct.pack(">H", self.packet_id) + message.payload
        return b"\x32" + _length(len(body)) + body

    def send(self, packets: bytes = b"") -> bool:
        """Send what waits and this; whether something waits still."""
        self.pending += packets
        with contextlib.suppress(BlockingIOError):
            self.pending = self.pending[self.socket.send(self.pending) :]
        return bool(self.pending)

    def hear(self) -> int:
        """How many acknowledgements have come."""
        before = self.heard_bytes // _PUBACK_BYTES
        with contextlib.suppress(BlockingIOError):
            heard = self.socket.recv(1 << 16)
            if not heard:
                raise ConnectionError("the server closed the connection")
            self.heard_bytes += len(heard)
        return self.heard_bytes // _PUBACK_BYTES - before


class Load:
    """Messages in order, divided by their topics over some connections."""

    def __init__(self, port: int, messages: Sequence[Message], connections: int) -> None:
        place = {topic: number % connections for number, topic in enumerate(dict.fromkeys(message.topic for message in messages))}
        self._connections = [Connection(port, number) for number in range(connections)]
        owners = [self._connections[place[message.topic]] for message in messages]
        self._packets = [(owner, owner.packet(message)) for owner, message in zip(owners, messages, strict=True)]
        self._selector = selectors.DefaultSelector()
        for connection in self._connections:
            self._selector.register(connection.socket, selectors.EVENT_READ, connection)

    def run(self, window: int = WINDOW, rate: float = float("inf")) -> Sent:
        """Publish everything, at most so many messages a second, and wait for every acknowledgement."""
        sent = acknowledged = 0
        waiting: set[Connection] = set()
        started, cpu_s = time.monotonic(), time.process_time()
        moved = started
        while acknowledged < len(self._packets):
            now = time.monotonic()
            until = int(min(acknowledged + window, (now - started) * rate + 1, len(self._packets)))
            if until - sent >= min(window // 4, len(self._packets) - sent) or rate < float("inf"):
                waiting |= self._send(sent, until)
                sent = max(until, sent)
            waiting = {connection for connection in waiting if connection.send()}
            heard = sum(key.data.hear() for key, _ in self._selector.select(0.005))
            acknowledged += heard
            moved = now if heard or sent == acknowledged else moved
            if now - moved > PATIENCE_S:
                raise TimeoutError(f"{sent - acknowledged} messages unacknowledged and nothing came for {PATIENCE_S:g} s")
        return Sent(time.monotonic() - started, time.process_time() - cpu_s)

    def _send(self, begin: int, end: int) -> set[Connection]:
        packets: dict[Connection, list[bytes]] = defaultdict(list)
        for connection, packet in self._packets[begin:end]:
            packets[connection].append(packet)
        return {connection for connection, own in packets.items() if connection.send(b"".join(own))}

    def close(self) -> None:
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.socket.sendall(b"\xe0\0")
            connection.socket.close()


def _length(size: int) -> bytes:
    encoded = b""
    while size > 127:
        encoded += bytes([size & 127 | 128])
        size >>= 7
    return encoded + bytes([size])
