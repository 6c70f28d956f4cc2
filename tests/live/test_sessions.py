"""Sessions across a kill -9 of the endpoint's process: clients that heed Session Present to the letter lose nothing."""

import itertools
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client, ConnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.live.servers import HOST, Server, free_port, until

pytestmark = pytest.mark.live

KILLS = 3
TOPIC = "plimsoll/v1/wujin/truck/12/reading"


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Server]:
    port = free_port()
    server = Server([sys.executable, str(Path(__file__).with_name("keeper.py")), str(port), str(tmp_path)], port, tmp_path / "log")
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=[4, 5], ids=["3.1.1", "5"])
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def kept(server: Server) -> set[int]:
    return {int(line) for line in server.log.with_name("kept").read_bytes().split()}


class StrictDevice:
    """Sends number after number at QoS 1, and does with them what the standard says: repeats what is in flight in a session that goes
    on, throws it away in a new one (3.1.1 and 5, 4.4).
    """

    def __init__(self, port: int, version: int) -> None:
        self.sent, self.thrown_away = 0, 0
        self.present: list[int] = []
        self.in_flight: dict[int, int] = {}  # number by packet identifier
        self._port, self._version = port, version
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """Send nothing new, and wait for every acknowledgement."""
        self._stopping.set()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _work(self) -> None:
        while not self._stopping.is_set() or self.in_flight:
            try:
                with socket.create_connection((HOST, self._port), timeout=5) as connection:
                    self._talk(connection)
            except OSError:  # it was killed
                time.sleep(0.05)

    def _talk(self, connection: socket.socket) -> None:
        expiry = b"\5\x11\0\0\x0e\x10" if self._version == 5 else b""
        body = b"\0\4MQTT" + bytes([self._version, 0]) + b"\0\x3c" + expiry + b"\0\6strict"
        connection.sendall(bytes([0x10, len(body)]) + body)
        first, size, present, reason = exactly(connection, 4)
        assert (first, reason) == (0x20, 0)
        exactly(connection, size - 2)
        self.present.append(present)
        if not present:
            self.thrown_away += len(self.in_flight)
            self.in_flight.clear()
        connection.sendall(b"".join(self._packet(packet_id, again=True) for packet_id in self.in_flight))
        while not self._stopping.is_set() or self.in_flight:
            self._send_more(connection)
            first, _, packet_id = struct.unpack(">BBH", exactly(connection, 4))
            assert first == 0x40
            del self.in_flight[packet_id]

    def _send_more(self, connection: socket.socket) -> None:
        fresh = []
        while len(self.in_flight) < 20 and not self._stopping.is_set():
            packet_id = next(each for each in itertools.count(1) if each not in self.in_flight)
            self.in_flight[packet_id] = self.sent
            self.sent += 1
            fresh.append(self._packet(packet_id))
        connection.sendall(b"".join(fresh))

    def _packet(self, packet_id: int, *, again: bool = False) -> bytes:
        none = b"\0" if self._version == 5 else b""
        body = struct.pack(">H", len(TOPIC)) + TOPIC.encode() + struct.pack(">H", packet_id) + none + b"%d" % self.in_flight[packet_id]
        return bytes([0x3A if again else 0x32, len(body)]) + body


def exactly(connection: socket.socket, size: int) -> bytes:
    taken = b""
    while len(taken) < size:
        more = connection.recv(size - len(taken))
        if not more:
            raise ConnectionResetError
        taken += more
    return taken


def killed_again_and_again(server: Server, connections: Callable[[], int]) -> None:
    for kill in range(1, KILLS + 1):
        until(lambda kill=kill: connections() >= kill, "coming back")  # type: ignore[misc] # bound per turn
        time.sleep(0.3)
        server.kill()
        server.start()
    until(lambda: connections() > KILLS, "coming back")


def test_a_strict_device_throws_nothing_away_and_loses_nothing(keeper: Server, version: int) -> None:
    device = StrictDevice(keeper.port, version)
    device.start()
    try:
        killed_again_and_again(keeper, lambda: len(device.present))
    finally:
        device.finish()
    assert device.present == [0] + [1] * KILLS
    assert device.thrown_away == 0
    assert device.sent > 100
    assert kept(keeper) == set(range(device.sent))


def test_without_the_file_of_sessions_a_strict_device_does_lose(keeper: Server, version: int) -> None:
    """The other test can fail: the device really throws away, and the file is what keeps it from that."""
    device = StrictDevice(keeper.port, version)
    device.start()
    try:
        until(lambda: device.sent > 100, "sending")
        keeper.kill()
        keeper.log.with_name("sessions.jsonl").unlink()
        keeper.start()
        until(lambda: len(device.present) == 2, "coming back")
    finally:
        device.finish()
    assert device.present == [0, 0]
    assert device.thrown_away > 0


def test_paho_finds_its_session_and_loses_nothing(keeper: Server, version: int) -> None:
    present: list[bool] = []
    how: dict[str, Any] = {"clean_session": False} if version == 4 else {}
    asking: dict[str, Any] = {"clean_start": False, "properties": for_an_hour()} if version == 5 else {}
    client = Client(CallbackAPIVersion.VERSION2, client_id="paho", protocol=MQTTProtocolVersion(version), **how)
    client.reconnect_delay_set(1, 1)

    def heard(_client: Client, _data: Any, flags: ConnectFlags, *_rest: object) -> None:
        present.append(flags.session_present)

    client.on_connect = heard
    acknowledged: set[int] = set()
    client.on_publish = lambda _client, _data, mid, *_rest: acknowledged.add(mid)
    client.connect(HOST, keeper.port, **asking)
    client.loop_start()
    try:
        sending, numbers = threading.Event(), itertools.count()
        sent: list[int] = []

        def send() -> None:
            while not sending.wait(0.002):
                sent.append(next(numbers))
                client.publish(TOPIC, str(sent[-1]), qos=1)

        sender = threading.Thread(target=send)
        sender.start()
        try:
            killed_again_and_again(keeper, lambda: len(present))
        finally:
            sending.set()
            sender.join()
        until(lambda: len(acknowledged) == len(sent), "the last acknowledgement")
    finally:
        client.disconnect()
        client.loop_stop()
    assert present == [False] + [True] * KILLS
    assert kept(keeper) == set(sent)


def for_an_hour() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho says nothing of its types
    properties.SessionExpiryInterval = 3600
    return properties
