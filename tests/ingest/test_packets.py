import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.fields import ProtocolError, Reason
from ingest.packets import Connect, Disconnect, Packet, Parser, Ping, Publish, Release, Subscribe, Unsubscribe, Will
from ingest.replies import Offer, connack, connack_refused, disconnect, puback, puback_refused, pubcomp, suback_refused, unsuback

TOPIC = "plimsoll/v1/wujin/truck/苏D12345/reading"


def variable(value: int) -> bytes:
    digits = []
    while True:
        value, digit = divmod(value, 128)
        digits.append(digit | (128 if value else 0))
        if not value:
            return bytes(digits)


def packet(first: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes([first]) + variable(len(body)) + body


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(raw)) + raw


def properties(*parts: bytes) -> bytes:
    body = b"".join(parts)
    return variable(len(body)) + body


def connect(version: int = 5, *, flags: int = 2, keep_alive_s: int = 60, of_version_5: bytes = b"\0", rest: bytes = text("c")) -> bytes:
    return packet(0x10, text("MQTT"), bytes([version, flags]), struct.pack(">H", keep_alive_s), of_version_5 if version == 5 else b"", rest)


def publish(
    topic: str | bytes = TOPIC, payload: bytes = b"{}", packet_id: int = 7, *, first: int = 0x32, of_version_5: bytes = b"\0"
) -> bytes:
    return packet(first, text(topic), struct.pack(">H", packet_id) if first & 6 else b"", of_version_5, payload)


def parse(*pieces: bytes) -> tuple[list[Packet], Reason | None]:
    """What the pieces say, and the reason code with which the connection ends."""
    parser = Parser(packet_bytes=1 << 20, topic_aliases=10)
    packets: list[Packet] = []
    try:
        for piece in pieces:
            parser.feed(piece)
            for each in parser.packets():
                packets.append(each)  # noqa: PERF402 - what was read before a fault counts
    except ProtocolError as error:
        return packets, error.reason
    return packets, None


def test_a_connect_of_3_1_1_says_who_and_how() -> None:
    rest = text("ø") + text("will/topic") + text(b"gone") + text("truck") + text(b"\xffsecret")
    packets, _ = parse(connect(4, flags=0b1100_0110, keep_alive_s=30, rest=rest))
    assert packets == [Connect(4, "ø", True, 30, "truck", b"\xffsecret", Will("will/topic", b"gone"), 0, None)]


def test_a_connect_of_5_says_so_too_with_its_properties() -> None:
    of_version_5 = properties(b"\x11\0\0\0\x3c", b"\x27\0\0\x10\0", b"\x26" + text("k") + text("v"), b"\x26" + text("k") + text("v"))
    rest = text("") + properties(b"\x18\0\0\0\1", b"\x01\1") + text("w") + text(b"")
    packets, _ = parse(connect(5, flags=0b0000_1100, of_version_5=of_version_5, rest=rest))
    assert packets == [Connect(5, "", False, 60, None, None, Will("w", b""), 60, 4096)]


@pytest.mark.parametrize(
    ("bytes_", "reason"),
    [
        (packet(0x10, text("MQIsdp"), b"\3\2\0\0", text("c")), Reason.UNSUPPORTED_VERSION),
        (packet(0x10, text("MQTT"), b"\6\2\0\0\0", text("c")), Reason.UNSUPPORTED_VERSION),
        (connect(4, flags=3), Reason.MALFORMED),  # the reserved flag
        (connect(4, flags=0b0100_0010, rest=text("c") + text(b"p")), Reason.MALFORMED),  # a password without a user
        (connect(5, flags=0b0001_1110), Reason.MALFORMED),  # a will at QoS 3
        (connect(5, flags=0b0000_1010), Reason.MALFORMED),  # a QoS of no will
        (connect(5, flags=0b0001_0110, rest=text("c") + b"\0" + text("w") + text(b"")), Reason.QOS_NOT_SUPPORTED),
        (connect(5, flags=0b0000_0110, rest=text("c") + b"\0" + text("w/#") + text(b"")), Reason.TOPIC_INVALID),
        (connect(5, of_version_5=properties(b"\x15" + text("SCRAM"))), Reason.BAD_AUTHENTICATION_METHOD),
        (connect(5, of_version_5=properties(b"\x16" + text(b"x"))), Reason.PROTOCOL_ERROR),
        (connect(5, of_version_5=properties(b"\x21\0\0")), Reason.PROTOCOL_ERROR),  # receive maximum 0
        (connect(5, of_version_5=properties(b"\x17\2")), Reason.PROTOCOL_ERROR),
        (connect(5, of_version_5=properties(b"\x17\1", b"\x17\1")), Reason.PROTOCOL_ERROR),  # twice
        (connect(5, of_version_5=properties(b"\x23\0\1")), Reason.PROTOCOL_ERROR),  # a property of PUBLISH
        (connect(5, of_version_5=b"\xff\xff\xff\xff\1"), Reason.MALFORMED),
        (connect(4, rest=text("c") + b"!"), Reason.MALFORMED),
        (connect(4, rest=text(b"\xc3")), Reason.MALFORMED),
        (connect(4, rest=b"\0\2c"), Reason.MALFORMED),
        (publish(), Reason.PROTOCOL_ERROR),
        (packet(0xC0), Reason.PROTOCOL_ERROR),
        (packet(0x10, bytes(20_000)), Reason.PACKET_TOO_LARGE),
    ],
)
def test_a_bad_first_packet_ends_with_its_reason(bytes_: bytes, reason: Reason) -> None:
    assert parse(bytes_) == ([], reason)


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize(
    ("first", "packet_id"), [(0x30, b""), (0x31, b""), (0x32, b"\0\7"), (0x3A, b"\0\7")], ids=["qos 0", "retained", "qos 1", "sent again"]
)
def test_a_message_is_read(version: int, first: int, packet_id: bytes) -> None:
    of_version_5 = b"\0" if version == 5 else b""
    packets, _ = parse(connect(version), publish(first=first, of_version_5=of_version_5))
    assert packets[1:] == [Publish(TOPIC, b"{}", packet_id)]


def test_an_empty_payload_is_a_message_too() -> None:
    assert parse(connect(4), publish(payload=b"", of_version_5=b""))[0][1:] == [Publish(TOPIC, b"", b"\0\7")]
    assert parse(connect(5), publish(payload=b""))[0][1:] == [Publish(TOPIC, b"", b"\0\7")]


def test_long_properties_are_read_past() -> None:
    long = properties(*[b"\x26" + text("k" * 60_000) + text("v") for _ in range(5)], b"\x02\0\0\0\1", b"\x09" + text(bytes(300)))
    assert len(long) > 300_000
    assert parse(connect(5), publish(of_version_5=long))[0][1:] == [Publish(TOPIC, b"{}", b"\0\7")]


def test_a_topic_alias_stands_for_its_latest_topic() -> None:
    alias = properties(b"\x23\0\2")
    stream = [publish("a", of_version_5=alias), publish("", of_version_5=alias), publish("b", of_version_5=alias)]
    packets, _ = parse(connect(5), *stream, publish("", of_version_5=alias))
    assert [each.topic for each in packets[1:] if isinstance(each, Publish)] == ["a", "a", "b", "b"]


@pytest.mark.parametrize(
    ("bytes_", "reason"),
    [
        (publish("a/+"), Reason.TOPIC_INVALID),
        (publish("#"), Reason.TOPIC_INVALID),
        (publish(""), Reason.PROTOCOL_ERROR),
        (publish(b"\xed\xa0\x80"), Reason.MALFORMED),  # a surrogate
        (publish("a\0b"), Reason.MALFORMED),
        (publish(packet_id=0), Reason.PROTOCOL_ERROR),
        (publish(first=0x34), Reason.QOS_NOT_SUPPORTED),
        (publish(first=0x36), Reason.MALFORMED),  # QoS 3
        (publish(first=0x38), Reason.MALFORMED),  # DUP at QoS 0
        (publish("", of_version_5=properties(b"\x23\0\1")), Reason.PROTOCOL_ERROR),  # an alias that was not set
        (publish(of_version_5=properties(b"\x23\0\0")), Reason.TOPIC_ALIAS_INVALID),
        (publish(of_version_5=properties(b"\x23\0\x0b")), Reason.TOPIC_ALIAS_INVALID),
        (publish(of_version_5=properties(b"\x0b\1")), Reason.PROTOCOL_ERROR),  # a client has no subscription identifier
        (publish(of_version_5=properties(b"\x08" + text("a/#"))), Reason.TOPIC_INVALID),
        (packet(0x32, text(TOPIC), b"\0\7"), Reason.MALFORMED),  # without its properties
        (packet(0x32, b"\0\x10a"), Reason.MALFORMED),
        (packet(0x32, b"\0"), Reason.MALFORMED),
        (packet(0x30), Reason.MALFORMED),
        (b"\x32\xff\xff\xff\xff\1", Reason.MALFORMED),
        (b"\x32\xff\xff\xff\x7f", Reason.PACKET_TOO_LARGE),
        (connect(5), Reason.PROTOCOL_ERROR),
        (packet(0x20, b"\0\0"), Reason.PROTOCOL_ERROR),
        (packet(0xF0), Reason.PROTOCOL_ERROR),
        (packet(0xC1), Reason.PROTOCOL_ERROR),
        (packet(0xC0, b"!"), Reason.MALFORMED),
        (packet(0x80, b"\0\1\0", text("a"), b"\0"), Reason.PROTOCOL_ERROR),  # SUBSCRIBE without its flag
        (packet(0x82, b"\0\1\0"), Reason.PROTOCOL_ERROR),  # without a filter
        (packet(0x82, b"\0\1\0", text("a")), Reason.MALFORMED),  # without its options
        (packet(0x82, b"\0\1\0", text("a"), b"\3"), Reason.PROTOCOL_ERROR),
        (packet(0x82, b"\0\0\0", text("a"), b"\0"), Reason.PROTOCOL_ERROR),
    ],
)
def test_a_bad_packet_ends_the_connection_with_its_reason(bytes_: bytes, reason: Reason) -> None:
    packets, ended = parse(connect(5), bytes_)
    assert (len(packets), ended) == (1, reason)


def test_the_other_packets_are_read() -> None:
    stream_5 = [packet(0xC0), packet(0x82, b"\0\1\0", text("a"), b"\0", text("b"), b"\1"), packet(0xA2, b"\0\2\0", text("a"))]
    stream_5 += [packet(0x62, b"\0\3"), packet(0x62, b"\0\3\x92\0"), packet(0xE0), packet(0xE0, b"\4"), packet(0xE0, b"\0\5\x11\0\0\0\0")]
    read_5 = [Ping(), Subscribe(b"\0\1", 2), Unsubscribe(b"\0\2", 1), Release(b"\0\3"), Release(b"\0\3")]
    assert parse(connect(5), *stream_5)[0][1:] == [*read_5, Disconnect(0, None), Disconnect(4, None), Disconnect(0, 0)]
    stream_4 = [packet(0x82, b"\0\1", text("a"), b"\2"), packet(0xA2, b"\0\2", text("a"), text("b")), packet(0xE0)]
    assert parse(connect(4), *stream_4)[0][1:] == [Subscribe(b"\0\1", 1), Unsubscribe(b"\0\2", 2), Disconnect(0, None)]


def test_reading_may_stop_at_any_packet_and_go_on() -> None:
    parser = Parser(1 << 20, 10)
    parser.feed(connect(5) + publish(payload=b"1") + publish(payload=b"2")[:-1])
    assert isinstance(next(parser.packets()), Connect)
    assert [each.payload for each in parser.packets() if isinstance(each, Publish)] == [b"1"]
    parser.feed(b"2")
    assert [each.payload for each in parser.packets() if isinstance(each, Publish)] == [b"2"]


def test_answers_are_what_the_standard_writes() -> None:
    assert puback(b"\1\2") == b"\x40\2\1\2"
    assert puback_refused(b"\1\2", Reason.NOT_AUTHORISED) == b"\x40\3\1\2\x87"
    assert pubcomp(b"\1\2", 4) == b"\x70\2\1\2"
    assert pubcomp(b"\1\2", 5) == b"\x70\3\1\2\x92"
    assert suback_refused(Subscribe(b"\1\2", 2), 4) == b"\x90\4\1\2\x80\x80"
    assert suback_refused(Subscribe(b"\1\2", 2), 5) == b"\x90\5\1\2\0\x87\x87"
    assert unsuback(Unsubscribe(b"\1\2", 2), 4) == b"\xb0\2\1\2"
    assert unsuback(Unsubscribe(b"\1\2", 2), 5) == b"\xb0\5\1\2\0\x11\x11"
    assert disconnect(ProtocolError(Reason.TAKEN_OVER, "why")) == b"\xe0\x08\x8e\6\x1f\0\3why"


def test_a_connack_says_what_the_server_does_not_do() -> None:
    offer = Offer(
        session_present=False,
        session_expiry_s=0,
        receive_maximum=10,
        packet_bytes=1 << 20,
        topic_aliases=5,
        assigned_client_id="id",
        server_keep_alive_s=600,
    )
    assert connack(offer, 4) == b"\x20\2\0\0"
    body = b"\x11\0\0\0\0\x21\0\x0a\x24\1\x27\0\x10\0\0\x22\0\5\x28\0\x29\0\x2a\0\x12\0\2id\x13\2\x58"
    assert connack(offer, 5) == packet(0x20, b"\0\0", properties(body))
    known = offer._replace(session_present=True, session_expiry_s=0xFFFF_FFFF)
    assert connack(known, 4) == b"\x20\2\1\0"
    assert connack(known, 5) == packet(0x20, b"\1\0", properties(b"\x11\xff\xff\xff\xff", body[5:]))


@pytest.mark.parametrize(
    ("version", "flags", "expiry", "client_id", "keeps"),
    [
        (4, 0, b"\0", "c", True),
        (4, 2, b"\0", "c", False),
        (5, 0, b"\0", "c", False),
        (5, 0, b"\5\x11\0\0\0\0", "c", False),
        (5, 2, b"\5\x11\0\0\0\1", "c", True),
        (5, 0, b"\5\x11\0\0\0\1", "c", True),
        (5, 0, b"\5\x11\0\0\0\1", "", False),
    ],
)
def test_a_session_is_kept_when_its_client_asks_for_that(version: int, flags: int, expiry: bytes, client_id: str, keeps: bool) -> None:
    ((asked,), _) = parse(connect(version, flags=flags, of_version_5=expiry, rest=text(client_id)))
    assert isinstance(asked, Connect)
    assert asked.keeps_session == keeps


def test_3_1_1_hears_only_the_reasons_it_knows() -> None:
    assert connack_refused(ProtocolError(Reason.BAD_LOGIN, "why"), 4) == b"\x20\2\0\4"
    assert connack_refused(ProtocolError(Reason.UNSUPPORTED_VERSION, "why"), 4) == b"\x20\2\0\1"
    assert connack_refused(ProtocolError(Reason.MALFORMED, "why"), 4) == b""
    assert connack_refused(ProtocolError(Reason.BAD_LOGIN, "why"), 5) == b"\x20\x09\0\x86\6\x1f\0\3why"


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """A connection's bytes, sound or with noise in it."""
    payload = st.binary(max_size=300)
    message = st.builds(
        lambda payload, alias, topic: publish(topic, payload, of_version_5=alias),
        payload,
        st.sampled_from([b"\0", b"\3\x23\0\1"]),
        st.sampled_from(["a/b", "", TOPIC]),
    )
    other = st.sampled_from([packet(0xC0), packet(0x82, b"\0\1\0", text("a"), b"\0"), packet(0x62, b"\0\3")])
    return connect(5) + b"".join(draw(st.lists(st.one_of(message, other, st.binary(max_size=4)), max_size=8)))


@given(stream=streams(), cuts=st.lists(st.integers(0, 3000), max_size=10))
def test_any_cut_of_a_stream_reads_the_same(stream: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[start:stop] for start, stop in pairwise(edges)]
    assert parse(*pieces) == parse(stream)


@given(stream=streams())
def test_a_stream_byte_by_byte_reads_the_same(stream: bytes) -> None:
    assert parse(*[bytes([byte]) for byte in stream]) == parse(stream)


@given(noise=st.binary(max_size=200), after=st.sampled_from([b"", connect(4), connect(5)]))
def test_noise_ends_in_packets_or_in_a_protocol_error(noise: bytes, after: bytes) -> None:
    parse(after + noise)


@given(first=st.integers(0, 255), body=st.binary(max_size=60), version=st.sampled_from([4, 5]))
def test_a_well_framed_packet_of_noise_does_too(first: int, body: bytes, version: int) -> None:
    parse(connect(version) + packet(first, body))
    parse(packet(0x10, text("MQTT"), bytes([version]), body))
