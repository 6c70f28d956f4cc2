"""The servers of `tests.live.servers` as fixtures."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.live.programs import District, Way, broker_way, endpoint_way, running_district
from tests.live.servers import MissingProgramError, Mosquitto, Server, made_certificate, running_influxd, running_mosquitto


@contextmanager
def installed() -> Iterator[None]:
    """Skip with the reason when a program is not installed; fail in CI."""
    try:
        yield
    except MissingProgramError as missing:
        if os.environ.get("CI"):
            pytest.fail(str(missing))
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for the loopback address, its key beside it as key.pem."""
    with installed():
        return made_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def mosquitto(tmp_path: Path, certificate: Path) -> Iterator[Mosquitto]:
    """A running broker. The account of the TLS listener is `collector` with `PASSWORD`."""
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    with installed(), running_mosquitto(folder, certificate) as broker:
        yield broker


@pytest.fixture
def influxd(tmp_path: Path) -> Iterator[Server]:
    """A running InfluxDB 1.x without accounts; its HTTP interface is on `port`."""
    folder = tmp_path / "influxdb"
    folder.mkdir()
    with installed(), running_influxd(folder) as server:
        yield server


@pytest.fixture(params=["endpoint", "mosquitto"])
def way(request: pytest.FixtureRequest) -> Way:
    """How messages reach the collector: its own endpoint, or a broker that runs."""
    return endpoint_way() if request.param == "endpoint" else broker_way(request.getfixturevalue("mosquitto").port)


@pytest.fixture
def district(tmp_path: Path, way: Way) -> Iterator[District]:
    """A district without a registry yet; nothing of it runs."""
    with running_district(tmp_path / "district", way) as made:
        yield made
