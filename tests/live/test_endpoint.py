"""The endpoint byte by byte: what the standard says that a server answers, and what the collector may rely on."""

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from ingest.accounts import ROOT, Accounts, device_prefix, put_account
from ingest.connection import Limits
from ingest.endpoint import Endpoint, EndpointError, server_tls
from ingest.sessions import Sessions
from ingest.source import Delivery, Message

pytestmark = pytest.mark.live

TOPIC = "plimsoll/v1/wujin/truck/12/reading"
OTHER_TOPIC = "plimsoll/v1/wujin/truck/13/reading"
PING, PONG = b"\xc0\0", b"\xd0\0"


class Client:
    """A client that sends what the test says, right or wrong."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._socket = socket.create_connection(("127.0.0.1", endpoint.port), timeout=5)

    def send(self, *packets: bytes) -> Self:
        self._socket.sendall(b"".join(packets))
        return self

    def take(self, size: int) -> bytes:
        """So many bytes, or fewer when the server closes."""
        taken = b""
        while len(taken) < size and (more := self._socket.recv(size - len(taken))):
            taken += more
        return taken

    def packet(self) -> bytes:
        """The next packet; empty when the server closed."""
        try:
            header = self.take(2)
            return header + self.take(header[1]) if header else b""
        except ConnectionResetError:
            return b""

    def hears_nothing(self, seconds: float = 0.2) -> bool:
        """Whether nothing comes, not even an end."""
        self._socket.settimeout(seconds)
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(5)
        return False

    def fill(self, data: bytes, most: int) -> int:
        """Send until the server takes no more for a second; how many bytes it and the sockets between took."""
        self._socket.settimeout(1)
        sent = 0
        try:
            while sent < most:
                sent += self._socket.send(data)
        except TimeoutError:
            pass
        self._socket.settimeout(5)
        return sent

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def packet(first: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    length = bytes([len(body)]) if len(body) < 128 else bytes([len(body) % 128 | 128, len(body) // 128])
    return bytes([first]) + length + body


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(raw)) + raw


def connect(
    version: int,
    client_id: str = "c",
    *,
    keep_alive_s: int = 60,
    clean: bool = True,
    expiry_s: int | None = None,
    will: str = "",
    user: str = "",
) -> bytes:
    flags = 2 * clean | (4 if will else 0) | (0xC0 if user else 0)
    none = b"\0" if version == 5 else b""
    properties = none if expiry_s is None else b"\5\x11" + struct.pack(">I", expiry_s)
    parts = [text(client_id)] + [none + text(will) + text(b"gone")] * bool(will) + [text(user) + text(f"{user}'s secret")] * bool(user)
    return packet(0x10, text("MQTT"), bytes([version, flags]), struct.pack(">H", keep_alive_s), properties, *parts)


def publish(version: int, packet_id: int = 1, topic: str | bytes = TOPIC, payload: bytes = b"{}", *, first: int = 0x32) -> bytes:
    return packet(first, text(topic), struct.pack(">H", packet_id) if first & 6 else b"", b"\0" if version == 5 else b"", payload)


def puback(packet_id: int) -> bytes:
    return b"\x40\2" + struct.pack(">H", packet_id)


def reason(answer: bytes) -> int:
    """The reason code of a DISCONNECT of MQTT 5."""
    assert answer[0] == 0xE0
    return answer[2]


def read(endpoint: Endpoint) -> Delivery:
    delivery = endpoint.read(5)
    assert delivery is not None
    return delivery


def eventually(holds: Callable[[], bool], seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint("127.0.0.1", 0) as endpoint:
        yield endpoint


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    path = tmp_path / "accounts.csv"
    put_account(path, "12", b"12's secret", device_prefix("wujin", "truck", "12"))
    put_account(path, "13", b"13's secret", device_prefix("wujin", "truck", "13"))
    put_account(path, "all", b"all's secret", ROOT)
    return Accounts(path)


def limited(**limits: float) -> Endpoint:
    return Endpoint("127.0.0.1", 0, limits=Limits(**limits))  # type: ignore[arg-type] # each test names integer limits as integers


@pytest.fixture(params=[4, 5], ids=["3.1.1", "5"])
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def connected(endpoint: Endpoint, version: int, client_id: str = "c", **how: object) -> Client:
    client = Client(endpoint).send(connect(version, client_id, **how))  # type: ignore[arg-type] # handed through
    answer = client.packet()
    assert answer[:1] + answer[2:4] == b"\x20\0\0", answer
    return client


# The promise


def test_a_message_is_acknowledged_when_the_collector_says_so_and_not_before(endpoint: Endpoint, version: int) -> None:
    with connected(endpoint, version) as client:
        client.send(publish(version, 7, payload=b"[1]"))
        delivery = read(endpoint)
        assert delivery.messages == [Message(TOPIC, b"[1]")]
        assert client.hears_nothing()
        delivery.acknowledge()
        assert client.packet() == puback(7)


def test_acknowledgements_come_in_order_and_in_one_piece(endpoint: Endpoint, version: int) -> None:
    with connected(endpoint, version) as client:
        client.send(*[publish(version, packet_id) for packet_id in range(1, 301)])
        taken = 0
        while taken < 300:
            delivery = read(endpoint)
            delivery.acknowledge()
            taken += len(delivery.messages)
        assert client.take(1200) == b"".join(puback(packet_id) for packet_id in range(1, 301))


def test_a_message_at_qos_0_is_delivered_and_not_acknowledged(endpoint: Endpoint, version: int) -> None:
    with connected(endpoint, version) as client:
        client.send(publish(version, first=0x30))
        delivery = read(endpoint)
        delivery.acknowledge()
        assert delivery.messages == [Message(TOPIC, b"{}")]
        assert client.hears_nothing()


def test_who_went_away_is_not_acknowledged_and_may_repeat(endpoint: Endpoint, version: int) -> None:
    with connected(endpoint, version) as client:
        client.send(publish(version, 7))
        first = read(endpoint)
    assert eventually(lambda: endpoint.state()["connections"] == 0)
    first.acknowledge()
    with connected(endpoint, version) as client:
        client.send(publish(version, 7, first=0x3A))
        assert client.hears_nothing()
        again = read(endpoint)
        again.acknowledge()
        assert again.messages == first.messages
        assert client.packet() == puback(7)


def test_dropping_makes_the_senders_repeat(endpoint: Endpoint, version: int) -> None:
    with connected(endpoint, version) as client:
        client.send(publish(version, 7))
        lost = read(endpoint)
        endpoint.drop()
        assert client.packet() == b""
    lost.acknowledge()
    with connected(endpoint, version) as client:
        client.send(publish(version, 7, first=0x3A))
        again = read(endpoint)
        again.acknowledge()
        assert client.packet() == puback(7)
    assert endpoint.state()["waiting_messages"] == endpoint.state()["waiting_bytes"] == 0


def test_messages_are_gathered_until_there_are_enough_or_the_last_batch_is_long_ago() -> None:
    with Endpoint("127.0.0.1", 0, flush_messages=3, flush_s=0.5) as endpoint, connected(endpoint, 5) as client:
        started = time.monotonic()
        client.send(publish(5, 1))
        assert len(read(endpoint).messages) == 1
        assert time.monotonic() - started < 0.4  # after a pause nobody waits
        started = time.monotonic()
        client.send(publish(5, 2))
        time.sleep(0.1)
        client.send(publish(5, 3))
        assert len(read(endpoint).messages) == 2
        assert 0.3 < time.monotonic() - started < 2
        client.send(publish(5, 4), publish(5, 5), publish(5, 6))
        started = time.monotonic()
        assert len(read(endpoint).messages) == 3
        assert time.monotonic() - started < 0.4


def test_reading_in_vain_ends_in_time(endpoint: Endpoint) -> None:
    started = time.monotonic()
    assert endpoint.read(0.1) is None
    assert time.monotonic() - started < 2


# Sessions


NEVER_S = 0xFFFF_FFFF
GOODBYE = b"\xe0\0"


def present(endpoint: Endpoint, version: int, client_id: str = "c", goodbye: bytes = GOODBYE, **how: Any) -> bool:
    """Whether CONNACK says that there is a session; the client then takes its leave."""
    with Client(endpoint).send(connect(version, client_id, **how)) as client:
        answer = client.packet()
        assert answer[:1] == b"\x20"
        assert answer[3] == 0
        assert client.send(goodbye).packet() == b""
        return bool(answer[2])


def kept(version: int) -> dict[str, Any]:
    """How a client asks for its session, and to keep it."""
    return {"clean": False} if version == 4 else {"clean": False, "expiry_s": 60}


def test_a_client_that_keeps_its_session_finds_it_again(endpoint: Endpoint, version: int) -> None:
    assert [present(endpoint, version, **kept(version)) for _ in range(3)] == [False, True, True]
    assert not present(endpoint, version, "another", **kept(version))
    assert endpoint.state()["sessions"] == 2


def test_a_clean_start_finds_nothing_and_leaves_what_it_asks_for(endpoint: Endpoint) -> None:
    assert not present(endpoint, 5, clean=False, expiry_s=60)
    assert not present(endpoint, 5, clean=True, expiry_s=60)
    assert present(endpoint, 5, clean=False, expiry_s=60)
    assert not present(endpoint, 5, clean=True)
    assert not present(endpoint, 5, clean=False, expiry_s=60)


def test_a_clean_session_of_3_1_1_leaves_nothing(endpoint: Endpoint) -> None:
    assert [present(endpoint, 4, clean=clean) for clean in (False, True, False, False)] == [False, False, False, True]


def test_a_client_without_an_expiry_leaves_nothing(endpoint: Endpoint) -> None:
    assert [present(endpoint, 5, clean=False) for _ in range(2)] == [False, False]
    assert not present(endpoint, 5, clean=False, expiry_s=60)
    assert present(endpoint, 5, clean=False)  # this once: it ends with this connection
    assert not present(endpoint, 5, clean=False, expiry_s=60)


def test_a_session_may_end_with_its_disconnect(endpoint: Endpoint) -> None:
    assert not present(endpoint, 5, goodbye=b"\xe0\7\0\5\x11\0\0\0\0", **kept(5))
    assert not present(endpoint, 5, goodbye=b"\xe0\7\0\5\x11\xff\xff\xff\xff", **kept(5))
    assert present(endpoint, 5, goodbye=b"\xe0\7\0\5\x11\0\0\0\1", **kept(5))
    time.sleep(1.1)
    assert not present(endpoint, 5, **kept(5))


def test_a_disconnect_cannot_prolong_what_ends_with_the_connection(endpoint: Endpoint) -> None:
    with connected(endpoint, 5, clean=False) as client:
        assert reason(client.send(b"\xe0\7\0\5\x11\0\0\0\1").packet()) == 0x82


def test_a_client_of_5_hears_how_long_its_session_is_kept(endpoint: Endpoint) -> None:
    for expiry_s, said in ((None, 0), (0, 0), (60, NEVER_S), (NEVER_S, NEVER_S)):
        with Client(endpoint).send(connect(5, expiry_s=expiry_s)) as client:
            assert client.packet()[5:10] == b"\x11" + struct.pack(">I", said)


def test_a_client_that_was_given_its_name_has_no_session(endpoint: Endpoint) -> None:
    with Client(endpoint).send(connect(5, "", clean=False, expiry_s=60)) as client:
        answer = client.packet()
    name = answer[answer.index(b"plimsoll-") :][:41].decode()
    assert (answer[2], answer[5:10]) == (0, b"\x11\0\0\0\0")
    assert not present(endpoint, 5, name, **kept(5))


def test_a_session_belongs_to_its_account(accounts: Accounts, version: int) -> None:
    with Endpoint("127.0.0.1", 0, accounts=accounts) as endpoint:
        users = ("12", "13", "12", "13")
        assert [present(endpoint, version, user=user, **kept(version)) for user in users] == [False, False, True, True]
        with Client(endpoint).send(connect(version, "new", user="nobody", **kept(version))) as refused:
            assert refused.packet()[3] != 0
        assert endpoint.state()["sessions"] == 2


def test_a_session_that_cannot_be_noted_is_refused(tmp_path: Path, version: int) -> None:
    file = tmp_path / "sessions.jsonl"
    with Endpoint("127.0.0.1", 0, sessions=Sessions(file)) as endpoint:
        file.unlink()
        file.mkdir()
        with Client(endpoint).send(connect(version, **kept(version)), publish(version)) as client:
            assert client.packet()[3] == (3 if version == 4 else 0x88)
            assert client.packet() == b""
        assert endpoint.read(0.1) is None
        assert not present(endpoint, version)  # who keeps nothing comes in


def test_a_second_connection_with_one_identifier_takes_over(endpoint: Endpoint, version: int) -> None:
    with connected(endpoint, version) as old, connected(endpoint, version) as new:
        answer = old.packet()
        assert answer == b"" if version == 4 else reason(answer) == 0x8E
        assert old.packet() == b""
        assert new.send(PING).packet() == PONG


def test_nobody_can_push_out_the_device_of_another_account(accounts: Accounts, version: int) -> None:
    with (
        Endpoint("127.0.0.1", 0, accounts=accounts) as endpoint,
        connected(endpoint, version, user="12") as one,
        connected(endpoint, version, user="13") as other,
    ):
        assert one.send(PING).packet() == other.send(PING).packet() == PONG


def test_a_nameless_client_gets_a_name(endpoint: Endpoint) -> None:
    with Client(endpoint).send(connect(5, "")) as client:
        assert b"\x12\0\x29plimsoll-" in client.packet()
    with Client(endpoint).send(connect(4, "")) as client:
        assert client.packet() == b"\x20\2\0\0"
    with Client(endpoint).send(connect(4, "", clean=False)) as client:
        assert (client.packet(), client.packet()) == (b"\x20\2\0\2", b"")


def test_a_client_of_5_hears_what_is_not_done_here() -> None:
    limits = limited(keep_alive_s=100, receive_maximum=3, packet_bytes=4096, topic_aliases=2)
    with limits as endpoint, Client(endpoint).send(connect(5, keep_alive_s=0)) as client:
        said = client.packet()[5:]
    for each in (b"\x24\1", b"\x21\0\3", b"\x27\0\0\x10\0", b"\x22\0\2", b"\x28\0", b"\x29\0", b"\x2a\0", b"\x11\0\0\0\0", b"\x13\0\x64"):
        assert each in said


# Refusals


def test_a_version_that_is_not_spoken_is_refused(endpoint: Endpoint) -> None:
    with Client(endpoint).send(packet(0x10, text("MQIsdp"), b"\3\2\0\0", text("c"))) as client:
        assert (client.packet(), client.packet()) == (b"\x20\2\0\1", b"")
    with Client(endpoint).send(packet(0x10, text("MQTT"), b"\6\2\0\0\0", text("c"))) as client:
        assert client.packet()[2:4] == b"\0\x84"


def test_subscribing_is_refused_and_publishing_goes_on(endpoint: Endpoint, version: int) -> None:
    with connected(endpoint, version) as client:
        none = b"\0" if version == 5 else b""
        client.send(packet(0x82, b"\0\1", none, text("#"), b"\1", text("a"), b"\0"))
        assert client.packet() == (b"\x90\4\0\1\x80\x80" if version == 4 else b"\x90\5\0\1\0\x87\x87")
        client.send(packet(0xA2, b"\0\2", none, text("#")))
        assert client.packet() == (b"\xb0\2\0\2" if version == 4 else b"\xb0\4\0\2\0\x11")
        client.send(publish(version, 3))
        read(endpoint).acknowledge()
        assert client.packet() == puback(3)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (publish(5, first=0x34), 0x9B),
        (publish(5, topic="plimsoll/+/x"), 0x90),
        (publish(5, topic=b"\xc3\x28"), 0x81),
        (publish(5, 0), 0x82),
        (b"\x32\xff\xff\xff\xff\1", 0x81),
        (b"\x32\xff\xff\xff\x7f", 0x95),
        (connect(5), 0x82),
        (packet(0xF0, b"\x18\0"), 0x82),
        (b"\x00\0", 0x82),
    ],
    ids=["QoS 2", "wildcard", "UTF-8", "packet identifier 0", "length", "size", "CONNECT again", "AUTH", "reserved"],
)
def test_a_fault_closes_the_connection_and_5_hears_why(endpoint: Endpoint, version: int, sent: bytes, code: int) -> None:
    with connected(endpoint, version) as client:
        client.send(sent)
        if version == 5:
            assert reason(client.packet()) == code
        assert client.packet() == b""
    assert endpoint.state()["refused"] == 1


def test_what_came_before_a_fault_is_delivered(endpoint: Endpoint, version: int) -> None:
    with connected(endpoint, version) as client:
        client.send(publish(version, 1), b"\x00\0")
        assert read(endpoint).messages == [Message(TOPIC, b"{}")]


def test_more_messages_than_the_receive_maximum_close_the_connection() -> None:
    with limited(receive_maximum=2) as endpoint, connected(endpoint, 5) as client:
        client.send(publish(5, 1), publish(5, 2))
        read(endpoint).acknowledge()
        assert client.take(8) == puback(1) + puback(2)
        client.send(publish(5, 3), publish(5, 4), publish(5, 5))
        assert reason(client.packet()) == 0x93


def test_a_topic_alias_is_resolved(endpoint: Endpoint) -> None:
    with connected(endpoint, 5) as client:
        client.send(packet(0x30, text(TOPIC), b"\3\x23\0\1", b"1"), packet(0x30, text(""), b"\3\x23\0\1", b"2"))
        assert read(endpoint).messages == [Message(TOPIC, b"1"), Message(TOPIC, b"2")]


def test_a_topic_alias_beyond_the_maximum_closes_the_connection(endpoint: Endpoint) -> None:
    with connected(endpoint, 5) as client:
        client.send(packet(0x32, text(TOPIC), b"\0\1", b"\3\x23\0\x65"))
        assert reason(client.packet()) == 0x94


# Accounts


def test_a_wrong_password_is_refused(accounts: Accounts, version: int) -> None:
    with Endpoint("127.0.0.1", 0, accounts=accounts) as endpoint:
        for user in ("", "nobody"):
            with Client(endpoint).send(connect(version, user=user), publish(version)) as client:
                answer = client.packet()
                assert answer[2:4] == (b"\0\4" if version == 4 else b"\0\x86")
                assert client.packet() == b""
        assert endpoint.read(0.1) is None
        assert endpoint.state()["refused_logins"] == 2


def test_a_device_that_does_not_wait_for_its_login_loses_nothing(accounts: Accounts, version: int) -> None:
    with Endpoint("127.0.0.1", 0, accounts=accounts) as endpoint, Client(endpoint) as client:
        client.send(connect(version, user="12"), publish(version, 1), publish(version, 2))
        assert client.packet()[0] == 0x20
        client.send(publish(version, 3))
        taken = 0
        while taken < 3:
            delivery = read(endpoint)
            taken += len(delivery.messages)
            delivery.acknowledge()
        assert client.take(12) == puback(1) + puback(2) + puback(3)


def test_another_devices_topic_is_refused_in_its_turn(accounts: Accounts) -> None:
    with Endpoint("127.0.0.1", 0, accounts=accounts) as endpoint, connected(endpoint, 5, user="12") as client:
        client.send(publish(5, 1, OTHER_TOPIC))
        assert client.packet() == b"\x40\3\0\1\x87"
        client.send(publish(5, 2), publish(5, 3, OTHER_TOPIC))
        delivery = read(endpoint)
        assert delivery.messages == [Message(TOPIC, b"{}")]
        client.send(publish(5, 4, OTHER_TOPIC))
        assert client.hears_nothing()
        delivery.acknowledge()
        assert endpoint.read(0.2) is None
        assert client.take(14) == puback(2) + b"\x40\3\0\3\x87" + b"\x40\3\0\4\x87"


def test_another_devices_topic_closes_a_connection_of_3_1_1(accounts: Accounts) -> None:
    with Endpoint("127.0.0.1", 0, accounts=accounts) as endpoint, connected(endpoint, 4, user="12") as client:
        client.send(publish(4, 1, OTHER_TOPIC))
        assert client.packet() == b""
        assert endpoint.read(0.1) is None


def test_a_gateway_publishes_for_all(accounts: Accounts, version: int) -> None:
    with Endpoint("127.0.0.1", 0, accounts=accounts) as endpoint, connected(endpoint, version, user="all") as client:
        client.send(publish(version, 1, TOPIC), publish(version, 2, OTHER_TOPIC))
        read(endpoint).acknowledge()
        assert client.take(8) == puback(1) + puback(2)


@pytest.mark.parametrize("host", ["0.0.0.0", "", "::"])  # noqa: S104 - refused is the point
def test_without_accounts_only_this_machine_is_served(host: str) -> None:
    with pytest.raises(EndpointError, match="no accounts"):
        Endpoint(host, 0)


def test_with_accounts_other_machines_are_served(accounts: Accounts, caplog: pytest.LogCaptureFixture) -> None:
    with Endpoint("0.0.0.0", 0, accounts=accounts) as endpoint:  # noqa: S104 - it has accounts
        connected(endpoint, 5, user="12").close()
    assert "without TLS" in caplog.text


def test_a_port_that_is_taken_is_named(endpoint: Endpoint) -> None:
    with pytest.raises(EndpointError, match=f"cannot listen on 127.0.0.1 port {endpoint.port}"):
        Endpoint("127.0.0.1", endpoint.port)


# Silence, wills, limits


def test_a_silent_device_is_closed_after_one_and_a_half_times_its_keep_alive(endpoint: Endpoint, version: int) -> None:
    with connected(endpoint, version, keep_alive_s=1, will="a/will") as client:
        started = time.monotonic()
        time.sleep(1)
        assert client.send(PING).packet() == PONG
        answer = client.packet()
        assert answer == b"" if version == 4 else reason(answer) == 0x8D
        assert 2.4 < time.monotonic() - started < 4
        assert eventually(lambda: endpoint.state()["gone"] == 1)


def test_who_says_nothing_at_all_is_closed() -> None:
    with limited(connect_s=0.3) as endpoint, Client(endpoint).send(b"\x10") as client:
        assert client.packet() == b""


@pytest.mark.parametrize(
    ("goodbye", "gone"), [(b"\xe0\0", 0), (b"\xe0\1\4", 1), (b"", 1), (b"\x00\0", 1)], ids=["wished", "with will", "lost", "fault"]
)
def test_a_will_tells_that_a_device_is_gone(endpoint: Endpoint, goodbye: bytes, gone: int) -> None:
    with connected(endpoint, 5, will="a/will") as client:
        client.send(goodbye)
    assert eventually(lambda: endpoint.state()["connections"] == 0)
    state = endpoint.state()
    assert state["gone"] == gone
    assert [each["will"] for each in state["last_gone"]] == ["a/will"] * gone  # type: ignore[attr-defined] # plain JSON
    assert endpoint.read(0.05) is None


def test_too_many_waiting_messages_stop_the_reading_of_all(version: int) -> None:
    with limited(waiting_messages=10) as endpoint, connected(endpoint, version) as one, connected(endpoint, version, "d") as other:
        one.send(*[publish(version, packet_id) for packet_id in range(1, 13)])
        assert eventually(lambda: endpoint.state()["state"] == "full")
        one.send(PING)
        other.send(PING)
        assert one.hears_nothing()
        assert other.hears_nothing()
        with Client(endpoint).send(connect(version, "late")) as late:
            assert late.hears_nothing()
            read(endpoint).acknowledge()
            assert other.packet() == PONG
            assert late.packet()[0] == 0x20
        assert one.take(12 * 4 + 2) == b"".join(map(puback, range(1, 13))) + PONG
        assert endpoint.state()["state"] == "ok"


def test_a_device_that_waits_for_us_is_not_taken_for_silent() -> None:
    with limited(waiting_messages=1) as endpoint, connected(endpoint, 5, keep_alive_s=1) as client:
        client.send(publish(5, 1), publish(5, 2))
        delivery = read(endpoint)
        assert client.hears_nothing(3)
        delivery.acknowledge()
        assert client.take(8) == puback(1) + puback(2)


def test_what_waits_is_bounded_however_much_comes() -> None:
    with limited(waiting_bytes=1 << 20) as endpoint, connected(endpoint, 4) as client:
        assert client.fill(publish(4, payload=bytes(10_000), first=0x30) * 10, 64 << 20) < 64 << 20
        assert int(str(endpoint.state()["waiting_bytes"])) < 2 << 20


def test_a_client_that_does_not_take_its_answers_is_not_read(endpoint: Endpoint) -> None:
    with connected(endpoint, 4) as client:
        assert client.fill(PING * 50_000, 64 << 20) < 64 << 20


def test_a_fast_device_is_read_at_its_rate() -> None:
    with limited(messages_per_s=200) as endpoint, connected(endpoint, 4) as client:
        started = time.monotonic()
        client.send(*[publish(4, first=0x30)] * 400)
        time.sleep(0.1)
        assert client.send(PING).packet() == PONG
        assert 0.5 < time.monotonic() - started < 3


def test_more_connections_than_the_limit_are_closed() -> None:
    with limited(connections=1) as endpoint, connected(endpoint, 4), Client(endpoint) as second:
        assert second.packet() == b""


# The end


def test_closing_tells_the_devices_and_frees_the_reader(version: int) -> None:
    endpoint = Endpoint("127.0.0.1", 0)
    with connected(endpoint, version) as client:
        client.send(publish(version, 1))
        delivery = read(endpoint)
        waiting = threading.Thread(target=endpoint.read, args=(60,))
        waiting.start()
        endpoint.close()
        waiting.join(5)
        assert not waiting.is_alive()
        answer = client.packet()
        assert answer == b"" if version == 4 else reason(answer) == 0x8B
        assert client.packet() == b""
    delivery.acknowledge()
    assert endpoint.read(0) is None
    endpoint.close()
    with pytest.raises(ConnectionRefusedError):
        Client(endpoint)


def test_what_was_acknowledged_before_closing_is_said() -> None:
    endpoint = Endpoint("127.0.0.1", 0)
    with connected(endpoint, 4) as client:
        client.send(publish(4, 9))
        read(endpoint).acknowledge()
        endpoint.close()
        assert (client.packet(), client.packet()) == (puback(9), b"")


# TLS


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(EndpointError, match=r"none\.pem"):
        server_tls(tmp_path / "none.pem", tmp_path / "key.pem")
    (tmp_path / "some.pem").write_text("nonsense")
    with pytest.raises(EndpointError, match=r"some\.pem"):
        server_tls(tmp_path / "some.pem", tmp_path / "some.pem")


def test_a_plain_client_gets_nothing_from_a_tls_endpoint() -> None:
    with Endpoint("127.0.0.1", 0, tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)) as endpoint:
        with Client(endpoint).send(connect(4)) as client:
            assert client.packet()[:1] in (b"", b"\x15")  # closed, or a TLS alert before that
        assert endpoint.state()["connections"] == 0
