"""MQTT 3.1.1 and 5.0 packets as this server reads and writes them: bytes in, values out. No I/O, no clock.

Whatever the bytes are, reading them ends in packets or in a `ProtocolError` that carries the reason code of MQTT 5. What the server
does not do is part of its grammar: QoS 2 is such an error. RETAIN is accepted and means nothing, as nobody can subscribe.
Section numbers are those of the OASIS standard MQTT Version 5.0; 3.1.1 is the same format without properties and reason codes.
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, NamedTuple


class Reason(IntEnum):
    """Reason codes (2.4), as far as they are used here."""

    SUCCESS = 0x00
    DISCONNECT_WITH_WILL = 0x04
    NO_SUBSCRIPTION = 0x11
    MALFORMED = 0x81
    PROTOCOL_ERROR = 0x82
    UNSUPPORTED_VERSION = 0x84
    CLIENT_ID_INVALID = 0x85
    BAD_LOGIN = 0x86
    NOT_AUTHORISED = 0x87
    SHUTTING_DOWN = 0x8B
    BAD_AUTHENTICATION_METHOD = 0x8C
    KEEP_ALIVE_TIMEOUT = 0x8D
    TAKEN_OVER = 0x8E
    TOPIC_INVALID = 0x90
    PACKET_ID_NOT_FOUND = 0x92
    RECEIVE_MAXIMUM_EXCEEDED = 0x93
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    ADMINISTRATIVE_ACTION = 0x98
    QOS_NOT_SUPPORTED = 0x9B


class ProtocolError(Exception):
    """The connection cannot go on, for a reason that MQTT names."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


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


Packet = Connect | Publish | Subscribe | Unsubscribe | Release | Ping | Disconnect

_CONNECT, _PUBLISH = 0x10, 0x30
_LONGEST_HEADER = 5
_CONNECT_BYTES = 16 << 10  # who has not said who it is gets little memory


class _Property(IntEnum):
    """Properties that mean something here (2.2.2.2)."""

    SESSION_EXPIRY = 0x11
    ASSIGNED_CLIENT_ID = 0x12
    SERVER_KEEP_ALIVE = 0x13
    AUTHENTICATION_METHOD = 0x15
    AUTHENTICATION_DATA = 0x16
    REQUEST_PROBLEM_INFORMATION = 0x17
    REQUEST_RESPONSE_INFORMATION = 0x19
    REASON_STRING = 0x1F
    RECEIVE_MAXIMUM = 0x21
    TOPIC_ALIAS_MAXIMUM = 0x22
    TOPIC_ALIAS = 0x23
    MAXIMUM_QOS = 0x24
    USER_PROPERTY = 0x26
    PACKET_BYTES = 0x27
    WILDCARD_SUBSCRIPTION = 0x28
    SUBSCRIPTION_IDENTIFIERS = 0x29
    SHARED_SUBSCRIPTION = 0x2A
    RESPONSE_TOPIC = 0x08
    PAYLOAD_FORMAT = 0x01


_OF_CONNECT = frozenset({0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27})
_OF_WILL = frozenset({0x01, 0x02, 0x03, 0x08, 0x09, 0x18, 0x26})
_OF_PUBLISH = frozenset({0x01, 0x02, 0x03, 0x08, 0x09, 0x23, 0x26})
_OF_PUBREL = frozenset({0x1F, 0x26})
_OF_SUBSCRIBE = frozenset({0x0B, 0x26})
_OF_UNSUBSCRIBE = frozenset({0x26})
_OF_DISCONNECT = frozenset({0x11, 0x1C, 0x1F, 0x26})
_FLAGS = frozenset({_Property.PAYLOAD_FORMAT, _Property.REQUEST_PROBLEM_INFORMATION, _Property.REQUEST_RESPONSE_INFORMATION})
_NEVER_ZERO = frozenset({_Property.RECEIVE_MAXIMUM, _Property.PACKET_BYTES, 0x0B})


class _Reader:
    """A cursor over one packet's body. Reading past its end is a malformed packet."""

    __slots__ = ("_at", "_body")

    def __init__(self, body: bytes, at: int = 0) -> None:
        self._body, self._at = body, at

    def take(self, size: int) -> bytes:
        at = self._at
        self._at = at + size
        if self._at > len(self._body):
            raise ProtocolError(Reason.MALFORMED, "a packet ends in the middle of a field")
        return self._body[at : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def variable_number(self) -> int:
        value = shift = 0
        while shift < 28:
            byte = self.number(1)
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise ProtocolError(Reason.MALFORMED, "a variable byte integer has more than four bytes")

    def binary(self) -> bytes:
        return self.take(self.number(2))

    def text(self) -> str:
        return _text(self.binary())

    def packet_id(self) -> bytes:
        return _packet_id(self.take(2))

    def rest(self) -> bytes:
        return self.take(len(self._body) - self._at)

    def left(self) -> int:
        return len(self._body) - self._at

    def properties(self, allowed: frozenset[int]) -> dict[int, Any]:
        """Values by property identifier; user properties are read and left out."""
        reader = _Reader(self.take(self.variable_number()))
        values: dict[int, Any] = {}
        while reader.left():
            name = reader.variable_number()
            if name not in allowed or name in values:
                raise ProtocolError(Reason.PROTOCOL_ERROR, f"property {name:#04x} is not allowed here, or stands twice")
            value = reader.property_value(name)
            if name != _Property.USER_PROPERTY:
                values[name] = value
        return values

    def property_value(self, name: int) -> Any:
        """The value of one property, in its type."""
        value = _PROPERTY_TYPES[name](self)
        if (name in _FLAGS and value > 1) or (name in _NEVER_ZERO and value == 0):
            raise ProtocolError(Reason.PROTOCOL_ERROR, f"property {name:#04x} is {value}")
        if name == _Property.RESPONSE_TOPIC:
            _refuse_wildcards(value)
        return value


def _pair(reader: _Reader) -> tuple[str, str]:
    return reader.text(), reader.text()


_PROPERTY_TYPES = {
    **dict.fromkeys((0x01, 0x17, 0x19), lambda reader: reader.number(1)),
    **dict.fromkeys((0x21, 0x22, 0x23), lambda reader: reader.number(2)),
    **dict.fromkeys((0x02, 0x11, 0x18, 0x27), lambda reader: reader.number(4)),
    **dict.fromkeys((0x03, 0x08, 0x15, 0x1C, 0x1F), _Reader.text),
    **dict.fromkeys((0x09, 0x16), _Reader.binary),
    0x0B: _Reader.variable_number,
    0x26: _pair,
}


def _text(raw: bytes) -> str:
    try:
        text = str(raw, "utf-8")
    except UnicodeDecodeError as error:
        raise ProtocolError(Reason.MALFORMED, f"a text is not UTF-8: {error}") from None
    if "\0" in text:
        raise ProtocolError(Reason.MALFORMED, "a text has a null character")
    return text


def _refuse_wildcards(topic: str) -> None:
    if "+" in topic or "#" in topic:
        raise ProtocolError(Reason.TOPIC_INVALID, f"topic {topic!r} has a wildcard; a message goes to one topic")


def _packet_id(raw: bytes) -> bytes:
    if raw == b"\0\0":
        raise ProtocolError(Reason.PROTOCOL_ERROR, "packet identifier is 0")
    return raw


class Parser:
    """One connection's bytes, in whatever pieces they come, as packets.

    Keeps what lasts between packets: the incomplete rest, the version that CONNECT named, the topic aliases.
    """

    def __init__(self, packet_bytes: int, topic_aliases: int) -> None:
        self.version = 0
        self._packet_bytes = packet_bytes
        self._topic_aliases = topic_aliases
        self._aliases: dict[int, str] = {}
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
        length = shift = 0
        for body in range(at + 1, min(at + _LONGEST_HEADER, end)):
            byte = buffer[body]
            length |= (byte & 127) << shift
            if byte < 128:
                break
            shift += 7
        else:
            if end - at >= _LONGEST_HEADER:
                raise ProtocolError(Reason.MALFORMED, "a packet's length has more than four bytes")
            return 0, end + 1
        body += 1
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
        topic = _text(buffer[topic_at:topic_stop])
        _refuse_wildcards(topic)
        packet_id = buffer[topic_stop:payload_at]
        if first & 0x0E not in _QOS_TAKEN or packet_id == b"\0\0":
            raise _refused_flags(first)
        if self.version == 5:
            if payload_at < stop and not buffer[payload_at]:  # no properties
                payload_at += 1
            else:
                reader = _Reader(buffer[payload_at:stop])
                alias = reader.properties(_OF_PUBLISH).get(_Property.TOPIC_ALIAS)
                payload_at = stop - reader.left()
                topic = topic if alias is None else self._aliased(alias, topic)
        if not topic:
            raise ProtocolError(Reason.PROTOCOL_ERROR, "PUBLISH without a topic")
        return Publish(topic, buffer[payload_at:stop], packet_id)

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
        reader = _Reader(body)
        packet = self._connect(reader) if first == _CONNECT else self._later(first, reader)
        if reader.left():
            raise ProtocolError(Reason.MALFORMED, f"{type(packet).__name__} has {reader.left()} bytes too many")
        return packet

    def _later(self, first: int, reader: _Reader) -> Packet:
        match first:
            case 0xC0:
                return Ping()
            case 0xE0:
                return self._disconnect(reader)
            case 0x82:
                return Subscribe(*self._filters(reader, _OF_SUBSCRIBE, options=True))
            case 0xA2:
                return Unsubscribe(*self._filters(reader, _OF_UNSUBSCRIBE, options=False))
            case 0x62:
                return self._release(reader)
        raise ProtocolError(Reason.PROTOCOL_ERROR, f"a packet begins with {first:#04x}, which a client does not send to this server")

    def _connect(self, reader: _Reader) -> Connect:
        protocol, level = reader.binary(), reader.number(1)
        self.version = 5 if level >= 5 else 4
        if protocol != b"MQTT" or level not in (4, 5):
            raise ProtocolError(Reason.UNSUPPORTED_VERSION, f"protocol is {protocol!r} level {level}; MQTT 3.1.1 and 5 are spoken")
        flags, keep_alive_s = reader.number(1), reader.number(2)
        _check_connect_flags(flags, self.version)
        properties = reader.properties(_OF_CONNECT) if self.version == 5 else {}
        _check_authentication(properties)
        client_id = reader.text()
        will = self._will(reader, flags) if flags & 0x04 else None
        user = reader.text() if flags & 0x80 else None
        password = reader.binary() if flags & 0x40 else None
        clean, expiry_s = bool(flags & 0x02), properties.get(_Property.SESSION_EXPIRY, 0)
        return Connect(self.version, client_id, clean, keep_alive_s, user, password, will, expiry_s, properties.get(_Property.PACKET_BYTES))

    def _will(self, reader: _Reader, flags: int) -> Will:
        if self.version == 5:
            reader.properties(_OF_WILL)
            if flags & 0x10:
                raise ProtocolError(Reason.QOS_NOT_SUPPORTED, "the will has QoS 2, at most 1 is taken")
        topic = reader.text()
        _refuse_wildcards(topic)
        return Will(topic, reader.binary())

    def _disconnect(self, reader: _Reader) -> Disconnect:
        reason = reader.number(1) if self.version == 5 and reader.left() else 0
        if self.version == 5 and reader.left():
            reader.properties(_OF_DISCONNECT)
        return Disconnect(reason)

    def _release(self, reader: _Reader) -> Release:
        packet_id = reader.packet_id()
        if self.version == 5 and reader.left():
            reader.number(1)  # its reason changes nothing
            if reader.left():
                reader.properties(_OF_PUBREL)
        return Release(packet_id)

    def _filters(self, reader: _Reader, allowed: frozenset[int], *, options: bool) -> tuple[bytes, int]:
        """Packet identifier and number of filters: all that an answer needs."""
        packet_id = reader.packet_id()
        if self.version == 5:
            reader.properties(allowed)
        count = 0
        while reader.left():
            reader.text()
            if options:
                reader.number(1)
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
    if _Property.AUTHENTICATION_METHOD in properties:
        raise ProtocolError(Reason.BAD_AUTHENTICATION_METHOD, "enhanced authentication is not offered; use user and password")
    if _Property.AUTHENTICATION_DATA in properties:
        raise ProtocolError(Reason.PROTOCOL_ERROR, "authentication data without a method")


PINGRESP = b"\xd0\0"
_REASON_3 = {
    Reason.SUCCESS: 0,
    Reason.UNSUPPORTED_VERSION: 1,
    Reason.CLIENT_ID_INVALID: 2,
    Reason.BAD_LOGIN: 4,
    Reason.NOT_AUTHORISED: 5,
}


class Offer(NamedTuple):
    """What CONNACK tells an MQTT 5 client about this server and its session (3.2.2.3)."""

    receive_maximum: int
    packet_bytes: int
    topic_aliases: int
    assigned_client_id: str | None = None
    server_keep_alive_s: int | None = None


def connack(offer: Offer, version: int) -> bytes:
    """Encode an accepted CONNECT: no session present, none kept."""
    if version == 4:
        return b"\x20\x02\0\0"
    properties = struct.pack(
        ">BIBHBBBIBHBBBBBB",
        *(_Property.SESSION_EXPIRY, 0, _Property.RECEIVE_MAXIMUM, offer.receive_maximum, _Property.MAXIMUM_QOS, 1),
        *(_Property.PACKET_BYTES, offer.packet_bytes, _Property.TOPIC_ALIAS_MAXIMUM, offer.topic_aliases),
        *(_Property.WILDCARD_SUBSCRIPTION, 0, _Property.SUBSCRIPTION_IDENTIFIERS, 0, _Property.SHARED_SUBSCRIPTION, 0),
    )
    if offer.assigned_client_id is not None:
        properties += bytes([_Property.ASSIGNED_CLIENT_ID]) + _prefixed(offer.assigned_client_id)
    if offer.server_keep_alive_s is not None:
        properties += struct.pack(">BH", _Property.SERVER_KEEP_ALIVE, offer.server_keep_alive_s)
    return _packet(0x20, b"\0\0" + _variable_number(len(properties)) + properties)


def connack_refused(error: ProtocolError, version: int) -> bytes:
    """Encode a refused CONNECT; empty where MQTT 3.1.1 has no code for the reason and just closes."""
    if version == 5:
        return _packet(0x20, bytes([0, error.reason]) + _reason_string(error.detail))
    code = _REASON_3.get(error.reason)
    return b"" if code is None else bytes([0x20, 2, 0, code])


def puback(packet_id: bytes) -> bytes:
    """Encode the acknowledgement of a message that is durable."""
    return b"@\x02" + packet_id


def puback_refused(packet_id: bytes, reason: Reason) -> bytes:
    """Encode the refusal of a message (MQTT 5 only)."""
    return b"@\x03" + packet_id + bytes([reason])


def pubcomp(packet_id: bytes, version: int) -> bytes:
    """Encode the answer to a PUBREL of which nothing is known."""
    return b"p\x03" + packet_id + bytes([Reason.PACKET_ID_NOT_FOUND]) if version == 5 else b"p\x02" + packet_id


def suback_refused(packet: Subscribe, version: int) -> bytes:
    """Encode that no filter was granted."""
    codes = bytes([Reason.NOT_AUTHORISED if version == 5 else 0x80]) * packet.filters
    return _packet(0x90, packet.packet_id + (b"\0" if version == 5 else b"") + codes)


def unsuback(packet: Unsubscribe, version: int) -> bytes:
    """Encode that there was no subscription."""
    codes = b"\0" + bytes([Reason.NO_SUBSCRIPTION]) * packet.filters if version == 5 else b""
    return _packet(0xB0, packet.packet_id + codes)


def disconnect(error: ProtocolError) -> bytes:
    """Encode the server's reason for closing (MQTT 5 only)."""
    return _packet(0xE0, bytes([error.reason]) + _reason_string(error.detail))


def _reason_string(detail: str) -> bytes:
    text = _prefixed(detail[:200])
    return _variable_number(1 + len(text)) + bytes([_Property.REASON_STRING]) + text


def _prefixed(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">H", len(raw)) + raw


def _variable_number(value: int) -> bytes:
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])


def _packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + _variable_number(len(body)) + body
