"""What the endpoint answers: MQTT packets from server to client, as bytes."""

import struct
from typing import NamedTuple

from ingest.fields import Property, ProtocolError, Reason
from ingest.packets import Subscribe, Unsubscribe

PINGRESP = b"\xd0\0"
_REASON_3 = {
    Reason.SUCCESS: 0,
    Reason.UNSUPPORTED_VERSION: 1,
    Reason.CLIENT_ID_INVALID: 2,
    Reason.SERVER_UNAVAILABLE: 3,
    Reason.BAD_LOGIN: 4,
    Reason.NOT_AUTHORISED: 5,
}


class Offer(NamedTuple):
    """What CONNACK tells a client about its session, and of MQTT 5 also about this server (3.2.2.3)."""

    session_present: bool
    session_expiry_s: int
    receive_maximum: int
    packet_bytes: int
    topic_aliases: int
    assigned_client_id: str | None = None
    server_keep_alive_s: int | None = None


def connack(offer: Offer, version: int) -> bytes:
    """Encode an accepted CONNECT."""
    if version == 4:
        return bytes([0x20, 2, offer.session_present, 0])
    properties = struct.pack(
        ">BIBHBBBIBHBBBBBB",
        *(Property.SESSION_EXPIRY, offer.session_expiry_s, Property.RECEIVE_MAXIMUM, offer.receive_maximum, Property.MAXIMUM_QOS, 1),
        *(Property.PACKET_BYTES, offer.packet_bytes, Property.TOPIC_ALIAS_MAXIMUM, offer.topic_aliases),
        *(Property.WILDCARD_SUBSCRIPTION, 0, Property.SUBSCRIPTION_IDENTIFIERS, 0, Property.SHARED_SUBSCRIPTION, 0),
    )
    if offer.assigned_client_id is not None:
        properties += bytes([Property.ASSIGNED_CLIENT_ID]) + _prefixed(offer.assigned_client_id)
    if offer.server_keep_alive_s is not None:
        properties += struct.pack(">BH", Property.SERVER_KEEP_ALIVE, offer.server_keep_alive_s)
    return _packet(0x20, bytes([offer.session_present, 0]) + _variable_number(len(properties)) + properties)


def connack_refused(error: ProtocolError, version: int) -> bytes:
    """Encode a refused CONNECT; empty where CONNACK has no code for the reason, and the server just closes."""
    if version == 5 and error.reason != Reason.SHUTTING_DOWN:
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
    return _variable_number(1 + len(text)) + bytes([Property.REASON_STRING]) + text


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
