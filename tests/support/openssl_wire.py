"""A client's connection with TLS by pyOpenSSL, which can compute every type of channel binding (RFC 5929, RFC 9266)."""

import asyncio
import contextlib
from collections.abc import Mapping

from OpenSSL import SSL

from aldis.core.testing.wire import LOOPBACK, PIECE


class OpenSslWire:
    """TLS over memory buffers, so that nothing of asyncio's own is used."""

    def __init__(self, certificate: str, *, most: int = SSL.TLS1_3_VERSION) -> None:
        self._context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self._context.load_verify_locations(certificate)
        self._context.set_verify(SSL.VERIFY_PEER, lambda *told: bool(told[-1]))
        self._context.set_max_proto_version(most)
        self._tls: SSL.Connection | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def connect(self, port: int) -> None:
        self._reader, self._writer = await asyncio.open_connection(LOOPBACK, port)

    async def start_tls(self, domain: str) -> None:
        tls = self._tls = SSL.Connection(self._context, None)
        tls.set_tlsext_host_name(domain.encode())
        tls.set_connect_state()
        while True:
            with contextlib.suppress(SSL.WantReadError):
                tls.do_handshake()
                self._flush(tls)
                return
            self._flush(tls)
            data = await self._streams()[0].read(PIECE)
            if not data:
                raise ConnectionError("the server ended the handshake")
            tls.bio_write(data)

    def write(self, data: bytes) -> None:
        if self._tls is None:
            self._streams()[1].write(data)
            return
        self._tls.sendall(data)
        self._flush(self._tls)

    async def read(self) -> bytes:
        reader = self._streams()[0]
        while self._tls is not None:
            with contextlib.suppress(SSL.WantReadError):
                try:
                    return self._tls.recv(PIECE)
                except SSL.ZeroReturnError:
                    return b""
            data = await reader.read(PIECE)
            if not data:
                return b""
            self._tls.bio_write(data)
        return await reader.read(PIECE)

    @property
    def broken(self) -> bool:
        return self._writer is None or self._writer.is_closing()

    def bindings(self) -> Mapping[str, bytes]:
        tls = self._tls
        if tls is None:
            return {}
        certificate = tls.get_peer_certificate(as_cryptography=True)
        finished = tls.get_finished()
        assert certificate is not None
        assert certificate.signature_hash_algorithm is not None
        found = {
            "tls-exporter": tls.export_keying_material(b"EXPORTER-Channel-Binding", 32, b""),
            "tls-server-end-point": certificate.fingerprint(certificate.signature_hash_algorithm),
        }
        if tls.get_protocol_version() < SSL.TLS1_3_VERSION and finished is not None:
            found["tls-unique"] = finished
        return found

    async def close(self) -> None:
        if self._writer is None:
            return
        self._writer.transport.abort()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def _flush(self, tls: SSL.Connection) -> None:
        with contextlib.suppress(SSL.WantReadError):
            while True:
                self._streams()[1].write(tls.bio_read(PIECE))

    def _streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        assert self._reader is not None
        assert self._writer is not None
        return self._reader, self._writer
