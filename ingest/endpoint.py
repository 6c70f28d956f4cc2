"""The MQTT endpoint inside the collector: devices need no broker, and PUBACK means that the reading is on our disk.

It takes messages and has nobody to give them to: a source for the collector, not a broker. It runs on its own thread and event loop;
`read` and `acknowledge` belong to the collector's thread. Nothing is acknowledged before the collector says so, and as long as too
much waits for that, no connection is read.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from ingest.accounts import Account, Accounts
from ingest.connection import Connection, Limits
from ingest.fields import ProtocolError, Reason
from ingest.inbox import Batch, Inbox
from ingest.packets import Connect
from ingest.sessions import Name, Sessions
from ingest.source import Delivery, Message

_log = logging.getLogger(__name__)

_SWEEP_S = 0.5
_LOGIN_THREADS = 2  # the hash is slow on purpose; the event loop must not wait for it
_REMEMBERED = 20
_DROPPED_S = 1.0


class EndpointError(ValueError):
    """The endpoint cannot listen as it was asked to; says what would help."""


class _Admitted(NamedTuple):
    """Who may come in."""

    account: Account | None
    session_present: bool


class Endpoint:
    """An MQTT 3.1.1 and 5 server that delivers what is published to it.

    Parameters
    ----------
    host, port
        Where to listen; port 0 takes a free one. Without accounts only loopback addresses are allowed.
    accounts
        Who may connect and publish what; None lets everybody on this machine publish everything.
    tls
        From `server_tls`; None speaks plain TCP.
    sessions
        The clients that are known; None forgets them with this endpoint.
    flush_messages, flush_s
        `read` returns when so many messages wait, or when some wait and it last returned so long ago.

    Raises
    ------
    EndpointError
        When it cannot listen there, or must not.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        accounts: Accounts | None = None,
        tls: ssl.SSLContext | None = None,
        sessions: Sessions | None = None,
        limits: Limits | None = None,
        flush_messages: int = 20_000,
        flush_s: float = 0.005,
    ) -> None:
        addresses = _addresses(host, port, loopback_only=accounts is None)
        self.limits = limits or Limits()
        self._accounts, self._tls = accounts, tls
        self._inbox: Inbox[Connection] = Inbox(flush_messages, flush_s)
        self._connections: set[Connection] = set()
        self._sessions = Sessions() if sessions is None else sessions
        self._named: dict[Name, Connection] = {}
        self._delivered: set[Batch[Connection]] = set()
        self._waiting_messages = self._waiting_bytes = 0
        self._full = self._closed = False
        self._counts: Counter[str] = Counter()
        self._gone: deque[tuple[float, dict[str, object]]] = deque(maxlen=_REMEMBERED)
        self._logins = ThreadPoolExecutor(_LOGIN_THREADS, "mqtt-login")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mqtt-endpoint", daemon=True)
        self._thread.start()
        self._serve(addresses, port)

    # What the collector calls

    def read(self, timeout_s: float) -> Delivery | None:
        """Wait up to `timeout_s` for messages; None when none came."""
        batch = self._inbox.take(timeout_s)
        if batch is None:
            return None
        self._delivered.add(batch)
        if not batch.messages:  # refusals that waited for their turn
            self._acknowledge(batch)
            return None
        return Delivery(batch.messages, partial(self._acknowledge, batch))

    def drop(self) -> None:
        """Close every connection, so that the senders repeat what is not acknowledged; they are read again after a while."""
        self._on_loop(self._drop())

    def close(self) -> None:
        """Stop listening and say so to the devices; what is unacknowledged comes again another time."""
        if self._closed:
            return
        self._closed = True
        self._inbox.close()
        self._logins.shutdown(cancel_futures=True)
        self._on_loop(self._stop())
        self._end_thread()

    def state(self) -> dict[str, object]:
        """What an operator wants to know, as plain JSON values."""
        now_s = self._loop.time()
        return {
            "state": "full" if self._full else "ok",
            "listening": self.addresses,
            "tls": self._tls is not None,
            "accounts": self._accounts is not None,
            "connections": len(self._connections),
            "sessions": len(self._sessions),
            "waiting_messages": self._waiting_messages,
            "waiting_bytes": self._waiting_bytes,
            **{name: self._counts[name] for name in ("received", "acknowledged", "refused", "refused_logins", "gone")},
            "last_gone": [{**what, "ago_s": round(now_s - at_s)} for at_s, what in tuple(self._gone)],
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # What connections call, on the loop's thread

    def opened(self, connection: Connection) -> None:
        if len(self._connections) >= self.limits.connections:
            self._counts["refused"] += 1
            connection.abort()
            return
        self._connections.add(connection)
        if self._full:
            connection.hold("full")

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        name = _name(connection)
        if self._named.get(name) is connection:
            del self._named[name]
        if connection.will is not None and not self._closed:
            self._counts["gone"] += 1
            what: dict[str, object] = {"client_id": connection.client_id, "will": connection.will.topic, "because": connection.gone_because}
            self._gone.append((self._loop.time(), what))

    def login(self, connection: Connection, packet: Connect) -> None:
        connection.hold("login")
        check = self._loop.run_in_executor(self._logins, self._admit, packet)
        check.add_done_callback(partial(self._checked, connection, packet))

    def receive(self, connection: Connection, messages: list[Message], answers: list[bytes], size: int) -> None:
        self._counts["received"] += len(messages)
        self._waiting_messages += len(messages)
        self._waiting_bytes += size
        self._inbox.put(connection, messages, answers, size)
        if not self._full and (self._waiting_messages > self.limits.waiting_messages or self._waiting_bytes > self.limits.waiting_bytes):
            self._full = True
            for each in self._connections:
                each.hold("full")

    def end_session(self, connection: Connection, after_s: int) -> None:
        try:
            self._sessions.end(_name(connection), after_s)
        except OSError as error:
            _log.error("mqtt client %r at %s: the end of its session cannot be noted: %s", connection.client_id, connection.peer, error)

    def refused(self, connection: Connection, why: ProtocolError) -> None:
        self._counts["refused"] += 1
        _log.warning("mqtt client %r at %s: %s (%s)", connection.client_id, connection.peer, why.detail, why.reason.name)

    # Logins

    def _admit(self, packet: Connect) -> _Admitted:
        """Check the account and note the session, on a thread that may wait for both."""
        user = packet.user or ""
        account = self._accounts.login(user, packet.password or b"") if self._accounts else None
        if self._accounts and account is None:
            raise ProtocolError(Reason.BAD_LOGIN, f"user {packet.user!r} is unknown or has another password")
        if not packet.client_id:
            return _Admitted(account, session_present=False)
        try:
            present = self._sessions.open((user, packet.client_id), resume=not packet.clean, keep=packet.keeps_session)
        except OSError as error:
            _log.error("the session of mqtt client %r cannot be noted, so it stays out: %s", packet.client_id, error)
            raise ProtocolError(Reason.SERVER_UNAVAILABLE, "the session cannot be kept now; to be tried again") from error
        return _Admitted(account, present)

    def _checked(self, connection: Connection, packet: Connect, check: "asyncio.Future[_Admitted]") -> None:
        if check.cancelled():
            return
        try:
            self._let_in(connection, packet, check.result())
        except ProtocolError as refusal:
            self._counts["refused_logins"] += 1
            _log.warning("mqtt client %r at %s: %s", packet.client_id, connection.peer, refusal.detail)
            connection.fail(refusal)
        connection.proceed()

    def _let_in(self, connection: Connection, packet: Connect, admitted: _Admitted) -> None:
        if connection not in self._connections:
            return  # it went while its account was looked at
        connection.accept(packet, admitted.account, session_present=admitted.session_present)
        before = self._named.get(_name(connection))
        self._named[_name(connection)] = connection
        if before is not None:
            before.fail(ProtocolError(Reason.TAKEN_OVER, "another connection came with this client identifier"))

    # Acknowledgements

    def _acknowledge(self, batch: Batch[Connection]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the senders repeat
            self._loop.call_soon_threadsafe(self._answer, batch)

    def _answer(self, batch: Batch[Connection]) -> None:
        if batch not in self._delivered:  # dropped since, or acknowledged twice
            return
        self._delivered.remove(batch)
        self._counts["acknowledged"] += len(batch.messages)
        self._waiting_messages -= len(batch.messages)
        self._waiting_bytes -= batch.size
        for connection, answers in batch.answers.items():
            connection.answer(answers)
        self._read_on()

    def _read_on(self) -> None:
        """Let everybody in again once half of what may wait has gone; at the brim each batch would start and stop everybody."""
        limits = self.limits
        if self._full and self._waiting_messages <= limits.waiting_messages / 2 and self._waiting_bytes <= limits.waiting_bytes / 2:
            self._full = False
            for each in self._connections:
                each.release("full")

    # The thread

    def _serve(self, addresses: list[str], port: int) -> None:
        try:
            self._server = self._on_loop(self._listen(addresses, port))
        except OSError as error:
            self._logins.shutdown()
            self._end_thread()
            raise EndpointError(f"endpoint: cannot listen on {', '.join(addresses)} port {port}: {error}") from error
        names = [each.getsockname()[:2] for each in self._server.sockets]
        self.port: int = names[0][1]
        self.addresses = [f"[{address}]:{port}" if ":" in address else f"{address}:{port}" for address, port in names]
        if self._tls is None and not all(ip_address(address).is_loopback for address in addresses):
            _log.warning("endpoint: %s is reachable from elsewhere without TLS; passwords travel in the clear", ", ".join(self.addresses))

    async def _listen(self, addresses: list[str], port: int) -> asyncio.Server:
        handshake_s = self.limits.connect_s if self._tls else None
        self._loop.call_later(_SWEEP_S, self._sweep)
        return await self._loop.create_server(
            lambda: Connection(self, self._loop), addresses, port, backlog=1024, ssl=self._tls, ssl_handshake_timeout=handshake_s
        )

    def _sweep(self) -> None:
        now_s = self._loop.time()
        for connection in tuple(self._connections):
            connection.sweep(now_s)
        self._loop.call_later(_SWEEP_S, self._sweep)

    async def _drop(self) -> None:
        self._inbox.clear()
        self._delivered.clear()
        self._waiting_messages = self._waiting_bytes = 0
        for connection in tuple(self._connections):
            connection.abort()
        self._full = True  # whatever hindered the journal is hardly over at once
        self._loop.call_later(_DROPPED_S, self._read_on)

    async def _stop(self) -> None:
        self._server.close()
        for connection in tuple(self._connections):
            connection.fail(ProtocolError(Reason.SHUTTING_DOWN, "the collector stops; what is not acknowledged is to be sent again"))
        for _ in range(20):
            if not self._connections:
                return
            await asyncio.sleep(0.05)
        for connection in tuple(self._connections):
            connection.abort()
        await asyncio.sleep(0)

    def _on_loop(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def server_tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """Make the endpoint's TLS from its certificate chain and private key, both PEM.

    Raises
    ------
    EndpointError
        When they cannot be read, or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise EndpointError(
            f"endpoint: certificate {certificate} with key {key} cannot be used: {error}; expected two PEM files"
        ) from error
    return context


def _name(connection: Connection) -> Name:
    # A client identifier belongs to its account: no device can push out another one's.
    user = connection.packet.user if connection.packet else None
    return user or "", connection.client_id


def _addresses(host: str, port: int, *, loopback_only: bool) -> list[str]:
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise EndpointError(f"endpoint: host {host!r} is not an address of this machine: {error}") from error
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    outside = [address for address in addresses if not ip_address(address).is_loopback]
    if loopback_only and outside:
        raise EndpointError(
            f"endpoint: host {host!r} is reachable from other machines ({', '.join(outside)}) and there are no accounts; "
            "give an accounts file, or listen on 127.0.0.1"
        )
    return addresses[:1] if port == 0 else addresses
