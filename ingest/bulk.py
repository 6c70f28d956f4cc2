"""A socket between paho and the broker that takes plain PUBLISH packets out in bulk, and sends their acknowledgements in one write.

paho spends some hundred calls on each message that it receives; nearly all packets are plain messages. This socket reads many packets at
once, gives the plain messages to whoever calls `take`, and lets paho have every other packet, whole, as if there were nothing else.
"""

import contextlib
import socket
import ssl
from typing import Any, NamedTuple

from paho.mqtt.client import Client

READ_BYTES = 1 << 18
_PUBLISH, _QOS_BITS, _QOS_2 = 0x30, 0x06, 0x04
_WOULD_WAIT = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Taken(NamedTuple):
    """A message as the broker sent it; `mid` is 0 at QoS 0."""

    topic: bytes
    mid: int
    payload: bytes


class BulkSocket:
    """Stands for the connected socket where paho keeps it. Not for several threads."""

    def __init__(self, connected: Any, *, with_properties: bool) -> None:
        self._socket: socket.socket = connected
        self._with_properties = with_properties
        self._read, self._at = b"", 0  # what was read, and how much of it is used up
        self._theirs = 0  # up to here paho may read: the end of the packet that it is in
        self._unsent = b""
        self._mid_packet = False  # paho has begun to send a packet
        self._hung_up = False

    def take(self, most: int, most_bytes: int) -> list[Taken]:
        """The plain messages that were read up to the first packet of another kind, until there are so many or so much."""
        taken: list[Taken] = []
        while len(taken) < most and most_bytes >= 0 and (end := self._end()) and self._is_plain():
            message = self._message(end)
            if message is None:
                break  # malformed: paho shall judge it
            taken.append(message)
            most_bytes -= len(message.payload)
            self._at = self._theirs = end
        return taken

    def acknowledge(self, mids: list[int]) -> None:
        """Send a PUBACK for each of these."""
        self._unsent += b"".join([b"\x40\x02" + mid.to_bytes(2, "big") for mid in mids])
        self.flush()

    def flush(self) -> None:
        """Send what is left of the acknowledgements, as far as it goes."""
        with contextlib.suppress(*_WOULD_WAIT):
            while self._unsent and not self._mid_packet:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]

    @property
    def wants_write(self) -> bool:
        return bool(self._unsent)

    def hang_up(self) -> None:
        """Show paho the end of the connection, whatever is still to be read."""
        self._hung_up, self._read, self._at, self._theirs = True, b"", 0, 0

    # What paho calls

    def recv(self, size: int) -> bytes:
        """Bytes of a packet that is none of ours; more is read when no packet is whole."""
        if self._at == self._theirs:
            if not self._end() and not self._fill():
                return b""
            end = self._end()
            if not end or (self._is_plain() and self._message(end)):
                raise BlockingIOError
            self._theirs = end
        part = self._read[self._at : min(self._at + size, self._theirs)]
        self._at += len(part)
        return part

    def send(self, packet: bytes) -> int:
        """Send a packet or what is left of it, after our acknowledgements: packets must not mix."""
        self.flush()
        if self._unsent and not self._mid_packet:
            raise BlockingIOError
        self._mid_packet = True  # if it would wait too: TLS wants the same bytes again
        sent = self._socket.send(packet)
        self._mid_packet = sent < len(packet)
        return sent

    def pending(self) -> int:
        """Bytes that no poll sees: a whole packet that was read already, or what is decrypted."""
        if end := self._end():
            return end - self._at
        return self._socket.pending() if isinstance(self._socket, ssl.SSLSocket) else 0

    def close(self) -> None:
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def setblocking(self, flag: bool) -> None:
        self._socket.setblocking(flag)

    # Packets (2.1 of both standards)

    def _fill(self) -> bool:
        """Read more; False at the end of the connection."""
        if self._hung_up or not (more := self._socket.recv(READ_BYTES)):
            return False
        self._theirs -= self._at
        self._read, self._at = self._read[self._at :] + more, 0
        return True

    def _end(self) -> int:
        """Where the packet at hand ends; 0 when it is not whole yet."""
        read, at = self._read, self._at + 1
        size = shift = 0
        while at < len(read) and shift <= 21:
            size |= (read[at] & 127) << shift
            at, shift = at + 1, shift + 7
            if read[at - 1] < 128:
                return at + size if at + size <= len(read) else 0
        return at + 1 if shift > 21 and at < len(read) else 0  # a length of five bytes: paho ends the connection

    def _is_plain(self) -> bool:
        head = self._read[self._at]
        return head & 0xF0 == _PUBLISH and head & _QOS_BITS < _QOS_2

    def _message(self, end: int) -> Taken | None:
        """The message in the packet that ends there; None if it is malformed."""
        read, at = self._read, self._at
        qos = read[at] & _QOS_BITS
        at += 2
        while at < end and read[at - 1] > 127:
            at += 1
        topic_end = at + 2 + int.from_bytes(read[at : at + 2], "big")
        topic, at = read[at + 2 : topic_end], topic_end
        mid = 0
        if qos:
            mid, at = int.from_bytes(read[at : at + 2], "big"), at + 2
        if self._with_properties:
            size = shift = 0
            while at < end and shift <= 21:
                size |= (read[at] & 127) << shift
                at, shift = at + 1, shift + 7
                if read[at - 1] < 128:
                    break
            at += size
        return Taken(topic, mid, read[at:end]) if at <= end else None


class BulkClient(Client):
    """paho's client over a `BulkSocket`."""

    def _create_socket(self) -> Any:  # the one place where paho lets a socket in; the live tests notice if it goes
        return BulkSocket(super()._create_socket(), with_properties=self.protocol == 5)
