"""The peer: what a user would write by hand. paho callback → json → influxdb-client Point → write; or rows into SQLite.

Run by end_to_end.py as a process of its own: says `ready` when it is subscribed and `done` when `--rows` readings are written, and
ends when its input does. It is written as well as its usual form allows: InfluxDB gets batches of 5,000 points, either from
influxdb-client's own batching or from a list that the callback fills (which is cheaper); SQLite commits once a second. It acknowledges
on receipt, as paho does by itself, so a crash may lose what is not written yet; Plimsoll pays for not losing it.
"""

# mypy: disable-error-code="no-untyped-call,no-any-return,attr-defined"
# influxdb-client says that it is typed and is so in part only; a user's script names paho's members through its client module.

import argparse
import json
import sqlite3
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

import paho.mqtt.client as mqtt
from influxdb_client import InfluxDBClient, Point, WriteOptions
from influxdb_client.client.write_api import SYNCHRONOUS

NUMBERS = ("lat_deg", "lon_deg", "speed_kmh", "heading_deg", "load_kg")
OTHERS = ("load_state", "body_up", "cover_open")
BATCH_POINTS = 5_000
FLUSH_S = 1.0


class Sink(Protocol):
    def write(self, truck: str, reading: dict[str, Any]) -> None: ...

    def close(self) -> None: ...


def made_point(truck: str, reading: dict[str, Any]) -> Point:
    point = Point("truck").tag("truck", truck).time(reading["t_ms"], "ms")
    for name in NUMBERS:
        if name in reading:
            point.field(name, float(reading[name]))
    for name in OTHERS:
        if name in reading:
            point.field(name, reading[name])
    return point


class BatchingSink:
    """influxdb-client collects the points and writes them on a thread of its own."""

    def __init__(self, url: str) -> None:
        self.client = InfluxDBClient(url=url, token="none", org="none", timeout=60_000)  # noqa: S106 - the server asks for none
        self.api = self.client.write_api(WriteOptions(batch_size=BATCH_POINTS, flush_interval=round(FLUSH_S * 1000)))

    def write(self, truck: str, reading: dict[str, Any]) -> None:
        self.api.write("bench", "none", made_point(truck, reading))

    def close(self) -> None:
        self.api.close()
        self.client.close()


class ListSink:
    """The callback collects the points and writes them itself."""

    def __init__(self, url: str) -> None:
        self.client = InfluxDBClient(url=url, token="none", org="none", timeout=60_000)  # noqa: S106 - the server asks for none
        self.api = self.client.write_api(SYNCHRONOUS)
        self.points: list[Point] = []
        self.flushed_s = time.monotonic()

    def write(self, truck: str, reading: dict[str, Any]) -> None:
        self.points.append(made_point(truck, reading))
        if len(self.points) >= BATCH_POINTS or time.monotonic() - self.flushed_s > FLUSH_S:
            self.flush()

    def flush(self) -> None:
        self.api.write("bench", "none", self.points)
        self.points = []
        self.flushed_s = time.monotonic()

    def close(self) -> None:
        self.flush()
        self.client.close()


class SqliteSink:
    """A row per reading, in a table with a key."""

    def __init__(self, path: str) -> None:
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("pragma journal_mode = wal")
        self.db.execute("pragma synchronous = full")
        self.db.execute(f"create table reading (truck, t_ms, {', '.join(NUMBERS + OTHERS)}, primary key (truck, t_ms)) without rowid")
        self.insert = f"insert or replace into reading values ({', '.join('?' * (2 + len(NUMBERS + OTHERS)))})"  # noqa: S608 - our own names
        self.rows: list[tuple[Any, ...]] = []
        self.flushed_s = time.monotonic()

    def write(self, truck: str, reading: dict[str, Any]) -> None:
        self.rows.append((truck, reading["t_ms"], *(reading.get(name) for name in NUMBERS + OTHERS)))
        if time.monotonic() - self.flushed_s > FLUSH_S:
            self.flush()

    def flush(self) -> None:
        self.db.execute("begin")
        self.db.executemany(self.insert, self.rows)
        self.db.execute("commit")
        self.rows.clear()
        self.flushed_s = time.monotonic()

    def close(self) -> None:
        self.flush()
        self.db.close()


SINKS: dict[str, Callable[[str], Sink]] = {"batching": BatchingSink, "list": ListSink, "sqlite": SqliteSink}


def main() -> None:
    words = argparse.ArgumentParser()
    words.add_argument("--port", type=int, required=True)
    words.add_argument("--rows", type=int, required=True)
    words.add_argument("--sink", choices=SINKS, required=True)
    words.add_argument("--into", required=True, help="the InfluxDB's address, or SQLite's file")
    arguments = words.parse_args()
    sink = SINKS[arguments.sink](arguments.into)
    seen = 0

    def on_connect(client: mqtt.Client, *_: Any) -> None:
        client.subscribe("plimsoll/v1/+/truck/+/reading", qos=1)

    def on_subscribe(*_: Any) -> None:
        print("ready", flush=True)

    def on_message(client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        nonlocal seen
        payload = json.loads(message.payload)
        truck = message.topic.split("/")[4]
        for reading in payload if isinstance(payload, list) else [payload]:
            sink.write(truck, reading)
            seen += 1
        if seen >= arguments.rows:
            client.disconnect()

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="handwritten", clean_session=False)
    client.on_connect, client.on_message, client.on_subscribe = on_connect, on_message, on_subscribe
    client.connect("127.0.0.1", arguments.port)
    client.loop_forever()
    sink.close()
    print("done", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
