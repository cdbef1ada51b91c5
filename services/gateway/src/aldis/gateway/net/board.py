"""What all connections of a gateway share."""

import asyncio
import socket
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from aldis.core.service.logging import Logger
from aldis.core.shards.hub import Hub
from aldis.core.xmpp.errors.stream import StreamError
from aldis.core.xmpp.stream.settings import C2sSettings
from aldis.gateway.context import Context
from aldis.gateway.domain.admission import Admission
from aldis.gateway.domain.traced import Traced
from aldis.gateway.net.certificates import CertificateStore
from aldis.gateway.net.figures import Figures
from aldis.gateway.net.tls_gate import HandshakeGate
from aldis.gateway.settings import GatewaySettings

BUFFER: Final = 64 * 1024
"""The most that is read of one connection before the others have their turn."""
REPORT_EVERY: Final = 0.05
"""Seconds between two reports of what has reached the sockets."""
KEEP_ALIVE: Final = 300
"""Seconds without a byte after which TCP asks by itself, where no white space is sent."""
MOST_IDLE: Final = 32_767
"""That Linux takes for the same."""


class Connection(Protocol):
    """What the board does to connections."""

    peer: str
    port: int
    admitted: bool

    def write_out(self) -> None:
        """Write what was sent since."""

    def look_after(self, now: float) -> None:
        """Some seconds have passed."""

    def relieve(self) -> None:
        """The shard takes more again."""

    def shut(self, error: StreamError | None) -> None:
        """Close the stream, with an error or in peace."""

    def abort(self) -> None:
        """Close at once, whatever is still to be sent."""


@dataclass(slots=True, eq=False)
class Board:
    """The one place where connections meet."""

    loop: asyncio.AbstractEventLoop
    context: Context
    hub: Hub
    streams: C2sSettings
    certificates: CertificateStore
    gate: HandshakeGate
    admission: Admission
    figures: Figures
    connections: set[Connection] = field(default_factory=set)
    empty: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while there is no connection."""
    dirty: list[Connection] = field(default_factory=list)
    buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(BUFFER)))
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    waiting: dict[str, set[Connection]] = field(default_factory=dict)
    """Connections that are not read, by the queue that has enough to do."""
    traced: Traced = field(default_factory=Traced)
    stanza_seconds: float = 0.0
    """What a stanza costs a session's bucket; 0 for nothing."""
    byte_seconds: float = 0.0
    _reporting: bool = False
    _counter: int = 0
    _told: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.empty.set()
        limits = self.settings.limits
        self.stanza_seconds = 1 / limits.stanzas_per_second if limits.stanzas_per_second else 0.0
        self.byte_seconds = 1 / limits.bytes_per_second if limits.bytes_per_second else 0.0

    @property
    def settings(self) -> GatewaySettings:
        """The gateway's settings."""
        return self.context.settings

    @property
    def log(self) -> Logger:
        """The gateway's log."""
        return self.context.log

    def next_name(self) -> str:
        """A name for a new connection in the log."""
        self._counter += 1
        return f"c{self._counter}"

    # ── coming and going ──

    def admit(self, connection: Connection) -> bool:
        """Let a connection in, if there is room for it."""
        reason = self.admission.admit(connection.peer, self.loop.time())
        if reason:
            self.refused(reason, connection.peer)
            return False
        connection.admitted = True
        self.connections.add(connection)
        self.empty.clear()
        self.figures.connections.n = len(self.connections)
        return True

    def leave(self, connection: Connection) -> None:
        """A connection that was let in is gone."""
        self.admission.leave(connection.peer, self.loop.time())
        self.connections.discard(connection)
        if not self.connections:
            self.empty.set()
        self.figures.connections.n = len(self.connections)
        for queue in self.waiting.values():
            queue.discard(connection)

    def refused(self, reason: str, peer: str = "") -> None:
        """Count a refusal, and tell of it once in a while."""
        self.figures.refused.cell(reason).n += 1
        now = self.loop.time()
        if now - self._told.get(reason, -60.0) >= 60.0:
            self._told[reason] = now
            self.log.warning("connection.refused", reason=reason, peer=peer)

    def tune(self, sock: socket.socket) -> None:
        """Let the kernel notice that a peer is gone (TCP_USER_TIMEOUT: RFC 5482)."""
        limits = self.settings.limits
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if hasattr(socket, "TCP_KEEPIDLE"):
                idle = min(max(int(limits.idle_seconds), 1), MOST_IDLE) if limits.idle_seconds else KEEP_ALIVE
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle)
            if hasattr(socket, "TCP_USER_TIMEOUT") and limits.half_open_seconds:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(int(limits.half_open_seconds * 1000), 1))
        except OSError:
            return  # it has gone again, which the transport will tell

    # ── writing ──

    def mark(self, connection: Connection) -> None:
        """It has something to write: with everything else at the end of the batch, or of this turn of the loop."""
        if not self.dirty:
            self.loop.call_soon(self.flush)
        self.dirty.append(connection)

    def flush(self) -> None:
        """Let each connection write once what piled up."""
        dirty, self.dirty = self.dirty, []
        for connection in dirty:
            connection.write_out()
        self.report_soon()

    def report_soon(self) -> None:
        """Have the shards told what has arrived, if there is something to tell."""
        if not self._reporting and self.hub.unreported:
            self._reporting = True
            self.loop.call_later(REPORT_EVERY, self._report)

    def _report(self) -> None:
        self.hub.report()
        self._reporting = self.hub.unreported
        if self._reporting:
            self.loop.call_later(REPORT_EVERY, self._report)

    # ── back-pressure ──

    def wait_for(self, queue: str, connection: Connection) -> None:
        """Relieve the connection when the queue takes more again."""
        self.waiting.setdefault(queue, set()).add(connection)

    def relieved(self, queue: str) -> None:
        """The queue takes more again."""
        for connection in self.waiting.pop(queue, ()):
            connection.relieve()

    # ── work that waits for the directory ──

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a connection's question; it has one at a time, and cancels it when it ends."""
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task
