"""Real servers for the tests, each on free loopback ports with a directory of its own, ended by their process ids."""

import os
import shutil
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HOST = "127.0.0.1"
PASSWORD = "渣土-secret"  # noqa: S105 - guards nothing but this test


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def program(name: str) -> str:
    """The program's path; a missing one skips with the reason, and fails in CI."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        reason = f"{name} is not installed; scripts/servers installs it"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
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
    """A broker that keeps sessions and queues without limit: plain on `port`, TLS with accounts on `tls_port`."""

    tls_port: int = 0
    certificate: Path = Path()

    def tls(self) -> ssl.SSLContext:
        """A client's context that trusts this broker and nobody else."""
        return ssl.create_default_context(cafile=str(self.certificate))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for the loopback address, its key beside it as key.pem."""
    folder = tmp_path_factory.mktemp("certificate")
    command = [program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(
        [*command, "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")], check=True, capture_output=True, timeout=30
    )
    return folder / "cert.pem"


@pytest.fixture
def mosquitto(tmp_path: Path, certificate: Path) -> Iterator[Mosquitto]:
    """A running broker. The account of the TLS listener is `collector` with `PASSWORD`."""
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    port, tls_port = free_port(), free_port()
    accounts = folder / "accounts"
    subprocess.run([program("mosquitto_passwd"), "-b", "-c", str(accounts), "collector", PASSWORD], check=True, timeout=30)
    (folder / "mosquitto.conf").write_text(
        f"""per_listener_settings true
user {"root" if os.geteuid() == 0 else "nobody"}
persistence true
persistence_location {folder}/
autosave_interval 1
max_queued_messages 0
max_inflight_messages 0
log_dest stderr
listener {port} {HOST}
allow_anonymous true
listener {tls_port} {HOST}
allow_anonymous false
password_file {accounts}
certfile {certificate}
keyfile {certificate.parent / "key.pem"}
""",
        encoding="utf-8",
    )
    command = [program("mosquitto"), "-c", str(folder / "mosquitto.conf")]
    broker = Mosquitto(command, port, folder / "log", tls_port=tls_port, certificate=certificate)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def influxd(tmp_path: Path) -> Iterator[Server]:
    """A running InfluxDB 1.x without accounts; its HTTP interface is on `port`."""
    folder = tmp_path / "influxdb"
    folder.mkdir()
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
    server = Server([program("influxd"), "-config", str(folder / "influxdb.conf")], port, folder / "log")
    server.start()
    until(lambda: _answers(port), "the first answer of influxd")
    yield server
    server.stop()


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/ping", timeout=5) as answer:
            return bool(answer.status == 204)
    except OSError:
        return False
