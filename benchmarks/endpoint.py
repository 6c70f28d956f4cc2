"""How fast does the endpoint acknowledge, and what does it cost, beside mosquitto?

Both servers run in a process of their own and get the same single readings at QoS 1 from the same raw client, which keeps a window of
unacknowledged messages open on each connection. The endpoint's reader appends every batch to a file, with and without fdatasync, before
it acknowledges; mosquitto acknowledges from memory and has no subscriber.

    .venv/bin/python benchmarks/endpoint.py [messages]
"""

import os
import selectors
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest.endpoint import Endpoint

PAYLOAD = b'{"t_ms":1664582400000,"seq":%06d,"lat_deg":31.7012345,"lon_deg":119.9512345,"speed_kmh":41.5,"heading_deg":271.0,"load_kg":12345}'
WINDOW = 2_000
TICKS = os.sysconf("SC_CLK_TCK")


class Sender:
    """One connection that sends `count` messages and counts what comes back."""

    def __init__(self, port: int, number: int, count: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        client_id = b"bench-%d" % number
        connect = b"\0\4MQTT\4\2\0\0" + struct.pack(">H", len(client_id)) + client_id
        self.socket.sendall(bytes([0x10, len(connect)]) + connect)
        if self.socket.recv(4, socket.MSG_WAITALL) != b"\x20\2\0\0":
            raise ConnectionError("refused")
        self.socket.setblocking(False)
        topic = b"plimsoll/v1/wujin/truck/%d/reading" % number
        body = b"".join([struct.pack(">H", len(topic)), topic])
        self.window = min(WINDOW, max(1, 20_000 // 100)) if number else WINDOW
        self.packets = [self._publish(body, each % 60_000 + 1) for each in range(count)]
        self.sent = self.acknowledged_bytes = 0
        self.rest = b""

    @staticmethod
    def _publish(head: bytes, packet_id: int) -> bytes:
        body = head + struct.pack(">H", packet_id) + PAYLOAD % packet_id
        return bytes([0x32, len(body) & 127 | 128, len(body) >> 7]) + body

    def move(self) -> bool:
        """Send and receive what goes; whether all is acknowledged."""
        try:
            self.acknowledged_bytes += len(self.socket.recv(1 << 16))
        except BlockingIOError:
            pass
        room = self.window - (self.sent - self.acknowledged_bytes // 4)
        if not self.rest and room > 0:
            self.rest = b"".join(self.packets[self.sent : self.sent + room])
            self.sent = min(len(self.packets), self.sent + room)
        if self.rest:
            try:
                self.rest = self.rest[self.socket.send(self.rest) :]
            except BlockingIOError:
                pass
        return self.acknowledged_bytes == 4 * len(self.packets)


def load(port: int, connections: int, messages: int) -> float:
    """Publish everything and wait for every acknowledgement; seconds."""
    senders = [Sender(port, number, messages // connections) for number in range(connections)]
    selector = selectors.DefaultSelector()
    for sender in senders:
        selector.register(sender.socket, selectors.EVENT_READ, sender)
    started = time.perf_counter()
    waiting = {sender for sender in senders if not sender.move()}
    while waiting:
        for key, _ in selector.select(0.01) or [(key, 0) for key in selector.get_map().values()]:
            if key.data in waiting and key.data.move():
                waiting.discard(key.data)
    seconds = time.perf_counter() - started
    for sender in senders:
        sender.socket.close()
    return seconds


def serve(path: str, sync: bool) -> None:
    """The endpoint's process: says its port, and acknowledges until its input ends."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with Endpoint("127.0.0.1", 0) as endpoint:
        print(endpoint.port, flush=True)
        threading.Thread(target=lambda: (sys.stdin.read(), endpoint.close()), daemon=True).start()
        while endpoint.state()["listening"] and not endpoint._closed:
            delivery = endpoint.read(0.2)
            if delivery is not None:
                os.write(file, b"\n".join([payload for _, payload in delivery.messages]))
                if sync:
                    os.fdatasync(file)
                delivery.acknowledge()
