"""The fields that MQTT packets are made of: numbers, texts, properties, and the error that ends a connection.

Section numbers in these modules are those of the OASIS standard MQTT Version 5.0; 3.1.1 is the same format without properties and
reason codes.
"""

from enum import IntEnum
from typing import Any


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
    SERVER_UNAVAILABLE = 0x88
    SHUTTING_DOWN = 0x8B
    BAD_AUTHENTICATION_METHOD = 0x8C
    KEEP_ALIVE_TIMEOUT = 0x8D
    TAKEN_OVER = 0x8E
    TOPIC_INVALID = 0x90
    PACKET_ID_NOT_FOUND = 0x92
    RECEIVE_MAXIMUM_EXCEEDED = 0x93
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    QOS_NOT_SUPPORTED = 0x9B


class ProtocolError(Exception):
    """The connection cannot go on, for a reason that MQTT names."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Property(IntEnum):
    """Properties that mean something here (2.2.2.2)."""

    PAYLOAD_FORMAT = 0x01
    RESPONSE_TOPIC = 0x08
    SUBSCRIPTION_IDENTIFIER = 0x0B
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


# Property identifiers that a client may send in each packet (2.2.2.2).
OF_CONNECT = frozenset({0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27})
OF_WILL = frozenset({0x01, 0x02, 0x03, 0x08, 0x09, 0x18, 0x26})
OF_PUBLISH = frozenset({0x01, 0x02, 0x03, 0x08, 0x09, 0x23, 0x26})
OF_PUBREL = frozenset({0x1F, 0x26})
OF_SUBSCRIBE = frozenset({0x0B, 0x26})
OF_UNSUBSCRIBE = frozenset({0x26})
OF_DISCONNECT = frozenset({0x11, 0x1F, 0x26})
_FLAGS = frozenset({Property.PAYLOAD_FORMAT, Property.REQUEST_PROBLEM_INFORMATION, Property.REQUEST_RESPONSE_INFORMATION})
_NEVER_ZERO = frozenset({Property.RECEIVE_MAXIMUM, Property.PACKET_BYTES, Property.SUBSCRIPTION_IDENTIFIER})


class Reader:
    """A cursor over one packet's body. Reading past its end is a malformed packet."""

    __slots__ = ("_at", "_body")

    def __init__(self, body: bytes) -> None:
        self._body, self._at = body, 0

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
        return text_of(self.binary())

    def packet_id(self) -> bytes:
        return _packet_id(self.take(2))

    def left(self) -> int:
        return len(self._body) - self._at

    def properties(self, allowed: frozenset[int]) -> dict[int, Any]:
        """Values by property identifier; user properties are read and left out."""
        reader = Reader(self.take(self.variable_number()))
        values: dict[int, Any] = {}
        while reader.left():
            name = reader.variable_number()
            if name not in allowed or name in values:
                raise ProtocolError(Reason.PROTOCOL_ERROR, f"property {name:#04x} is not allowed here, or stands twice")
            value = reader.property_value(name)
            if name != Property.USER_PROPERTY:
                values[name] = value
        return values

    def property_value(self, name: int) -> Any:
        """The value of one property, in its type."""
        value = _PROPERTY_TYPES[name](self)
        if (name in _FLAGS and value > 1) or (name in _NEVER_ZERO and value == 0):
            raise ProtocolError(Reason.PROTOCOL_ERROR, f"property {name:#04x} is {value}")
        if name == Property.RESPONSE_TOPIC:
            refuse_wildcards(value)
        return value


def _pair(reader: Reader) -> tuple[str, str]:
    return reader.text(), reader.text()


_PROPERTY_TYPES = {
    **dict.fromkeys((0x01, 0x17, 0x19), lambda reader: reader.number(1)),
    **dict.fromkeys((0x21, 0x22, 0x23), lambda reader: reader.number(2)),
    **dict.fromkeys((0x02, 0x11, 0x18, 0x27), lambda reader: reader.number(4)),
    **dict.fromkeys((0x03, 0x08, 0x15, 0x1C, 0x1F), Reader.text),
    **dict.fromkeys((0x09, 0x16), Reader.binary),
    0x0B: Reader.variable_number,
    0x26: _pair,
}


def text_of(raw: bytes) -> str:
    """Decode a text (1.5.4); anything but well-formed UTF-8 without the null character is malformed."""
    try:
        text = str(raw, "utf-8")
    except UnicodeDecodeError as error:
        raise ProtocolError(Reason.MALFORMED, f"a text is not UTF-8: {error}") from None
    if "\0" in text:
        raise ProtocolError(Reason.MALFORMED, "a text has a null character")
    return text


def refuse_wildcards(topic: str) -> None:
    """Raise for a topic filter where a topic name belongs (4.7.1)."""
    if "+" in topic or "#" in topic:
        raise ProtocolError(Reason.TOPIC_INVALID, f"topic {topic!r} has a wildcard; a message goes to one topic")


def _packet_id(raw: bytes) -> bytes:
    if raw == b"\0\0":
        raise ProtocolError(Reason.PROTOCOL_ERROR, "packet identifier is 0")
    return raw
