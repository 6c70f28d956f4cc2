"""The endpoint with clients that we did not write: paho, mosquitto_pub and mqtt.js, over MQTT 3.1.1 and 5, with and without TLS."""

import contextlib
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ingest.accounts import Accounts, device_prefix, put_account
from ingest.connection import Limits
from ingest.endpoint import Endpoint, server_tls
from ingest.source import Message

pytestmark = pytest.mark.live

TOPIC = "plimsoll/v1/wujin/truck/苏D12345/reading"
OTHER_TOPIC = "plimsoll/v1/wujin/truck/苏D54321/reading"
USER, PASSWORD, ANOTHER_PASSWORD = "苏D12345", "geheim", "falsch"
MQTTJS = Path(__file__).with_name("mqttjs")
COUNT = 200


class Collecting:
    """A collector without a journal: takes everything, and acknowledges it while it is told to."""

    def __init__(self, endpoint: Endpoint, *, acknowledging: bool = True) -> None:
        self.endpoint = endpoint
        self.messages: list[Message] = []
        self._acknowledging = acknowledging
        self._stopping = False
        self._thread = threading.Thread(target=self._collect)

    def _collect(self) -> None:
        while not self._stopping:
            delivery = self.endpoint.read(0.1)
            if delivery is not None:
                self.messages.extend(delivery.messages)
                if self._acknowledging:
                    delivery.acknowledge()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopping = True
        self._thread.join()
        self.endpoint.close()


@pytest.fixture(params=[4, 5], ids=["3.1.1", "5"])
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority (ca.pem) and this machine's certificate (server.pem, server.key), made by openssl."""
    folder = tmp_path_factory.mktemp("pki")
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    openssl(folder, "req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Plimsoll test authority")
    openssl(folder, "req", *new_key[:-2], "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"]
    openssl(folder, "x509", "-req", "-in", "server.csr", *signing, "-out", "server.pem")
    return folder


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(params=[False, True], ids=["plain", "TLS"])
def ca(request: pytest.FixtureRequest) -> Path | None:
    """The authority that a client is to trust; None where the test runs without TLS."""
    if not request.param:
        return None
    pki: Path = request.getfixturevalue("pki")
    return pki / "ca.pem"


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    put_account(tmp_path / "accounts.csv", USER, PASSWORD.encode(), device_prefix("wujin", "truck", USER))
    return Accounts(tmp_path / "accounts.csv")


@pytest.fixture
def collecting(accounts: Accounts, ca: Path | None) -> Iterator[Collecting]:
    tls = server_tls(ca.with_name("server.pem"), ca.with_name("server.key")) if ca else None
    with Collecting(Endpoint("127.0.0.1", 0, accounts=accounts, tls=tls)) as collecting:
        yield collecting


@pytest.fixture(scope="session")
def mqttjs() -> Path:
    """The script that publishes with mqtt.js, which npm installs beside it once."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.fail(f"{program} is not installed; the tests with mqtt.js need it (Debian: apt install nodejs npm)")
    wanted = json.loads((MQTTJS / "package.json").read_text())["dependencies"]["mqtt"]
    installed = MQTTJS / "node_modules" / "mqtt" / "package.json"
    if not installed.exists() or json.loads(installed.read_text())["version"] != wanted:
        npm = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(npm, cwd=MQTTJS, capture_output=True, text=True, timeout=240, check=False)
        if done.returncode:
            pytest.fail(f"npm could not install mqtt {wanted} into {MQTTJS}: {done.stderr[-2000:]}")
    return MQTTJS / "publish.mjs"


def eventually(holds: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


class Paho:
    """A paho client with its network loop running."""

    def __init__(self, port: int, version: int, ca: Path | None = None, *, password: str | None = PASSWORD, **how: Any) -> None:
        # clean_session belongs to 3.1.1; version 5 asks at connect
        cleanly = {} if version == 5 else {"clean_session": how.pop("clean", True)}
        self.client = Client(CallbackAPIVersion.VERSION2, client_id="truck", protocol=MQTTProtocolVersion(version), **cleanly)
        self.client.reconnect_delay_set(1, 1)
        if password:
            self.client.username_pw_set(USER, password)
        if ca:
            self.client.tls_set(str(ca))
        self.connacks: list[tuple[int, Any]] = []
        self.disconnects: list[int] = []
        self.pubacks: dict[int, int] = {}
        self.client.on_connect = lambda client, data, flags, reason, properties: self.connacks.append((reason.value, properties))
        self.client.on_disconnect = lambda client, data, flags, reason, properties: self.disconnects.append(reason.value)
        self.client.on_publish = lambda client, data, mid, reason, properties: self.pubacks.__setitem__(mid, reason.value)
        self._how, self._port = how, port

    def publish(self, count: int = COUNT, topic: str = TOPIC, qos: int = 1, properties: Properties | None = None) -> None:
        for number in range(count):
            self.client.publish(topic, payload(number), qos=qos, properties=properties)

    def __enter__(self) -> Self:
        self.client.connect("127.0.0.1", self._port, **self._how)
        self.client.loop_start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def payload(number: int) -> str:
    return json.dumps({"t_ms": number})


def expected(count: int = COUNT) -> list[Message]:
    return [Message(TOPIC, payload(number).encode()) for number in range(count)]


def mosquitto_pub(port: int, version: int, ca: Path | None, *arguments: str, lines: str = "") -> subprocess.CompletedProcess[str]:
    command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-V", "mqttv5" if version == 5 else "mqttv311", "-u", USER]
    command += [*(["--cafile", str(ca)] if ca else []), *arguments]
    return subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60, check=False)


def start_mqttjs(script: Path, port: int, version: int, **how: object) -> subprocess.Popen[str]:
    settings = {"port": port, "version": version, "client_id": "truck", "clean": True, "topic": TOPIC, "count": COUNT, "user": USER, **how}
    return subprocess.Popen(["node", str(script), json.dumps(settings)], stdout=subprocess.PIPE, text=True)


def outcome(node: subprocess.Popen[str]) -> dict[str, Any]:
    """The last thing that the script says."""
    said, _ = node.communicate(timeout=60)
    last: dict[str, Any] = json.loads(said.splitlines()[-1])
    return last


# Every message of every client


def test_paho_is_acknowledged_message_for_message(collecting: Collecting, version: int, ca: Path | None) -> None:
    with Paho(collecting.endpoint.port, version, ca) as device:
        device.publish()
        assert eventually(lambda: len(device.pubacks) == COUNT)
    assert collecting.messages == expected()
    assert set(device.pubacks.values()) == {0}
    assert device.disconnects == [0]


def test_mosquitto_pub_is_acknowledged_message_for_message(collecting: Collecting, version: int, ca: Path | None) -> None:
    lines = "".join(f"{payload(number)}\n" for number in range(COUNT))
    done = mosquitto_pub(collecting.endpoint.port, version, ca, "-P", PASSWORD, "-q", "1", "-t", TOPIC, "-l", lines=lines)
    assert (done.returncode, done.stderr) == (0, "")
    assert collecting.messages == expected()


def test_mqttjs_is_acknowledged_message_for_message(collecting: Collecting, version: int, ca: Path | None, mqttjs: Path) -> None:
    with start_mqttjs(mqttjs, collecting.endpoint.port, version, password=PASSWORD, ca=str(ca) if ca else None) as node:
        assert outcome(node) == {"acknowledged": COUNT, "sessionPresent": False}
    assert collecting.messages == expected()


def test_messages_at_qos_0_arrive(collecting: Collecting, version: int, ca: Path | None) -> None:
    done = mosquitto_pub(collecting.endpoint.port, version, ca, "-P", PASSWORD, "-q", "0", "-t", TOPIC, "-m", payload(0))
    assert done.returncode == 0
    assert eventually(lambda: collecting.messages == expected(1))


def test_a_large_message_arrives_whole(collecting: Collecting, version: int, ca: Path | None, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(range(256)) * 4096)
    done = mosquitto_pub(collecting.endpoint.port, version, ca, "-P", PASSWORD, "-q", "1", "-t", TOPIC, "-f", str(large))
    assert (done.returncode, done.stderr) == (0, "")
    assert collecting.messages == [Message(TOPIC, large.read_bytes())]


def test_a_client_that_does_not_trust_the_authority_stays_out(accounts: Accounts, pki: Path) -> None:
    tls = server_tls(pki / "server.pem", pki / "server.key")
    with Collecting(Endpoint("127.0.0.1", 0, accounts=accounts, tls=tls)) as collecting:
        done = mosquitto_pub(
            collecting.endpoint.port, 5, Path("/etc/ssl/certs/ca-certificates.crt"), "-P", PASSWORD, "-t", TOPIC, "-m", "x"
        )
        assert done.returncode != 0
        assert not collecting.messages


# Accounts right and wrong


@pytest.fixture
def plain(accounts: Accounts) -> Iterator[Collecting]:
    with Collecting(Endpoint("127.0.0.1", 0, accounts=accounts)) as collecting:
        yield collecting


@pytest.mark.parametrize("password", [ANOTHER_PASSWORD, None], ids=["wrong", "none"])
def test_paho_hears_that_its_login_is_refused(plain: Collecting, version: int, password: str | None) -> None:
    with Paho(plain.endpoint.port, version, password=password) as device:
        assert eventually(lambda: bool(device.connacks))
    assert device.connacks[0][0] == 0x86  # paho shows 3.1.1's return code 4 as this one too
    assert plain.messages == []


def test_mosquitto_pub_hears_that_its_login_is_refused(plain: Collecting, version: int) -> None:
    done = mosquitto_pub(plain.endpoint.port, version, None, "-P", ANOTHER_PASSWORD, "-q", "1", "-t", TOPIC, "-m", "x")
    assert done.returncode != 0
    assert "not authorised" in done.stderr.lower() or "bad user name or password" in done.stderr.lower()


def test_mqttjs_hears_that_its_login_is_refused(plain: Collecting, version: int, mqttjs: Path) -> None:
    with start_mqttjs(mqttjs, plain.endpoint.port, version, password=ANOTHER_PASSWORD) as node:
        assert outcome(node)["code"] == (0x86 if version == 5 else 4)


def test_paho_5_hears_which_topic_is_not_its_own(plain: Collecting) -> None:
    with Paho(plain.endpoint.port, 5) as device:
        device.publish(1, OTHER_TOPIC)
        device.publish(1)
        assert eventually(lambda: len(device.pubacks) == 2)
    assert [reason for _, reason in sorted(device.pubacks.items())] == [0x87, 0]
    assert plain.messages == expected(1)


def test_paho_3_1_1_is_closed_for_another_devices_topic(plain: Collecting) -> None:
    with Paho(plain.endpoint.port, 4) as device:
        device.publish(1, OTHER_TOPIC)
        assert eventually(lambda: bool(device.disconnects))
    assert plain.messages == []


def test_mosquitto_pub_and_mqttjs_hear_which_topic_is_not_theirs(plain: Collecting, mqttjs: Path) -> None:
    done = mosquitto_pub(plain.endpoint.port, 5, None, "-P", PASSWORD, "-q", "1", "-t", OTHER_TOPIC, "-m", "x")
    assert "not authorized" in done.stderr.lower()
    with start_mqttjs(mqttjs, plain.endpoint.port, 5, password=PASSWORD, topic=OTHER_TOPIC) as node:
        assert outcome(node)["code"] == 0x87
    assert plain.messages == []


# What is not done here


def test_clients_of_5_hear_that_qos_2_is_not_taken(plain: Collecting, mqttjs: Path) -> None:
    with Paho(plain.endpoint.port, 5) as device:
        device.publish(1, qos=2)
        assert eventually(lambda: bool(device.disconnects))
    assert device.disconnects[0] == 0x9B
    done = mosquitto_pub(plain.endpoint.port, 5, None, "-P", PASSWORD, "-q", "2", "-t", TOPIC, "-m", "x")
    assert "qos not supported" in done.stderr.lower()
    with start_mqttjs(mqttjs, plain.endpoint.port, 5, password=PASSWORD, qos=2) as node:
        assert "acknowledged" not in outcome(node)
    assert plain.messages == []


def test_paho_hears_that_its_subscription_is_refused(plain: Collecting, version: int) -> None:
    granted: list[int] = []
    with Paho(plain.endpoint.port, version) as device:
        device.client.on_subscribe = lambda client, data, mid, reasons, properties: granted.extend(reason.value for reason in reasons)
        assert eventually(device.client.is_connected)
        device.client.subscribe("plimsoll/#", qos=1)
        assert eventually(lambda: bool(granted))
    assert granted == [0x87 if version == 5 else 0x80]


def test_paho_5_hears_the_servers_limits(accounts: Accounts) -> None:
    limits = Limits(receive_maximum=5, keep_alive_s=30, packet_bytes=4096, topic_aliases=3)
    with Collecting(Endpoint("127.0.0.1", 0, accounts=accounts, limits=limits)) as collecting:
        with Paho(collecting.endpoint.port, 5, keepalive=600) as device:
            assert eventually(lambda: bool(device.connacks))
        said = device.connacks[0][1]
        assert (said.ReceiveMaximum, said.MaximumQoS, said.MaximumPacketSize) == (5, 1, 4096)
        assert (said.ServerKeepAlive, said.TopicAliasMaximum, said.WildcardSubscriptionAvailable) == (30, 3, 0)


def test_properties_and_aliases_of_paho_are_understood(plain: Collecting) -> None:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call] # paho says nothing of its types
    properties.TopicAlias = 1
    properties.PayloadFormatIndicator = 1
    properties.MessageExpiryInterval = 60
    properties.ContentType = "application/json"
    properties.UserProperty = [("note", "x" * 500)] * 3
    with Paho(plain.endpoint.port, 5) as device:
        device.publish(1, properties=properties)
        assert eventually(lambda: len(device.pubacks) == 1)
        device.client.publish("", payload(1), qos=1, properties=properties)
        assert eventually(lambda: len(device.pubacks) == 2)
    assert plain.messages == expected(2)


def test_a_will_of_paho_tells_that_the_device_is_gone(plain: Collecting, version: int) -> None:
    device = Paho(plain.endpoint.port, version)
    device.client.will_set("plimsoll/v1/wujin/truck/苏D12345/gone", b"gone", qos=1)
    with device:
        assert eventually(device.client.is_connected)
        lost = device.client.socket()
        assert isinstance(lost, socket.socket)
        device.client.loop_stop()
        lost.shutdown(socket.SHUT_RDWR)
        assert eventually(lambda: plain.endpoint.state()["gone"] == 1)
    assert plain.messages == []


# Nothing acknowledged is lost, nothing unacknowledged is forgotten


@pytest.mark.parametrize("clean", [True, False], ids=["clean", "session"])
def test_paho_repeats_what_was_not_acknowledged(accounts: Accounts, version: int, clean: bool) -> None:
    how: dict[str, Any] = {"clean_start": clean} if version == 5 else {"clean": clean}
    with contextlib.ExitStack() as servers:
        first = servers.enter_context(Collecting(Endpoint("127.0.0.1", 0, accounts=accounts), acknowledging=False))
        with Paho(first.endpoint.port, version, **how) as device:
            device.publish()
            assert eventually(lambda: bool(first.messages))
            assert not device.pubacks
            servers.close()
            with Collecting(Endpoint("127.0.0.1", first.endpoint.port, accounts=accounts)) as second:
                assert eventually(lambda: len(device.pubacks) == COUNT)
    assert sorted(set(second.messages)) == sorted(expected())


@pytest.mark.parametrize("clean", [True, False], ids=["clean", "session"])
def test_mqttjs_repeats_what_was_not_acknowledged(accounts: Accounts, version: int, clean: bool, mqttjs: Path) -> None:
    with contextlib.ExitStack() as servers:
        first = servers.enter_context(Collecting(Endpoint("127.0.0.1", 0, accounts=accounts), acknowledging=False))
        with start_mqttjs(mqttjs, first.endpoint.port, version, password=PASSWORD, clean=clean, reconnect=True) as node:
            assert eventually(lambda: len(first.messages) == COUNT)
            servers.close()
            with Collecting(Endpoint("127.0.0.1", first.endpoint.port, accounts=accounts)) as second:
                assert outcome(node)["acknowledged"] == COUNT
    assert sorted(set(second.messages)) == sorted(expected())


def test_a_dropped_paho_comes_back_and_repeats(accounts: Accounts, version: int) -> None:
    with Endpoint("127.0.0.1", 0, accounts=accounts) as endpoint, Paho(endpoint.port, version) as device:
        device.publish(10)
        assert endpoint.read(10) is not None
        endpoint.drop()
        again: list[Message] = []
        deadline = time.monotonic() + 20
        while len(device.pubacks) < 10 and time.monotonic() < deadline:
            delivery = endpoint.read(0.1)
            if delivery is not None:
                again.extend(delivery.messages)
                delivery.acknowledge()
    assert again == expected(10)
