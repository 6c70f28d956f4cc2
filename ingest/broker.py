"""Messages from any MQTT broker, through paho and without a thread.

Everything happens inside `read`: polling, reconnecting, answering pings. The session is persistent and a message is acknowledged only
when the reader says so, so that what the reader lost comes again. An acknowledgement belongs to the connection that brought its
messages: after a reconnect the broker may have given the same number to another message.
"""

import logging
import random
import select
import ssl
import time
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self, cast

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from ingest.bulk import BulkClient, BulkSocket
from ingest.source import Delivery, Message
from ingest.topics import FILTER

log = logging.getLogger(__name__)

PROTOCOLS = {4: MQTTProtocolVersion.MQTTv311, 5: MQTTProtocolVersion.MQTTv5}
OVERHEAD_BYTES = 200
"""What a waiting message costs beside its payload, roughly."""
STABLE_S = 30.0
"""A connection that lasted so long lets the next one be tried at once."""


class Broker:
    """A persistent subscription.

    Parameters
    ----------
    host, port
        The broker.
    client_id
        Names the session; two processes with one id would throw each other out for ever.
    protocol
        5, or 4 for MQTT 3.1.1.
    tls
        A context that verifies the broker, or None for a plain connection.
    max_messages
        A read returns at the latest with so many.
    max_held_bytes
        Reading stops while more than this is read and not yet acknowledged.
    quiet_s
        A read that has something returns when nothing more came for so long; a broker that waits for acknowledgements is silent.
    """

    def __init__(
        self,
        host: str,
        port: int = 1883,
        *,
        client_id: str,
        protocol: int = 5,
        username: str | None = None,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
        topics: Sequence[str] = (FILTER,),
        max_messages: int = 5_000,
        max_held_bytes: int = 64 << 20,
        quiet_s: float = 0.01,
        keepalive_s: int = 60,
        session_expiry_s: int = 7 * 86_400,
        backoff_s: tuple[float, float] = (1.0, 30.0),
    ) -> None:
        self._address, self._topics = f"{host}:{port}", topics
        self._max_messages, self._max_held_bytes, self._quiet_s, self._backoff_s = max_messages, max_held_bytes, quiet_s, backoff_s
        self._messages: list[Message] = []
        self._mids: list[int] = []
        self._read_bytes = self._held_bytes = self._received = self._stale = 0
        self._generation = self._attempts = 0
        self._subscribed = False
        self._fault = "not connected yet"
        self._since_s = self._due_s = time.monotonic()
        self._client = self._made_client(client_id, protocol, username, password, tls)
        self._client.connect_async(host, port, keepalive_s, **_session(protocol, session_expiry_s, 2 * max_messages))

    def read(self, timeout_s: float) -> Delivery | None:
        """Collect messages until there are enough, it falls quiet, or the time is up; None when none came."""
        deadline_s = time.monotonic() + timeout_s
        left_s = timeout_s
        while True:
            if self._client.socket() is None:
                if self._messages:
                    break  # they are of the connection that ended
                self._reconnect(left_s)
            elif not self._pump(min(left_s, self._quiet_s) if self._messages else left_s) and self._messages:
                break
            left_s = max(deadline_s - time.monotonic(), 0.0)
            if left_s == 0 or len(self._messages) >= self._max_messages:
                break
        return self._delivery()

    def drop(self) -> None:
        """Cut the connection and wait a while: the session stays, and all that is unacknowledged comes again."""
        self._held_bytes = 0
        self._note("what was read could not be made durable")
        self._leave()

    def close(self) -> None:
        """Leave the broker; the session stays."""
        self._leave()

    def state(self) -> dict[str, object]:
        """What an operator wants to know, as plain JSON values."""
        return {
            "state": "ok" if self._subscribed else "down",
            "broker": self._address,
            "fault": "" if self._subscribed else self._fault,
            "connects": self._generation,
            "received": self._received,
            "stale_acknowledgements": self._stale,
            "held_bytes": self._held_bytes,
            "paused": self._is_paused(),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # ------------------------------------------------------------------ reading

    def _pump(self, wait_s: float) -> bool:
        """Do what the socket is ready for, after waiting for it. False when it was ready for nothing."""
        client = self._client
        connection: BulkSocket = cast("BulkSocket", client.socket())
        paused = self._is_paused()
        hidden = not paused and connection.pending() > 0
        poller = select.poll()  # select() knows no descriptor beyond 1023
        writes = client.want_write() or connection.wants_write
        poller.register(connection, (0 if paused else select.POLLIN) | (select.POLLOUT if writes else 0))
        events = sum(event for _, event in poller.poll(0 if hidden else wait_s * 1_000))
        if paused and events & (select.POLLHUP | select.POLLERR):
            connection.hang_up()  # a dead connection ends even while we are paused
            client.loop_read()
        elif events & ~select.POLLOUT or hidden:
            self._drain(connection)
        if events & select.POLLOUT:
            client.loop_write()
            connection.flush()
        client.loop_misc()
        return events != 0 or hidden

    def _drain(self, connection: BulkSocket) -> None:
        """Take packets until the socket has no more, or there are enough."""
        while len(self._messages) < self._max_messages and not self._is_paused():
            room_bytes = self._max_held_bytes - self._held_bytes - self._read_bytes
            taken = connection.take(min(self._max_messages - len(self._messages), room_bytes // OVERHEAD_BYTES + 1), room_bytes)
            for topic, mid, payload in taken:
                self._arrived(topic, mid, payload)
            if not taken and (self._client.loop_read() != MQTTErrorCode.MQTT_ERR_SUCCESS or not connection.pending()):
                return

    def _is_paused(self) -> bool:
        return self._held_bytes + self._read_bytes > self._max_held_bytes

    def _delivery(self) -> Delivery | None:
        if not self._messages:
            return None
        delivery = Delivery(self._messages, partial(self._acknowledge, self._generation, self._mids, self._read_bytes))
        self._held_bytes += self._read_bytes
        self._messages, self._mids, self._read_bytes = [], [], 0
        return delivery

    def _acknowledge(self, generation: int, mids: list[int], size: int) -> None:
        self._held_bytes = max(self._held_bytes - size, 0)
        if generation != self._generation or self._client.socket() is None:
            self._stale += len(mids)
            return
        cast("BulkSocket", self._client.socket()).acknowledge(mids)

    # ------------------------------------------------------------------ connecting

    def _leave(self) -> None:
        self._ended()
        self._client.disconnect()

    def _reconnect(self, left_s: float) -> None:
        """Try to connect when it is time to, or wait for that as long as the read lasts."""
        wait_s = self._due_s - time.monotonic()
        if wait_s > 0:
            time.sleep(min(wait_s, left_s))
            return
        self._generation += 1
        self._plan_next()
        try:
            self._client.reconnect()
        except OSError as error:
            self._note(str(error))

    def _plan_next(self) -> None:
        """Set the earliest time of the next attempt: later each time, and never the same for two collectors."""
        first_s, longest_s = self._backoff_s
        delay_s = min(first_s * 2.0**self._attempts, longest_s)
        self._due_s = time.monotonic() + delay_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, keeps no secret
        self._attempts = min(self._attempts + 1, 16)

    def _note(self, fault: str) -> None:
        if fault != self._fault:
            log.warning("broker %s: %s; it keeps what comes and we try again", self._address, fault)
        self._fault = fault

    def _made_client(self, client_id: str, protocol: int, username: str | None, password: str | None, tls: ssl.SSLContext | None) -> Client:
        client = BulkClient(
            CallbackAPIVersion.VERSION2,
            client_id,
            clean_session=None if protocol == 5 else False,
            protocol=PROTOCOLS[protocol],
            reconnect_on_failure=False,  # otherwise a refusal of 3.1.1 lets paho try 3.1
            manual_ack=True,
        )
        client.connect_timeout = 3.0
        if username is not None:
            client.username_pw_set(username, password)
        if tls is not None:
            client.tls_set_context(tls)
        client.on_socket_register_write = _defer  # paho queues what it sends, and we write it out at once
        client.on_connect, client.on_subscribe = self._connected, self._answered
        client.on_disconnect = self._gone
        return client

    def _connected(self, client: Client, _data: Any, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None) -> None:
        if reason.is_failure:
            self._note(f"refused us: {reason}")
            return
        self._since_s = time.monotonic()
        client.subscribe([(topic, 1) for topic in self._topics])

    def _answered(self, client: Client, _data: Any, _mid: int, reasons: list[ReasonCode], _properties: Properties | None) -> None:
        refused = [f"{topic}: {reason}" for topic, reason in zip(self._topics, reasons, strict=True) if reason.is_failure]
        if refused:
            self._note(f"refused the subscription to {', '.join(refused)}")
            client.disconnect()
            return
        self._subscribed = True
        if self._generation > 1:
            log.info("broker %s: connected again", self._address)

    def _arrived(self, topic: bytes, mid: int, payload: bytes) -> None:
        try:
            name = topic.decode()
        except UnicodeDecodeError:
            name = "\ufffd"  # no topic of ours; it becomes a dead letter
        self._messages.append(Message(name, payload))
        if mid:
            self._mids.append(mid)
        self._read_bytes += len(payload) + OVERHEAD_BYTES
        self._received += 1

    def _gone(self, _client: Client, _data: Any, _flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None) -> None:
        if self._subscribed:
            self._note(f"connection ended: {reason}")
        self._ended()

    def _ended(self) -> None:
        if self._subscribed and time.monotonic() - self._since_s > STABLE_S:
            self._attempts = 0
            self._due_s = time.monotonic()
        self._subscribed = False


def _defer(_client: Client, _data: Any, _connection: Any) -> None:
    """Told that there is something to write; we write when it suits us."""


def _session(protocol: int, expiry_s: int, receive_maximum: int) -> dict[str, Any]:
    """What asks for a session that outlives the connection; MQTT 3.1.1 says it when the client is made."""
    if protocol != 5:
        return {}
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho left this one untyped
    properties.SessionExpiryInterval = expiry_s
    properties.ReceiveMaximum = min(receive_maximum, 65_535)
    return {"clean_start": False, "properties": properties}
