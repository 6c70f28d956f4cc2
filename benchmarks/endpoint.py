"""How fast does the endpoint acknowledge, and what does it cost, beside mosquitto?

Each server runs in a process of its own and gets the same single readings at QoS 1 from the same raw client, which keeps a window of
unacknowledged messages open. The endpoint's reader appends every batch to a file before it acknowledges, with and without fdatasync;
mosquitto acknowledges from memory and has no subscriber.

    .venv/bin/python benchmarks/endpoint.py [messages]
"""

import contextlib
import os
import selectors
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ingest.endpoint import Endpoint

PAYLOAD = b'{"t_ms":1664582400000,"seq":%d,"lat_deg":31.7012345,"lon_deg":119.9512345,"speed_kmh":41.5,"heading_deg":271.0,"load_kg":12345}'
WINDOW = 4_000  # unacknowledged messages of all connections together
PUBACK_BYTES = 4


class Sender:
    """One connection that publishes `count` messages and counts what comes back."""

    def __init__(self, port: int, number: int, count: int, window: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        client_id = b"bench-%d" % number
        connect = b"\0\4MQTT\4\2\0\0" + struct.pack(">H", len(client_id)) + client_id
        self.socket.sendall(bytes([0x10, len(connect)]) + connect)
        if self.socket.recv(4, socket.MSG_WAITALL) != b"\x20\2\0\0":
            raise ConnectionError("the server refused the connection")
        self.socket.setblocking(False)
        topic = b"plimsoll/v1/wujin/truck/%d/reading" % number
        self._packets = [publish(topic, each % 60_000 + 1) for each in range(count)]
        self._window, self._sent, self._heard_bytes, self._rest = window, 0, 0, b""

    def move(self) -> bool:
        """Receive and send what goes; whether everything is acknowledged."""
        with contextlib.suppress(BlockingIOError):
            self._heard_bytes += len(self.socket.recv(1 << 16))
        room = self._window - (self._sent - self._heard_bytes // PUBACK_BYTES)
        if not self._rest and room > 0:
            self._rest = b"".join(self._packets[self._sent : self._sent + room])
            self._sent = min(len(self._packets), self._sent + room)
        if self._rest:
            with contextlib.suppress(BlockingIOError):
                self._rest = self._rest[self.socket.send(self._rest) :]
        return self._heard_bytes == PUBACK_BYTES * len(self._packets)


def publish(topic: bytes, packet_id: int) -> bytes:
    body = struct.pack(">H", len(topic)) + topic + struct.pack(">H", packet_id) + PAYLOAD % packet_id
    return bytes([0x32, len(body) & 127 | 128, len(body) >> 7]) + body


def load(port: int, connections: int, messages: int) -> float:
    """Publish everything and wait for every acknowledgement; seconds."""
    senders = [Sender(port, number, messages // connections, WINDOW // connections) for number in range(connections)]
    selector = selectors.DefaultSelector()
    for sender in senders:
        selector.register(sender.socket, selectors.EVENT_READ, sender)
    started = time.perf_counter()
    waiting = {sender for sender in senders if not sender.move()}
    while waiting:
        ready = [key.data for key, _ in selector.select(0.01)] or list(waiting)
        waiting -= {sender for sender in ready if sender.move()}
    seconds = time.perf_counter() - started
    for sender in senders:
        sender.socket.close()
    return seconds


def serve(port: int, path: str, sync: bool) -> None:
    """Be the endpoint's process, until it is ended."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    endpoint = Endpoint("127.0.0.1", port)
    while True:
        delivery = endpoint.read(1.0)
        if delivery is not None:
            os.write(file, b"\n".join([message.payload for message in delivery.messages]))
            if sync:
                os.fdatasync(file)
            delivery.acknowledge()


def cpu_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(name: str, command: list[str], port: int, messages: int) -> None:
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        try:
            time.sleep(2)
            for connections in (1, 20, 200):
                before_s = cpu_s(server.pid)
                seconds = load(port, connections, messages)
                cost_s = (cpu_s(server.pid) - before_s) / messages * 100_000
                print(f"| {name} | {connections} | {messages / seconds:,.0f} | {cost_s:.2f} |", flush=True)
        finally:
            server.terminate()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def main(messages: int) -> None:
    print("| server | connections | acknowledged messages/s | CPU s per 100k |\n|---|---|---|---|")
    mosquitto = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
    with tempfile.TemporaryDirectory() as folder:
        for name, how in (("endpoint, written", "write"), ("endpoint, written and synced", "sync")):
            port = free_port()
            measure(name, [sys.executable, __file__, "serve", str(port), f"{folder}/{how}", how], port, messages)
        port = free_port()
        config = Path(folder, "mosquitto.conf")
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 0\n")
        if mosquitto is None:
            sys.exit("mosquitto is not installed: the peer is missing (Debian: apt install mosquitto)")
        measure("mosquitto, in memory", [mosquitto, "-c", str(config)], port, messages)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]), sys.argv[3], sys.argv[4] == "sync")
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
