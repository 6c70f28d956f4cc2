"""What the bulk socket takes for itself, and what it leaves to paho, however the bytes are cut."""

import socket
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.bulk import BulkSocket, Taken

PINGRESP = b"\xd0\x00"
SUBACK = b"\x90\x04\x00\x01\x00\x01"


def publish(topic: bytes, mid: int, payload: bytes, *, properties: bytes | None) -> bytes:
    body = len(topic).to_bytes(2, "big") + topic + (mid.to_bytes(2, "big") if mid else b"")
    if properties is not None:
        body += bytes([len(properties)]) + properties
    body += payload
    size, length = len(body), b""
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return (b"\x32" if mid else b"\x30") + length + bytes([size]) + body


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


def drained(bulk: BulkSocket, room: int = 1_000) -> tuple[list[Taken], bytes]:
    """What is taken, and what paho reads byte by byte, until there is nothing more."""
    taken: list[Taken] = []
    read = b""
    while True:
        more = bulk.take(room, 1 << 30)
        taken += more
        try:
            byte = bulk.recv(1)
        except BlockingIOError:
            if not bulk.pending():
                return taken, read
            continue
        read += byte
        if not byte:
            return taken, read


messages = st.builds(
    Taken,
    st.binary(min_size=1, max_size=40),
    st.integers(0, 65_535),
    st.one_of(st.binary(max_size=30), st.integers(100, 20_000).map(bytes)),
)
packets = st.lists(st.one_of(messages, st.sampled_from([PINGRESP, SUBACK])), max_size=12)


@given(packets, st.booleans(), st.lists(st.integers(0, 60_000), max_size=8), st.integers(1, 5))
def test_messages_are_taken_and_the_rest_is_left_wherever_the_stream_is_cut(
    sent: list[Taken | bytes], with_properties: bool, cuts: list[int], room: int
) -> None:
    properties = b"\x01\x01" if with_properties else None
    stream = b"".join(one if isinstance(one, bytes) else publish(*one, properties=properties) for one in sent)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        bulk = BulkSocket(ours, with_properties=with_properties)
        taken: list[Taken] = []
        read = b""
        places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
        for begin, end in pairwise(places):
            theirs.sendall(stream[begin:end])
            more, other = drained(bulk, room)
            taken, read = taken + more, read + other
    assert taken == [one for one in sent if isinstance(one, Taken)]
    assert read == b"".join(one for one in sent if isinstance(one, bytes))


def test_a_packet_is_never_left_in_halves(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    bulk = BulkSocket(ours, with_properties=False)
    theirs.sendall(SUBACK[:3])
    with pytest.raises(BlockingIOError):
        bulk.recv(1)
    assert bulk.pending() == 0
    theirs.sendall(SUBACK[3:])
    assert bulk.recv(100) == SUBACK


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(b"\x34\x05\x00\x01a\x00\x01", id="QoS 2"),
        pytest.param(b"\x32\x04\x00\x09ab", id="a topic longer than its packet"),
        pytest.param(b"\x30\x00", id="no topic"),
        pytest.param(b"\x30\xff\xff\xff\xff\x01", id="a length of five bytes"),
    ],
)
def test_what_is_no_plain_message_is_left_to_paho(ends: tuple[socket.socket, socket.socket], packet: bytes) -> None:
    ours, theirs = ends
    bulk = BulkSocket(ours, with_properties=False)
    theirs.sendall(packet)
    assert drained(bulk) == ([], packet)


def test_taking_stops_at_so_many_messages_and_at_so_much(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    bulk = BulkSocket(ours, with_properties=False)
    theirs.sendall(publish(b"t", 1, b"12345", properties=None) * 6)
    with pytest.raises(BlockingIOError):
        bulk.recv(1)
    assert len(bulk.take(2, 1_000)) == 2
    assert len(bulk.take(100, 8)) == 2, "the message that crosses the limit is the last"
    assert len(bulk.take(100, 1_000)) == 2


def test_acknowledgements_wait_for_a_packet_that_is_half_sent(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    bulk = BulkSocket(ours, with_properties=False)
    packet = bytes(4_000_000)
    sent = bulk.send(packet)
    assert 0 < sent < len(packet)
    bulk.acknowledge([7, 300])
    assert bulk.wants_write
    theirs.setblocking(False)
    heard = 0
    while sent < len(packet):
        heard += len(theirs.recv(1 << 20))
        sent += bulk.send(packet[sent:])
    while heard < len(packet):
        heard += len(theirs.recv(min(1 << 20, len(packet) - heard)))
    bulk.flush()
    assert theirs.recv(100) == b"\x40\x02\x00\x07\x40\x02\x01\x2c"


def test_a_hang_up_shows_the_end_whatever_was_read(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    bulk = BulkSocket(ours, with_properties=False)
    theirs.sendall(publish(b"t", 1, b"x", properties=None) + PINGRESP)
    with pytest.raises(BlockingIOError):
        bulk.recv(1)
    bulk.hang_up()
    assert bulk.recv(1) == b""
    assert bulk.take(10, 1_000) == []
