"""Real servers for the live tests and the benchmarks: free loopback ports, a directory each, ended by their process ids."""

import os
import shutil
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

HOST = "127.0.0.1"
PASSWORD = "渣土-secret"  # noqa: S105 - guards nothing but this test


Running = TypeVar("Running", bound="Server")


class MissingProgramError(RuntimeError):
    """A server is not installed on this machine."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def program(name: str) -> str:
    """The program's path, found in the system's folders too."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise MissingProgramError(f"{name} is not installed; scripts/servers installs it")
    return path


def until(true: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    """Wait for something to become true, and say what did not."""
    end_s = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end_s, f"{what} took longer than {timeout_s:g} s"
        time.sleep(0.02)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


@dataclass
class Server:
    """A program that listens on `port`, startable again with the same data."""

    command: list[str]
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        until(lambda: listens(self.port) or self._ended(), f"start of {self.command[0]}")

    def stop(self) -> None:
        self._end(subprocess.Popen.terminate)

    def kill(self) -> None:
        self._end(subprocess.Popen.kill)

    def _end(self, end: Callable[[subprocess.Popen[bytes]], None]) -> None:
        if self.process is not None:
            end(self.process)
            self.process.wait(20)
            self.process = None

    def _ended(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"{self.command[0]} ended: {self.log.read_text(errors='replace')}"
        return False


@dataclass
class Mosquitto(Server):
    """A broker that keeps sessions and queues without limit: plain on `port`, TLS with accounts on `tls_port` if it has a certificate."""

    tls_port: int = 0
    certificate: Path = Path()

    def tls(self) -> ssl.SSLContext:
        """A client's context that trusts this broker and nobody else."""
        return ssl.create_default_context(cafile=str(self.certificate))


def made_certificate(folder: Path) -> Path:
    """A self-signed certificate for the loopback address, its key beside it as key.pem."""
    command = [program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(
        [*command, "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")], check=True, capture_output=True, timeout=30
    )
    return folder / "cert.pem"


@contextmanager
def running_mosquitto(folder: Path, certificate: Path | None = None, autosave_s: int = 1) -> Iterator[Mosquitto]:
    """A broker. With a certificate it has a TLS listener too, whose account is `collector` with `PASSWORD`."""
    port, tls_port = free_port(), free_port() if certificate else 0
    lines = f"""per_listener_settings true
user {"root" if os.geteuid() == 0 else "nobody"}
persistence true
persistence_location {folder}/
autosave_interval {autosave_s}
max_queued_messages 0
max_inflight_messages 0
log_dest stderr
listener {port} {HOST}
allow_anonymous true
"""
    if certificate:
        lines += _tls_listener(folder / "accounts", tls_port, certificate)
    (folder / "mosquitto.conf").write_text(lines, encoding="utf-8")
    command = [program("mosquitto"), "-c", str(folder / "mosquitto.conf")]
    with _running(Mosquitto(command, port, folder / "log", tls_port=tls_port, certificate=certificate or Path())) as broker:
        yield broker


def _tls_listener(accounts: Path, port: int, certificate: Path) -> str:
    subprocess.run([program("mosquitto_passwd"), "-b", "-c", str(accounts), "collector", PASSWORD], check=True, timeout=30)
    return f"""listener {port} {HOST}
allow_anonymous false
password_file {accounts}
certfile {certificate}
keyfile {certificate.parent / "key.pem"}
"""


@contextmanager
def running_influxd(folder: Path) -> Iterator[Server]:
    """InfluxDB 1.x without accounts; its HTTP interface is on `port`."""
    port, backup_port = free_port(), free_port()
    (folder / "influxdb.conf").write_text(
        f"""reporting-disabled = true
bind-address = "{HOST}:{backup_port}"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
[http]
bind-address = "{HOST}:{port}"
log-enabled = false
[monitor]
store-enabled = false
""",
        encoding="utf-8",
    )
    with _running(Server([program("influxd"), "-config", str(folder / "influxdb.conf")], port, folder / "log")) as server:
        until(lambda: _answers(port), "the first answer of influxd")
        yield server


@contextmanager
def running_nginx(folder: Path, influxd: Server) -> Iterator[Server]:
    """A proxy before InfluxDB 1.x that takes the writes of a 2.x client: it has no /api/v2/write of its own.

    InfluxDB 1.x knows microseconds as `u`; it takes the client's `us` for nanoseconds without a word.
    """
    port = free_port()
    (folder / "nginx.conf").write_text(
        f"""daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  map $arg_precision $known {{ default $arg_precision; us u; }}
  server {{
    listen {HOST}:{port};
    client_max_body_size 25m;
    client_body_buffer_size 8m;
    proxy_set_header Authorization "";
    location = /api/v2/write {{
      rewrite ^ /write?db=$arg_bucket&precision=$known? break;
      proxy_pass http://{HOST}:{influxd.port};
    }}
    location = /health {{
      default_type application/json;
      return 200 '{{"name":"influxdb","status":"pass","version":"1.6.7"}}';
    }}
    location / {{ proxy_pass http://{HOST}:{influxd.port}; }}
  }}
}}
""",
        encoding="utf-8",
    )
    command = [program("nginx"), "-e", str(folder / "start.log"), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with _running(Server(command, port, folder / "log")) as server:
        yield server


@contextmanager
def _running(server: Running) -> Iterator[Running]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/ping", timeout=5) as answer:
            return bool(answer.status == 204)
    except OSError:
        return False
