"""The broker source against a real mosquitto."""

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ingest.broker import Broker
from ingest.source import Delivery
from simulators.publisher import Publisher, PublisherError
from tests.live.servers import HOST, PASSWORD, Mosquitto, until

pytestmark = pytest.mark.live

TOPIC = "plimsoll/v1/wujin/truck/7/reading"


@contextmanager
def broker(mosquitto: Mosquitto, protocol: int = 5, **settings: object) -> Iterator[Broker]:
    with Broker(HOST, mosquitto.port, client_id="collector", protocol=protocol, backoff_s=(0.05, 0.2), **settings) as source:  # type: ignore[arg-type]  # settings of several types
        wait_for(source)
        yield source


def wait_for(source: Broker) -> None:
    until(lambda: source.read(0.05) is None and source.state()["state"] == "ok", "the subscription")


def publish(mosquitto: Mosquitto, *numbers: int, protocol: int = 5) -> None:
    with Publisher(HOST, mosquitto.port, client_id="truck-7", protocol=protocol) as publisher:
        for number in numbers:
            publisher.publish(TOPIC, b"%d" % number)


def collect(source: Broker, count: int, timeout_s: float = 10.0) -> list[Delivery]:
    """Deliveries until there are so many messages."""
    found: list[Delivery] = []
    end_s = time.monotonic() + timeout_s
    while sum(len(delivery.messages) for delivery in found) < count:
        assert time.monotonic() < end_s, f"only {numbers_of(found)}: {source.state()}"
        delivery = source.read(0.2)
        found += [delivery] if delivery else []
    return found


def numbers_of(deliveries: list[Delivery]) -> list[int]:
    return [int(message.payload) for delivery in deliveries for message in delivery.messages]


def acknowledge(deliveries: list[Delivery]) -> None:
    for delivery in deliveries:
        delivery.acknowledge()


@pytest.mark.parametrize("protocol", [4, 5])
def test_messages_come_in_order_with_their_topics(mosquitto: Mosquitto, protocol: int) -> None:
    with broker(mosquitto, protocol) as source:
        publish(mosquitto, *range(300), protocol=protocol)
        found = collect(source, 300)
        assert numbers_of(found) == list(range(300))
        assert {message.topic for delivery in found for message in delivery.messages} == {TOPIC}
        acknowledge(found)


@pytest.mark.parametrize("protocol", [4, 5])
def test_what_was_acknowledged_stays_away_and_the_rest_comes_again(mosquitto: Mosquitto, protocol: int) -> None:
    with broker(mosquitto, protocol, max_messages=10) as source:
        publish(mosquitto, *range(20))
        first, _ = collect(source, 20)
        first.acknowledge()
        assert source.read(0.1) is None
    publish(mosquitto, 20, 21)  # while nobody listens
    with broker_again(mosquitto, protocol) as source:
        assert numbers_of(collect(source, 12)) == list(range(10, 22))


@contextmanager
def broker_again(mosquitto: Mosquitto, protocol: int) -> Iterator[Broker]:
    with Broker(HOST, mosquitto.port, client_id="collector", protocol=protocol) as source:
        yield source


def test_the_session_outlives_a_restart_of_the_broker(mosquitto: Mosquitto) -> None:
    with broker(mosquitto) as source:
        publish(mosquitto, *range(5))
        collect(source, 5)
        mosquitto.stop()
        assert source.read(0.3) is None
        assert source.state()["state"] == "down"
        mosquitto.start()
        assert numbers_of(collect(source, 5)) == list(range(5))
        assert source.state()["state"] == "ok"


def test_an_acknowledgement_of_an_older_connection_is_dropped(mosquitto: Mosquitto) -> None:
    with broker(mosquitto) as source:
        publish(mosquitto, 1, 2)
        stale = collect(source, 2)
        mosquitto.kill()
        for kept in mosquitto.log.parent.glob("mosquitto.db"):
            kept.unlink()  # the broker has lost its sessions: the numbers 1 and 2 will name other messages
        until(lambda: source.read(0.05) is None and source.state()["state"] == "down", "notice of the broker's end")
        mosquitto.start()
        wait_for(source)
        publish(mosquitto, 3, 4)
        fresh = collect(source, 2)
        acknowledge(stale)
        assert source.state()["stale_acknowledgements"] == 2
        source.drop()
        assert numbers_of(collect(source, 2)) == [3, 4]
        assert numbers_of(fresh) == [3, 4]


def test_a_drop_brings_everything_unacknowledged_again(mosquitto: Mosquitto) -> None:
    with broker(mosquitto) as source:
        publish(mosquitto, *range(8))
        assert numbers_of(collect(source, 8)) == list(range(8))
        source.drop()
        assert source.state()["fault"] == "what was read could not be made durable"
        again = collect(source, 8)
        assert numbers_of(again) == list(range(8))
        acknowledge(again)
        assert source.read(0.1) is None
        assert source.state()["held_bytes"] == 0


def test_reading_stops_while_too_much_is_unacknowledged(mosquitto: Mosquitto) -> None:
    with broker(mosquitto, max_messages=10, max_held_bytes=15_000) as source:
        with Publisher(HOST, mosquitto.port, client_id="truck-7") as publisher:
            for _ in range(100):
                publisher.publish(TOPIC, b"1" * 1_000)
        held = []
        while delivery := source.read(0.2):
            held.append(delivery)
        assert source.state()["paused"]
        assert 10 <= sum(len(delivery.messages) for delivery in held) <= 14
        count = sum(len(delivery.messages) for delivery in held)
        acknowledge(held)
        while count < 100:
            delivery = source.read(1)
            assert delivery is not None
            delivery.acknowledge()
            count += len(delivery.messages)


def test_a_read_returns_on_count_on_time_and_on_quiet(mosquitto: Mosquitto) -> None:
    with broker(mosquitto, max_messages=50) as source:
        began_s = time.monotonic()
        assert source.read(0.2) is None
        assert 0.15 < time.monotonic() - began_s < 1
        publish(mosquitto, *range(60))
        sizes = [len(delivery.messages) for delivery in collect(source, 60)]
        assert max(sizes) <= 50
        publish(mosquitto, 1)
        began_s = time.monotonic()
        assert source.read(5) is not None
        assert time.monotonic() - began_s < 1, "one message and silence: no reason to wait for more"


@pytest.mark.parametrize("protocol", [4, 5])
def test_tls_with_an_account(mosquitto: Mosquitto, protocol: int) -> None:
    account = {"username": "collector", "password": PASSWORD, "tls": mosquitto.tls(), "protocol": protocol}
    with Broker(HOST, mosquitto.tls_port, client_id="collector", **account) as source:  # type: ignore[arg-type]  # settings of several types
        wait_for(source)
        with Publisher(HOST, mosquitto.tls_port, client_id="truck-7", **account) as publisher:  # type: ignore[arg-type]  # as above
            for number in range(2_000):
                publisher.publish(TOPIC, b"%d" % number)
            publisher.drain()
        found = collect(source, 2_000)
        assert numbers_of(found) == list(range(2_000))
        acknowledge(found)


def test_a_wrong_password_is_told_and_tried_again_with_patience(mosquitto: Mosquitto) -> None:
    with Broker(HOST, mosquitto.tls_port, client_id="c", username="collector", password="wrong", tls=mosquitto.tls()) as source:  # noqa: S106 - wrong on purpose
        assert source.read(0.5) is None
        assert source.state()["fault"] == "refused us: Not authorized"
    with pytest.raises(PublisherError, match="Not authorized"), Publisher(HOST, mosquitto.tls_port, client_id="p", tls=mosquitto.tls()):
        pass


@pytest.mark.filterwarnings("ignore:.*SSLSocket")  # paho leaves the socket of a failed handshake to the garbage collector
def test_a_certificate_of_somebody_else_is_refused(mosquitto: Mosquitto) -> None:
    with Broker(HOST, mosquitto.tls_port, client_id="c", tls=ssl.create_default_context()) as source:
        assert source.read(0.5) is None
        assert "CERTIFICATE_VERIFY_FAILED" in str(source.state()["fault"])


def test_a_broker_that_is_away_at_the_start_is_waited_for(mosquitto: Mosquitto) -> None:
    mosquitto.stop()
    with Broker(HOST, mosquitto.port, client_id="collector", backoff_s=(0.05, 0.2)) as source:
        assert source.read(0.3) is None
        assert "refused" in str(source.state()["fault"])
        mosquitto.start()
        wait_for(source)


def test_a_publisher_outlives_a_restart_of_the_broker_and_repeats(mosquitto: Mosquitto) -> None:
    with broker(mosquitto) as source, Publisher(HOST, mosquitto.port, client_id="truck-7", window=50) as publisher:
        found: list[Delivery] = []
        for number in range(1_000):
            if number == 500:
                found += collect(source, 400)
                mosquitto.stop()  # a killed mosquitto forgets sessions and messages that it had acknowledged
                mosquitto.start()
            publisher.publish(TOPIC, b"%d" % number)
        publisher.drain()
        while len(set(numbers_of(found))) < 1_000:
            found += collect(source, 1)
        assert set(numbers_of(found)) == set(range(1_000))
