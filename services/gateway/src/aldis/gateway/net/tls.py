"""TLS 1.2 and 1.3 without I/O: ciphertext in, plaintext out, over pyOpenSSL memory BIOs (RFC 8446, RFC 5246)."""

from __future__ import annotations

from OpenSSL import SSL

from aldis.gateway.net.tls_binding import bindings
from aldis.gateway.net.tls_context import TlsContexts
from aldis.gateway.net.tls_failure import TlsFailed, failure, not_tls

__all__ = ["HANDSHAKE_LIMIT", "TlsContexts", "TlsFailed", "TlsLayer"]

HANDSHAKE_LIMIT = 64 * 1024

# A memory BIO never gives back what it once held. Feeding and draining it in pieces of 4 KiB instead of whole records leaves an
# idle session 32 kB smaller after its first large answer, for 0.6 ms more a MiB (bench/micro_tls.py).
_PIECE = 4 * 1024
_RECORD = 16 * 1024
_HEADER = 5
_OUTPUT = _PIECE + 512
_APPLICATION_DATA = 23


class TlsLayer:
    """The server's end of one TLS connection, between a transport and a stream, with no socket, timer or loop of its own.

    The protocol that owns the transport uses it so::

        def connection_made(self, transport):               # direct TLS; for STARTTLS, after <proceed/> is written
            self.tls = TlsLayer(store.contexts)             # CertificateStore: the certificates of this moment

        def buffer_updated(self, size):                     # or data_received
            data = memoryview(self.buffer)[:size]
            if self.tls.established:
                self.take(data)
            elif gate.admit(partial(self.take, bytes(data))):
                self.transport.pause_reading()              # one step of a handshake costs up to 0.5 ms: see HandshakeGate
            else:
                self.transport.abort()                      # too many are waiting

        def take(self, data):                               # from the gate: return if closed meanwhile, else resume_reading()
            try:
                plaintext = self.tls.receive(data)          # b"" is usual: handshakes, halves of records
            except TlsFailed as failed:
                log.info("tls failed", reason=failed.reason)
                self.transport.write(self.tls.take_output())    # the alert
                return self.transport.close()
            if plaintext:
                self.stream.receive_data(plaintext)         # its answers go through self.tls.send(…)
            if output := self.tls.take_output():            # after every receive, also an empty one
                self.transport.write(output)
            if self.tls.peer_closed:                        # close_notify: nothing more will come
                ...

    To end: `send` the last words, `shutdown()`, write `take_output()`, close the transport. An end of file without `peer_closed`
    is a truncation, which XMPP notices by itself (no `</stream:stream>`). Certificates, session keys and limits stay those of the
    contexts it was made with.
    """

    __slots__ = (
        "_connection",
        "_contexts",
        "_fed",
        "_header",
        "_output",
        "_skip",
        "_whole",
        "closed",
        "established",
        "peer_closed",
    )

    def __init__(self, contexts: TlsContexts) -> None:
        self._contexts = contexts  # OpenSSL calls back into it for as long as the connection lives
        self._connection = SSL.Connection(contexts.default, None)
        self._connection.set_accept_state()
        self._output: list[bytes] = []
        self._fed = 0
        self._whole = True
        self._skip = 0
        self._header = b""
        self.established = False
        """Whether the handshake is over."""
        self.peer_closed = False
        """Whether nothing more will come: the client said close_notify, or the connection failed."""
        self.closed = False
        """Whether nothing more can be sent: after `shutdown` or a failure."""

    def receive(self, ciphertext: bytes | bytearray | memoryview) -> bytes:
        """Take bytes from the transport and return the plaintext they complete; raises `TlsFailed` and nothing else.

        After a failure or the peer's close_notify further bytes are ignored. Plaintext is never more than what came in.
        """
        if self.peer_closed or (self.closed and not self.established):
            return b""
        try:
            if self.established and self._whole and _one_record(ciphertext):
                # The usual case, worth its own lines (4.6 → 3.0 µs): one record came, so one read empties the BIO and the second,
                # which would only raise WantReadError, is saved.
                self._connection.bio_write(ciphertext)
                return self._connection.recv(len(ciphertext))
            return self._receive_pieces(ciphertext)
        except SSL.WantReadError:  # the one record was not application data
            self._drain()
            return b""
        except SSL.ZeroReturnError:
            self.peer_closed = True
            return b""
        except SSL.Error as error:
            raise self._fail(failure(error)) from None
        except TlsFailed as failed:  # ours, from ALPN or from a limit
            raise self._fail(failed) from None

    def send(self, plaintext: bytes | bytearray | memoryview) -> None:
        """Encrypt bytes for the client; what is sent after `closed` goes nowhere, as with a closed transport."""
        if self.closed:
            return
        if not self.established:
            raise RuntimeError("nothing can be sent before the TLS handshake is over")
        if len(plaintext) <= _PIECE:
            if plaintext:
                self._encrypt(plaintext)
            return
        view = memoryview(plaintext)
        for start in range(0, len(view), _PIECE):
            self._encrypt(view[start : start + _PIECE])

    def take_output(self) -> bytes:
        """Return the ciphertext that waits to be written, and forget it."""
        output = self._output
        if not output:
            return b""
        self._output = []
        return output[0] if len(output) == 1 else b"".join(output)

    def shutdown(self) -> None:
        """Say close_notify, after which nothing can be sent (RFC 8446 §6.1); before the handshake is over there is nothing to say."""
        if self.closed:
            return
        self.closed = True
        if self.established:
            try:
                self._connection.shutdown()
            except SSL.Error:
                return  # the connection is past saving; close_notify was a courtesy
            self._drain()

    @property
    def bindings(self) -> dict[str, bytes]:
        """Channel bindings by name, once established: tls-exporter, tls-server-end-point, and tls-unique below TLS 1.3."""
        if not self.established:
            return {}
        return bindings(self._connection, self._connection.get_context().get_app_data())

    @property
    def protocol(self) -> str:
        """The version, such as TLSv1.3, for logs."""
        return self._connection.get_protocol_version_name()

    @property
    def cipher(self) -> str:
        """The cipher suite by OpenSSL's name, for logs; empty until it is agreed."""
        return self._connection.get_cipher_name() or ""

    @property
    def server_name(self) -> str | None:
        """The name that the client asked for (SNI), as it came: not checked, and not the stream's `to`."""
        name = self._connection.get_servername()
        return None if name is None else name.decode("ascii", "backslashreplace")

    def _receive_pieces(self, ciphertext: bytes | bytearray | memoryview) -> bytes:
        self._whole = self._ends_on_a_record(ciphertext)
        plaintext: list[bytes] = []
        view = memoryview(ciphertext)
        for start in range(0, len(view), _PIECE):
            self._feed(view[start : start + _PIECE], plaintext)
            if self.peer_closed:
                break
        return b"".join(plaintext)

    def _feed(self, piece: memoryview, plaintext: list[bytes]) -> None:
        connection = self._connection
        try:
            if not self.established:
                self._check_handshake(piece)
            connection.bio_write(piece)
            if not self.established:
                connection.do_handshake()
                self.established = True
            while True:
                plaintext.append(connection.recv(_RECORD))
        except SSL.WantReadError:
            self._drain()
        except SSL.ZeroReturnError:
            self.peer_closed = True
            self._drain()

    def _check_handshake(self, piece: memoryview) -> None:
        if not self._fed and (other := not_tls(piece[0])):
            raise other
        self._fed += len(piece)
        if self._fed > HANDSHAKE_LIMIT:
            raise TlsFailed(f"the handshake is longer than {HANDSHAKE_LIMIT} bytes")

    def _ends_on_a_record(self, data: bytes | bytearray | memoryview) -> bool:
        """Follow the record headers (RFC 8446 §5.1) and tell whether all that came so far is whole records."""
        if self._header:
            data = self._header + bytes(data)
        at, size = self._skip, len(data)
        while at + _HEADER <= size:
            at += _HEADER + (data[at + 3] << 8 | data[at + 4])
        self._skip = max(at - size, 0)
        self._header = bytes(data[at:])
        return at == size

    def _encrypt(self, piece: bytes | bytearray | memoryview) -> None:
        try:
            self._connection.send(piece)
        except SSL.Error as error:
            raise self._fail(failure(error)) from None
        self._output.append(self._connection.bio_read(_OUTPUT))

    def _drain(self) -> None:
        """Move what OpenSSL wants to say of itself (handshake, alerts) to the output."""
        while True:
            try:
                said = self._connection.bio_read(_OUTPUT)
            except SSL.WantReadError:
                return
            self._output.append(said)
            if len(said) < _OUTPUT:
                return

    def _fail(self, failed: TlsFailed) -> TlsFailed:
        self._drain()
        self.closed = self.peer_closed = True
        return failed


def _one_record(data: bytes | bytearray | memoryview) -> bool:
    """Tell whether bytes that begin a record are exactly one, with application data."""
    size = len(data)
    return size > _HEADER and data[0] == _APPLICATION_DATA and size == _HEADER + (data[3] << 8 | data[4])
