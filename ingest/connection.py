"""One device's connection to the endpoint: an asyncio protocol that runs on the endpoint's loop."""

import asyncio
import math
import socket
from dataclasses import dataclass
from typing import Literal, Protocol, cast
from uuid import uuid4

from ingest.accounts import Account
from ingest.fields import ProtocolError, Reason
from ingest.packets import Connect, Disconnect, Packet, Parser, Ping, Publish, Release, Subscribe, Unsubscribe, Will
from ingest.replies import (
    PINGRESP,
    Offer,
    connack,
    connack_refused,
    disconnect,
    puback,
    puback_refused,
    pubcomp,
    suback_refused,
    unsuback,
)
from ingest.source import Message

_CLOSING_S = 5.0
_NEVER_S = 0xFFFF_FFFF
"""The Session Expiry Interval of a session without an end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the endpoint takes. What waits is everything that is not yet acknowledged, of all connections."""

    packet_bytes: int = 2 << 20
    waiting_messages: int = 100_000
    waiting_bytes: int = 64 << 20
    messages_per_s: float = math.inf  # of one connection, with one second's worth at once; a faster one is read more slowly
    receive_maximum: int = 65_535  # unacknowledged messages of one connection (MQTT 5); paho does not heed a smaller one
    topic_aliases: int = 100
    connections: int = 10_000
    connect_s: float = 10.0
    keep_alive_s: int = 3600  # the longest, and what a client gets that wants none (MQTT 5)


Hold = Literal["login", "full", "rate", "write"]
"""Why a connection is not being read."""


class Host(Protocol):
    """What a connection asks of the endpoint that it belongs to."""

    limits: Limits

    def opened(self, connection: "Connection") -> None:
        """Take up a new connection."""

    def closed(self, connection: "Connection") -> None:
        """Let go of one."""

    def login(self, connection: "Connection", packet: Connect) -> None:
        """Look at a CONNECT, and call `accept` or `fail`, now or later."""

    def receive(self, connection: "Connection", messages: list[Message], answers: list[bytes], size: int) -> None:
        """Take in messages, and hand their answers to `send` once they are durable."""

    def end_session(self, connection: "Connection", after_s: int) -> None:
        """Let a session that was kept end so many seconds from now."""

    def refused(self, connection: "Connection", why: ProtocolError) -> None:
        """Note that something a device sent was not taken."""


class Connection(asyncio.Protocol):
    """Reads packets, and answers each as the standard says."""

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop) -> None:
        self._host, self._loop = host, loop
        self._limits = host.limits
        self._parser = Parser(self._limits.packet_bytes, self._limits.topic_aliases)
        self._transport: asyncio.Transport | None = None
        self._holds: set[Hold] = set()
        self._closing = False
        self._seen_s = loop.time()
        self._silence_s = self._limits.connect_s
        self._paid_until_s = 0.0
        self._largest_answer: float = math.inf
        self._account: Account | None = None
        self._user = ""
        self._fed_bytes = 0
        self._unanswered = 0
        self._most_unanswered: float = math.inf
        self.packet: Connect | None = None  # once accepted
        self.will: Will | None = None
        self.client_id = ""
        self.peer = ""
        self.gone_because = "the connection was lost"

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.peer = str((transport.get_extra_info("peername") or ("?",))[0])
        # A device without a keep-alive that lost its power is noticed by TCP alone.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._host.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._parser.feed(data)
        self._fed_bytes += len(data)
        if self.packet is not None:
            self._seen_s = self._loop.time()
        if "login" not in self._holds:
            self._run()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._host.closed(self)

    def pause_writing(self) -> None:
        self.hold("write")  # it does not take its answers, so it gets no further questions

    def resume_writing(self) -> None:
        self.release("write")

    # What the endpoint calls

    def hold(self, why: Hold) -> None:
        """Stop reading, for one more reason."""
        self._holds.add(why)
        if self._transport is not None:
            self._transport.pause_reading()

    def release(self, why: Hold) -> None:
        """Read again, if no other reason holds."""
        if why in self._holds:
            self._holds.remove(why)
            self._seen_s = self._loop.time()
            if not self._holds and self._transport is not None:
                self._transport.resume_reading()

    def accept(self, packet: Connect, account: Account | None, *, session_present: bool) -> None:
        """Let the client in. Its session lasts for ever if it lasts at all: names are cheap, and the client hears it."""
        limits, version = self._limits, packet.version
        self.packet, self.will = packet, packet.will
        self._account, self._user = account, packet.user or ""
        self.client_id = packet.client_id or f"plimsoll-{uuid4().hex}"
        keep_alive_s = packet.keep_alive_s
        if version == 5:
            self._most_unanswered = limits.receive_maximum
            self._largest_answer = packet.packet_bytes or math.inf
            keep_alive_s = min(keep_alive_s or limits.keep_alive_s, limits.keep_alive_s)
        self._silence_s = 1.5 * keep_alive_s or math.inf
        offer = Offer(
            session_present,
            _NEVER_S if packet.keeps_session else 0,
            limits.receive_maximum,
            limits.packet_bytes,
            limits.topic_aliases,
            assigned_client_id=None if packet.client_id else self.client_id,
            server_keep_alive_s=None if keep_alive_s == packet.keep_alive_s else keep_alive_s,
        )
        self.send(connack(offer, version))

    def proceed(self) -> None:
        """Go on with what came behind CONNECT while its account was being looked at."""
        self.release("login")
        if not self._closing:
            self._run()

    def answer(self, answers: list[bytes]) -> None:
        """Acknowledge, in one write."""
        self._unanswered -= len(answers)
        if not self._closing:
            self.send(b"".join(answers))

    def send(self, packets: bytes) -> None:
        if self._transport is not None and packets:
            self._transport.write(packets)

    def fail(self, error: ProtocolError) -> None:
        """Say why, as far as the client's version can hear it, and close."""
        if self._closing:
            return
        self.gone_because = error.detail
        last = b""
        if self.packet is None:
            last = connack_refused(error, self._parser.version) if self._parser.version else b""
        elif self._parser.version == 5:
            last = disconnect(error)
        if len(last) <= self._largest_answer:
            self.send(last)
        self.close()

    def close(self) -> None:
        """Close once everything is written; the endpoint's sweep cuts off a client that does not take it."""
        if not self._closing and self._transport is not None:
            self._closing = True
            self._seen_s, self._silence_s = self._loop.time(), _CLOSING_S
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    def sweep(self, now_s: float) -> None:
        """End a connection that has been silent for too long (3.1.2.10: one and a half times its keep-alive)."""
        if now_s - self._seen_s <= self._silence_s or self._holds - {"write"}:
            return
        if self._closing:
            self.abort()
        else:
            self.fail(ProtocolError(Reason.KEEP_ALIVE_TIMEOUT, f"silent for more than {self._silence_s:g} s"))

    # Packets

    def _run(self) -> None:
        """Take one pass over everything that has come."""
        messages: list[Message] = []
        answers: list[bytes] = []
        fault = None
        try:
            for packet in self._parser.packets():
                if isinstance(packet, Publish):
                    self._publish(packet, messages, answers)
                elif not self._control(packet):
                    break
        except ProtocolError as error:
            fault = error
        self._hand_over(messages, answers)
        if self._unanswered > self._most_unanswered:
            fault = ProtocolError(Reason.RECEIVE_MAXIMUM_EXCEEDED, f"more than {self._most_unanswered} messages without an answer")
        if fault:
            self._host.refused(self, fault)
            self.fail(fault)

    def _publish(self, packet: Publish, messages: list[Message], answers: list[bytes]) -> None:
        topic, payload, packet_id = packet
        if self._account is not None and not self._account.allows(topic):
            self._refuse(packet, answers)
            return
        messages.append(Message(topic, payload))
        if packet_id:
            answers.append(puback(packet_id))

    def _refuse(self, packet: Publish, answers: list[bytes]) -> None:
        """Refuse a topic that is not the device's. MQTT 3.1.1 knows no such answer to a message, so the connection closes."""
        refusal = ProtocolError(Reason.NOT_AUTHORISED, f"user {self._user!r} may not publish to {packet.topic!r}")
        if self._parser.version == 4:
            raise refusal
        self._host.refused(self, refusal)
        if packet.packet_id:
            answers.append(puback_refused(packet.packet_id, refusal.reason))

    def _hand_over(self, messages: list[Message], answers: list[bytes]) -> None:
        size, self._fed_bytes = self._fed_bytes, 0
        if not messages and not self._unanswered:
            self.send(b"".join(answers))
            return
        self._unanswered += len(answers)
        if messages or answers:  # refusals alone wait too: answers keep the order of their questions (4.6)
            self._host.receive(self, messages, answers, size)
            self._throttle(len(messages))

    def _throttle(self, messages: int) -> None:
        """Read on only when the messages so far fit the rate, with one second's worth at once."""
        now_s = self._loop.time()
        self._paid_until_s = max(self._paid_until_s, now_s - 1.0) + messages / self._limits.messages_per_s
        if self._paid_until_s > now_s:
            self.hold("rate")
            self._loop.call_later(self._paid_until_s - now_s, self.release, "rate")

    def _control(self, packet: Packet) -> bool:
        """Answer; whether to go on with the next packet."""
        version = self._parser.version
        match packet:
            case Ping():
                self.send(PINGRESP)
            case Connect():
                self._connect(packet)
            case Disconnect():
                self._leave(packet)
            case Subscribe():
                self.send(suback_refused(packet, version))
            case Unsubscribe():
                self.send(unsuback(packet, version))
            case Release():
                self.send(pubcomp(packet.packet_id, version))
        return not self._closing and "login" not in self._holds

    def _connect(self, packet: Connect) -> None:
        if packet.version == 4 and not packet.client_id and not packet.clean:
            raise ProtocolError(Reason.CLIENT_ID_INVALID, "a client without an identifier must ask for a clean session")
        self._host.login(self, packet)

    def _leave(self, packet: Disconnect) -> None:
        self._end_session(packet.session_expiry_s)
        if packet.reason != Reason.DISCONNECT_WITH_WILL:
            self.will = None
        self.gone_because = "the device asked for its will"
        self.close()

    def _end_session(self, after_s: int | None) -> None:
        """Heed the client's last word on its session (3.14.2.2.2)."""
        assert self.packet is not None  # noqa: S101  # nothing but CONNECT comes before it, says the parser
        if after_s and not self.packet.session_expiry_s:
            raise ProtocolError(Reason.PROTOCOL_ERROR, "DISCONNECT prolongs a session that CONNECT ended with the connection")
        if after_s is not None and after_s != _NEVER_S:
            self._host.end_session(self, after_s)
