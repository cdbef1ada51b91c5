"""A client's end of a TCP connection, with TLS by Python's own ssl module."""

import asyncio
import contextlib
import hashlib
import socket
import ssl
from asyncio.trsock import TransportSocket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

LOOPBACK: Final = "127.0.0.1"
ALPN: Final = "xmpp-client"
"""XEP-0368 §3."""
PIECE: Final = 65_536


@dataclass(frozen=True, slots=True)
class Doors:
    """Where a gateway listens: with STARTTLS, and with TLS from the beginning (XEP-0368)."""

    port: int
    tls_port: int


class Wire(Protocol):
    """A connection, as an actor uses it."""

    async def connect(self, port: int) -> None:
        """Connect to this port of the loopback."""

    async def start_tls(self, domain: str) -> None:
        """Shake hands, as a client of this domain."""

    def write(self, data: bytes) -> None:
        """Send, sooner or later."""

    async def read(self) -> bytes:
        """Return what came; nothing at the end of the connection. Raises `OSError` if it broke."""

    @property
    def broken(self) -> bool:
        """Whether the connection is gone, as far as is known without reading."""

    def bindings(self) -> Mapping[str, bytes]:
        """Return the channel bindings that this side can compute, type → data."""

    async def close(self) -> None:
        """Cut the connection."""


class TcpWire:
    """The usual one; its bindings are tls-server-end-point and, below TLS 1.3, tls-unique (RFC 5929)."""

    def __init__(self, context: ssl.SSLContext, *, source: str = LOOPBACK, receive_buffer: int = 0) -> None:
        """`source` is the client's own address; `receive_buffer` are the bytes that the kernel keeps for it, 0 for as many as usual."""
        self._context = context
        self._source = source
        self._receive_buffer = receive_buffer
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def connect(self, port: int) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            if self._receive_buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
            sock.bind((self._source, 0))
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, (LOOPBACK, port))
        except BaseException:
            sock.close()
            raise
        self._reader, self._writer = await asyncio.open_connection(sock=sock)

    async def start_tls(self, domain: str) -> None:
        await self._there().start_tls(self._context, server_hostname=domain)

    def write(self, data: bytes) -> None:
        self._there().write(data)

    async def read(self) -> bytes:
        if self._reader is None:
            raise RuntimeError("connect first")
        return await self._reader.read(PIECE)

    @property
    def broken(self) -> bool:
        return self._writer is None or self._writer.is_closing()

    def bindings(self) -> Mapping[str, bytes]:
        tls = self._there().get_extra_info("ssl_object")
        if tls is None:
            return {}
        certificate, unique = tls.getpeercert(binary_form=True), tls.get_channel_binding("tls-unique")
        found = {"tls-server-end-point": hashlib.sha256(certificate).digest()}
        return found if tls.version() == "TLSv1.3" else {**found, "tls-unique": unique}

    @property
    def alpn(self) -> str | None:
        """The protocol that was agreed on."""
        tls = self._there().get_extra_info("ssl_object")
        return tls.selected_alpn_protocol() if tls is not None else None

    @property
    def socket(self) -> TransportSocket:
        """The socket, for who wants to be rude with it."""
        found: TransportSocket = self._there().get_extra_info("socket")
        return found

    async def close(self) -> None:
        if self._writer is None:
            return
        self._writer.transport.abort()
        with contextlib.suppress(OSError, ssl.SSLError):
            await self._writer.wait_closed()

    def _there(self) -> asyncio.StreamWriter:
        if self._writer is None:
            raise RuntimeError("connect first")
        return self._writer


def trusting(certificate: str, *, most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, alpn: tuple[str, ...] = (ALPN,)) -> ssl.SSLContext:
    """Make a client's TLS that trusts this one certificate (a path), and checks that it is for the domain."""
    context = ssl.create_default_context(cafile=certificate)
    context.maximum_version = most
    context.set_alpn_protocols(list(alpn))
    return context
