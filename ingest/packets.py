"""MQTT 3.1.1 and 5.0 packets as this server reads them: bytes in, values out. No I/O, no clock.

Whatever the bytes are, reading them ends in packets or in a `ProtocolError` that carries the reason code of MQTT 5. What the server
does not do is part of its grammar: QoS 2 is such an error. RETAIN is accepted and means nothing, as nobody can subscribe.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from ingest.fields import (
    OF_CONNECT,
    OF_DISCONNECT,
    OF_PUBLISH,
    OF_PUBREL,
    OF_SUBSCRIBE,
    OF_UNSUBSCRIBE,
    OF_WILL,
    Property,
    ProtocolError,
    Reader,
    Reason,
    refuse_wildcards,
    text_of,
)


class Will(NamedTuple):
    """What a device wants to be said when it is gone."""

    topic: str
    payload: bytes


class Connect(NamedTuple):
    """The first packet of a connection (3.1)."""

    version: int  # 4 is MQTT 3.1.1, 5 is MQTT 5
    client_id: str
    clean: bool
    keep_alive_s: int  # 0: none
    user: str | None
    password: bytes | None
    will: Will | None
    session_expiry_s: int
    packet_bytes: int | None  # the largest packet that the client takes

    @property
    def keeps_session(self) -> bool:
        """Whether the session is to outlive the connection (3.1.2.11.2). A client that we have to name has nothing to come back to."""
        return bool(self.client_id) and (self.session_expiry_s > 0 if self.version == 5 else not self.clean)


class Publish(NamedTuple):
    """A message (3.3), with its topic alias already resolved."""

    topic: str
    payload: bytes
    packet_id: bytes  # two bytes; empty at QoS 0


class Subscribe(NamedTuple):
    """A request for messages (3.8)."""

    packet_id: bytes
    filters: int


class Unsubscribe(NamedTuple):
    """The end of such a request (3.10)."""

    packet_id: bytes
    filters: int


class Release(NamedTuple):
    """The second half of a QoS 2 publish that began elsewhere (3.6)."""

    packet_id: bytes


class Ping(NamedTuple):
    """A sign of life (3.12)."""


class Disconnect(NamedTuple):
    """A wished end (3.14)."""

    reason: int
    session_expiry_s: int | None  # None: as CONNECT said


Packet = Connect | Publish | Subscribe | Unsubscribe | Release | Ping | Disconnect

_CONNECT, _PUBLISH = 0x10, 0x30
_TOPICS_KEPT, _TOPIC_KEPT_BYTES = 1_000, 1_000
_CONNECT_BYTES = 16 << 10  # who has not said who it is gets little memory


class Parser:
    """One connection's bytes, in whatever pieces they come, as packets.

    Keeps what lasts between packets: the incomplete rest, the version that CONNECT named, the topic aliases.
    """

    def __init__(self, packet_bytes: int, topic_aliases: int) -> None:
        self.version = 0
        self._packet_bytes = packet_bytes
        self._topic_aliases = topic_aliases
        self._aliases: dict[int, str] = {}
        self._topics: dict[bytes, str] = {}  # a device says the same few again and again: each is checked once
        self._pieces: list[bytes] = []
        self._held = 0
        self._needed = 2  # bytes before it is worth looking again: a large packet in many pieces is joined once

    def feed(self, data: bytes) -> None:
        """Take in the next bytes."""
        self._pieces.append(data)
        self._held += len(data)

    def packets(self) -> Iterator[Packet]:
        """The packets that are complete. May be left at any packet, and taken up again by another call.

        Raises
        ------
        ProtocolError
            After the last packet before the fault.
        """
        if self._held < self._needed:
            return
        buffer = b"".join(self._pieces)
        at, end, stop = 0, len(buffer), 0
        try:
            while end - at >= 2:
                body, stop = self._frame(buffer, at, end)
                if not body or stop > end:
                    break
                first = buffer[at]
                at = stop
                if first & 0xF0 == _PUBLISH:
                    yield self._publish(first, buffer, body, stop)
                else:
                    yield self._control(first, buffer[body:stop])
        finally:
            self._pieces = [buffer[at:]]
            self._held = end - at
            self._needed = max(2, stop - at)

    def _frame(self, buffer: bytes, at: int, end: int) -> tuple[int, int]:
        """Where the packet's body begins (0: its header is incomplete) and where it ends (2.1.4)."""
        body = at + 2
        length = buffer[at + 1]
        if length > 127:
            length &= 127
            for shift in (7, 14, 21):
                if body == end:
                    return 0, end + 1
                byte = buffer[body]
                body += 1
                length |= (byte & 127) << shift
                if byte < 128:
                    break
            else:
                raise ProtocolError(Reason.MALFORMED, "a packet's length has more than four bytes")
        stop = body + length
        limit = self._packet_bytes if self.version else _CONNECT_BYTES
        if stop - at > limit:
            raise ProtocolError(Reason.PACKET_TOO_LARGE, f"a packet has {stop - at} bytes, at most {limit} are taken")
        return body, stop

    def _publish(self, first: int, buffer: bytes, at: int, stop: int) -> Publish:
        # The one place where speed counts: no cursor, no intermediate body. A fault is found by where the fields end.
        if not self.version:
            raise ProtocolError(Reason.PROTOCOL_ERROR, "PUBLISH before CONNECT")
        topic_at = at + 2
        topic_stop = topic_at + (buffer[at] << 8 | buffer[at + 1]) if topic_at <= stop else stop + 1
        payload_at = topic_stop + 2 if first & 6 else topic_stop
        if payload_at > stop:
            raise ProtocolError(Reason.MALFORMED, "PUBLISH ends in the middle of a field")
        raw_topic = buffer[topic_at:topic_stop]
        topic = self._topics.get(raw_topic) or self._new_topic(raw_topic)
        packet_id = buffer[topic_stop:payload_at]
        if first & 0x0E not in _QOS_TAKEN or packet_id == b"\0\0":
            raise _refused_flags(first)
        if self.version == 5:
            if payload_at < stop and not buffer[payload_at]:  # no properties
                payload_at += 1
            else:
                reader = Reader(buffer[payload_at:stop])
                alias = reader.properties(OF_PUBLISH).get(Property.TOPIC_ALIAS)
                payload_at = stop - reader.left()
                topic = topic if alias is None else self._aliased(alias, topic)
        if not topic:
            raise ProtocolError(Reason.PROTOCOL_ERROR, "PUBLISH without a topic")
        return Publish(topic, buffer[payload_at:stop], packet_id)

    def _new_topic(self, raw: bytes) -> str:
        topic = text_of(raw)
        refuse_wildcards(topic)
        if len(raw) <= _TOPIC_KEPT_BYTES:
            if len(self._topics) >= _TOPICS_KEPT:
                self._topics.clear()
            self._topics[raw] = topic
        return topic

    def _aliased(self, alias: int, topic: str) -> str:
        """The topic that the alias stands for from now on (3.3.2.3.4)."""
        if not 1 <= alias <= self._topic_aliases:
            raise ProtocolError(Reason.TOPIC_ALIAS_INVALID, f"topic alias is {alias}, 1 to {self._topic_aliases} are taken")
        if topic:
            self._aliases[alias] = topic
        elif alias not in self._aliases:
            raise ProtocolError(Reason.PROTOCOL_ERROR, f"topic alias {alias} has not been set")
        return self._aliases[alias]

    def _control(self, first: int, body: bytes) -> Packet:
        if (first == _CONNECT) == bool(self.version):
            raise ProtocolError(Reason.PROTOCOL_ERROR, "the first packet, and no other, is CONNECT")
        reader = Reader(body)
        packet = self._connect(reader) if first == _CONNECT else self._later(first, reader)
        if reader.left():
            raise ProtocolError(Reason.MALFORMED, f"{type(packet).__name__} has {reader.left()} bytes too many")
        return packet

    def _later(self, first: int, reader: Reader) -> Packet:
        match first:
            case 0xC0:
                return Ping()
            case 0xE0:
                return self._disconnect(reader)
            case 0x82:
                return Subscribe(*self._filters(reader, OF_SUBSCRIBE, options=True))
            case 0xA2:
                return Unsubscribe(*self._filters(reader, OF_UNSUBSCRIBE, options=False))
            case 0x62:
                return self._release(reader)
        raise ProtocolError(Reason.PROTOCOL_ERROR, f"a packet begins with {first:#04x}, which a client does not send to this server")

    def _connect(self, reader: Reader) -> Connect:
        protocol, level = reader.binary(), reader.number(1)
        self.version = 5 if level >= 5 else 4
        if protocol != b"MQTT" or level not in (4, 5):
            raise ProtocolError(Reason.UNSUPPORTED_VERSION, f"protocol is {protocol!r} level {level}; MQTT 3.1.1 and 5 are spoken")
        flags, keep_alive_s = reader.number(1), reader.number(2)
        _check_connect_flags(flags, self.version)
        properties = reader.properties(OF_CONNECT) if self.version == 5 else {}
        _check_authentication(properties)
        client_id = reader.text()
        will = self._will(reader, flags) if flags & 0x04 else None
        user = reader.text() if flags & 0x80 else None
        password = reader.binary() if flags & 0x40 else None
        clean, expiry_s = bool(flags & 0x02), properties.get(Property.SESSION_EXPIRY, 0)
        return Connect(self.version, client_id, clean, keep_alive_s, user, password, will, expiry_s, properties.get(Property.PACKET_BYTES))

    def _will(self, reader: Reader, flags: int) -> Will:
        if self.version == 5:
            reader.properties(OF_WILL)
            if flags & 0x10:
                raise ProtocolError(Reason.QOS_NOT_SUPPORTED, "the will has QoS 2, at most 1 is taken")
        topic = reader.text()
        refuse_wildcards(topic)
        return Will(topic, reader.binary())

    def _disconnect(self, reader: Reader) -> Disconnect:
        reason = reader.number(1) if self.version == 5 and reader.left() else 0
        properties = reader.properties(OF_DISCONNECT) if self.version == 5 and reader.left() else {}
        return Disconnect(reason, properties.get(Property.SESSION_EXPIRY))

    def _release(self, reader: Reader) -> Release:
        packet_id = reader.packet_id()
        if self.version == 5 and reader.left():
            reader.number(1)  # its reason changes nothing
            if reader.left():
                reader.properties(OF_PUBREL)
        return Release(packet_id)

    def _filters(self, reader: Reader, allowed: frozenset[int], *, options: bool) -> tuple[bytes, int]:
        """Packet identifier and number of filters: all that an answer needs."""
        packet_id = reader.packet_id()
        if self.version == 5:
            reader.properties(allowed)
        count = 0
        while reader.left():
            reader.text()
            if options and reader.number(1) & 3 == 3:
                raise ProtocolError(Reason.PROTOCOL_ERROR, "SUBSCRIBE asks for QoS 3")
            count += 1
        if not count:
            raise ProtocolError(Reason.PROTOCOL_ERROR, "SUBSCRIBE or UNSUBSCRIBE without a filter")
        return packet_id, count


_QOS_TAKEN = frozenset({0x00, 0x02, 0x0A})  # QoS 0; QoS 1; QoS 1, sent again


def _refused_flags(first: int) -> ProtocolError:
    if first & 6 == 4:
        return ProtocolError(Reason.QOS_NOT_SUPPORTED, "PUBLISH has QoS 2, at most 1 is taken")
    if first & 6 == 2:
        return ProtocolError(Reason.PROTOCOL_ERROR, "packet identifier is 0")
    return ProtocolError(Reason.MALFORMED, "PUBLISH has QoS 3, or DUP at QoS 0")


def _check_connect_flags(flags: int, version: int) -> None:
    will, will_qos, will_retain = flags & 0x04, flags >> 3 & 3, flags & 0x20
    user, password = flags & 0x80, flags & 0x40
    if flags & 0x01 or will_qos == 3 or (not will and (will_qos or will_retain)) or (version == 4 and password and not user):
        raise ProtocolError(Reason.MALFORMED, f"CONNECT has the flags {flags:#010b}")


def _check_authentication(properties: dict[int, Any]) -> None:
    if Property.AUTHENTICATION_METHOD in properties:
        raise ProtocolError(Reason.BAD_AUTHENTICATION_METHOD, "enhanced authentication is not offered; use user and password")
    if Property.AUTHENTICATION_DATA in properties:
        raise ProtocolError(Reason.PROTOCOL_ERROR, "authentication data without a method")
