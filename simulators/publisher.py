"""Publishes like a device with a store of its own: QoS 1, and again until it is acknowledged.

It polls by itself, without a thread: whoever publishes, drains or waits keeps the connection going.
"""

import logging
import random
import select
import ssl
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

log = logging.getLogger(__name__)

PROTOCOLS = {4: MQTTProtocolVersion.MQTTv311, 5: MQTTProtocolVersion.MQTTv5}
FLUSH = 32
"""So many messages are written at once."""


class PublisherError(RuntimeError):
    """The broker cannot be reached, or refuses us or what we publish."""


class Publisher:
    """A client that knows what was not acknowledged yet.

    Parameters
    ----------
    host, port
        A broker or the collector's own endpoint.
    protocol
        5, or 4 for MQTT 3.1.1.
    tls
        A context that verifies the other side, or None for a plain connection.
    window
        So many messages may be on their way; fewer when the broker says so.
    patience_s
        So long is a broker that is away waited for.
    progress
        Told the number of acknowledged messages whenever it has grown.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        client_id: str,
        protocol: int = 5,
        username: str | None = None,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
        window: int = 500,
        patience_s: float = 60.0,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self._address, self._window, self._patience_s = f"{host}:{port}", window, patience_s
        self._progress = progress or (lambda _acknowledged: None)
        self._sent = self._acknowledged = self._told = self._refused = 0
        self._connected = False
        self._failure = ""
        self._delay_s = 0.1
        client = self._client = Client(CallbackAPIVersion.VERSION2, client_id, protocol=PROTOCOLS[protocol], reconnect_on_failure=False)
        client.max_inflight_messages_set(0)  # the window is ours: paho's own scans all messages at each acknowledgement
        client.connect_timeout = 3.0
        if username is not None:
            client.username_pw_set(username, password)
        if tls is not None:
            client.tls_set_context(tls)
        client.on_socket_register_write = _defer
        client.on_connect, client.on_publish, client.on_disconnect = self._answered, self._settled, self._gone
        client.connect_async(host, port)

    @property
    def unacknowledged(self) -> int:
        """Messages that were published and may not have arrived."""
        return self._sent - self._acknowledged

    def publish(self, topic: str, payload: bytes) -> None:
        """Send a message, after waiting for a place in the window; it leaves at the latest with the next wait or drain.

        Raises
        ------
        PublisherError
            When the broker refuses, or stays away for longer than our patience.
        """
        if not self._connected or self.unacknowledged >= self._window:
            self._turn_until(lambda: self._connected and self.unacknowledged < self._window)
        info = self._client.publish(topic, payload, qos=1)
        while info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:  # its number still belongs to an older message
            self._turn(0.05)
            info = self._client.publish(topic, payload, qos=1)
        self._sent += 1
        if self._sent % FLUSH == 0:
            self._client.loop_write()

    def drain(self) -> None:
        """Wait until everything is acknowledged."""
        self._turn_until(lambda: self.unacknowledged == 0)

    def wait(self, wait_s: float) -> None:
        """Let time pass without losing the connection."""
        end_s = time.monotonic() + wait_s
        while (left_s := end_s - time.monotonic()) > 0:
            self._turn(left_s)

    def __enter__(self) -> Self:
        self._turn_until(lambda: self._connected)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self.drain()
        finally:
            self._client.disconnect()
            self._client.loop_write()  # says goodbye and closes: disconnecting alone only lines it up

    def _turn_until(self, done: Callable[[], bool]) -> None:
        """Keep the connection going until it is done, as long as something moves."""
        moved_s, before = time.monotonic(), self._acknowledged
        while not done():
            self._turn(0.2)
            if self._acknowledged > before:
                moved_s, before = time.monotonic(), self._acknowledged
            elif time.monotonic() - moved_s > self._patience_s:
                cause = self._failure or "no acknowledgement"
                raise PublisherError(
                    f"{self._address}: {cause} for {self._patience_s:g} s; {self.unacknowledged} messages may not have arrived"
                )

    def _turn(self, wait_s: float) -> None:
        """Connect if need be, and read and write what the socket is ready for."""
        if self._client.socket() is None:
            self._reconnect(wait_s)
            return
        poller = select.poll()
        connection: Any = self._client.socket()
        hidden = hasattr(connection, "pending") and connection.pending() > 0  # decrypted already: no poll sees it
        poller.register(connection, select.POLLIN | (select.POLLOUT if self._client.want_write() else 0))
        events = sum(event for _, event in poller.poll(0 if hidden else wait_s * 1_000))
        if hidden or events & ~select.POLLOUT:
            self._client.loop_read()
        if events & select.POLLOUT:
            self._client.loop_write()
        self._client.loop_misc()
        self._report()

    def _report(self) -> None:
        if self._refused:
            raise PublisherError(f"{self._address}: {self._failure}")
        if self._acknowledged > self._told:
            self._told = self._acknowledged
            self._progress(self._told)

    def _reconnect(self, wait_s: float) -> None:
        if self._failure:
            time.sleep(min(self._delay_s * random.uniform(0.5, 1.0), wait_s))
            self._delay_s = min(self._delay_s * 2, 2.0)
        try:
            self._client.reconnect()
        except OSError as error:
            self._failure = str(error)

    def _answered(self, _client: Client, _data: Any, _flags: ConnectFlags, reason: ReasonCode, properties: Properties | None) -> None:
        if reason.is_failure:
            self._failure, self._refused = f"refused us: {reason}", 1
            return
        self._connected, self._failure, self._delay_s = True, "", 0.1
        self._window = min(self._window, getattr(properties, "ReceiveMaximum", self._window))

    def _settled(self, _client: Client, _data: Any, _mid: int, reason: ReasonCode, _properties: Properties | None) -> None:
        self._acknowledged += 1
        if reason.is_failure:
            self._failure, self._refused = f"refused a message: {reason}", self._refused + 1

    def _gone(self, _client: Client, _data: Any, _flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None) -> None:
        if self._connected:
            log.info("%s: connection ended (%s); %d messages go again", self._address, reason, self.unacknowledged)
        self._connected = False
        self._failure = self._failure or f"connection ended: {reason}"


def _defer(_client: Client, _data: Any, _connection: Any) -> None:
    """Told that there is something to write; we write several messages at once."""
