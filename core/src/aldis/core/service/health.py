"""Health: `/metrics`, `/healthz` and `/readyz` over the least HTTP/1.1 that a probe needs (RFC 9112)."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from prometheus_client import CollectorRegistry, generate_latest

MAX_HEAD = 8192
"""Octets of request line and headers; probes send a few hundred."""
MAX_CONNECTIONS = 32
SECONDS = 5.0
"""From accepting to the last octet of the answer."""
TEXT = "text/plain; charset=utf-8"
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"

Answer = tuple[HTTPStatus, str, bytes]


class Readiness:
    """Whether the process should be sent work: not before every part is ready, and not while it stops."""

    def __init__(self) -> None:
        self._waiting: dict[str, str] = {"process": "starting"}
        self.changed: Callable[[], None] = lambda: None
        """Called after each `set`."""

    def set(self, name: str, reason: str | None) -> None:
        """Note why `name` is not ready; None when it is."""
        if reason is None:
            self._waiting.pop(name, None)
        else:
            self._waiting[name] = reason
        self.changed()

    def reasons(self) -> list[str]:
        """Why not, a line each; empty when ready."""
        return [f"{name}: {reason}" for name, reason in self._waiting.items()]


class HealthServer:
    """A part that answers probes; the first to start and the last to stop, so that it can tell how the others are."""

    name = "health"

    def __init__(self, host: str, port: int, registry: CollectorRegistry, readiness: Readiness, *, seconds: float = SECONDS) -> None:
        self._address = (host, port)
        self._registry = registry
        self._readiness = readiness
        self._seconds = seconds
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port that is listened on, for when any free one was asked for."""
        if self._server is None:
            raise RuntimeError("the health server has not started")
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        host, port = self._address
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self._answer, self._connections, self._seconds), host, port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for connection in list(self._connections):
                connection.drop()
            await self._server.wait_closed()

    def _answer(self, path: str) -> Answer:
        if path == "/metrics":
            return HTTPStatus.OK, PROMETHEUS, generate_latest(self._registry)
        if path == "/healthz":  # whoever reads this sees that the loop turns
            return HTTPStatus.OK, TEXT, b"ok\n"
        if path == "/readyz":
            reasons = self._readiness.reasons()
            status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
            return status, TEXT, "".join(f"{line}\n" for line in reasons or ["ready"]).encode()
        return HTTPStatus.NOT_FOUND, TEXT, b"there are /metrics, /healthz and /readyz\n"


class _Connection(asyncio.Protocol):
    """One request, one answer, closed; whatever comes too slow or too long is cut off."""

    def __init__(self, answer: Callable[[str], Answer], connections: "set[_Connection]", seconds: float) -> None:
        self._answer = answer
        self._connections = connections
        self._seconds = seconds
        self._head = bytearray()
        self._answered = False
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  what create_server gives; narrows the type
        self._transport = transport
        if len(self._connections) >= MAX_CONNECTIONS:
            transport.abort()
            return
        self._connections.add(self)
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self.drop)

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        if self._answered:  # a body, or a second request: neither is wanted
            return
        self._head += data[: MAX_HEAD + 1]
        if len(self._head) > MAX_HEAD:
            self._reply(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, TEXT, b"")
        elif b"\r\n\r\n" in self._head:
            self._reply(*self._respond())

    def _respond(self) -> Answer:
        method, _, rest = self._head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
        target, _, version = rest.rpartition(" ")
        if not version.startswith("HTTP/1."):
            return HTTPStatus.BAD_REQUEST, TEXT, b""
        if method != "GET":
            return HTTPStatus.METHOD_NOT_ALLOWED, TEXT, b""
        return self._answer(target.partition("?")[0])

    def _reply(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self._answered = True
        allow = "Allow: GET\r\n" if status is HTTPStatus.METHOD_NOT_ALLOWED else ""
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            f"{allow}Cache-Control: no-store\r\nConnection: close\r\n\r\n"
        )
        if self._transport is not None:
            self._transport.write(head.encode() + body)
            self._transport.close()

    def drop(self) -> None:
        """Close without another word, whatever is still to be sent."""
        if self._transport is not None:
            self._transport.abort()
