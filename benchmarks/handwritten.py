"""The peer: what a user would write by hand. paho callback → json → influxdb-client Point → write; or rows into SQLite.

Run by end_to_end.py as a process of its own. Prints the CPU seconds that it used once it has written `--rows` readings.
It is written as well as its usual form allows: influxdb-client batches (5,000 points, its own thread), SQLite commits once a second.
"""

import argparse
import json
import resource
import sqlite3
import sys
import time

import paho.mqtt.client as mqtt
from influxdb_client import InfluxDBClient, Point, WriteOptions
from influxdb_client.client.write_api import WriteApi


class InfluxSink:
    def __init__(self, url: str) -> None:
        self.client = InfluxDBClient(url=url, token="none", org="none", timeout=60_000)
        self.write_api: WriteApi = self.client.write_api(WriteOptions(batch_size=5_000, flush_interval=1_000))

    def write(self, truck: str, reading: dict) -> None:
        point = Point("truck").tag("truck", truck).time(reading["t_ms"], "ms")
        for name in ("lat_deg", "lon_deg", "speed_kmh", "heading_deg", "load_kg"):
            if reading.get(name) is not None:
                point.field(name, float(reading[name]))
        for name in ("body_up", "cover_open"):
            if reading.get(name) is not None:
                point.field(name, reading[name])
        self.write_api.write("bench", "none", point)

    def close(self) -> None:
        self.write_api.close()
        self.client.close()


class SqliteSink:
    def __init__(self, path: str) -> None:
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.db.execute("pragma journal_mode = wal")
        self.db.execute("pragma synchronous = full")
        self.db.execute(
            "create table reading (truck, t_ms, lat_deg, lon_deg, speed_kmh, heading_deg, load_kg, body_up, cover_open, primary key (truck, t_ms)) without rowid"
        )
        self.rows: list[tuple] = []
        self.flushed = time.monotonic()

    def write(self, truck: str, reading: dict) -> None:
        names = ("t_ms", "lat_deg", "lon_deg", "speed_kmh", "heading_deg", "load_kg", "body_up", "cover_open")
        self.rows.append((truck, *(reading.get(name) for name in names)))
        if time.monotonic() - self.flushed > 1.0:
            self.flush()

    def flush(self) -> None:
        self.db.execute("begin")
        self.db.executemany("insert or replace into reading values (?,?,?,?,?,?,?,?,?)", self.rows)
        self.db.execute("commit")
        self.rows.clear()
        self.flushed = time.monotonic()

    def close(self) -> None:
        self.flush()
        self.db.close()


def main() -> None:
    words = argparse.ArgumentParser()
    words.add_argument("--port", type=int, required=True)
    words.add_argument("--rows", type=int, required=True)
    words.add_argument("--influx")
    words.add_argument("--sqlite")
    arguments = words.parse_args()
    sink = InfluxSink(arguments.influx) if arguments.influx else SqliteSink(arguments.sqlite)
    seen = 0

    def on_connect(client, userdata, flags, reason_code, properties) -> None:
        client.subscribe("plimsoll/v1/+/truck/+/reading", qos=1)

    def on_subscribe(*_) -> None:
        print("ready", flush=True)

    def on_message(client, userdata, message) -> None:
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
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"cpu_s": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1024, "rows": seen}))


if __name__ == "__main__":
    sys.exit(main())
