"""One TCP connection: bytes in, bytes out, TLS between, bounded in both directions. What the bytes mean is its subclass's."""

import asyncio
import socket
from collections.abc import Callable
from enum import IntFlag
from functools import partial
from typing import Final, cast

from aldis.core.xmpp.errors.stream import StreamError
from aldis.gateway.net.board import Board
from aldis.gateway.net.tls import TlsFailed, TlsLayer

LINGER: Final = 3.0
"""Seconds from our last word until the connection is cut, if the peer has not closed it by then."""
LINGER_BYTES: Final = 256 * 1024
"""That are thrown away meanwhile; who sends more is cut off."""


class Hold(IntFlag):
    """Why nothing is read just now."""

    HANDSHAKE = 1
    """A step of TLS waits for its turn."""
    CONGESTED = 2
    """The shard has enough to do."""
    PACE = 4
    """The session sent more than it may."""


class Wire(asyncio.BufferedProtocol):
    """Joins a transport, TLS if there is any, and a stream.

    All connections read into one buffer: what came is copied out, or decrypted, before the loop reads again.
    """

    __slots__ = (
        "_blocked", "_ended", "_holds", "_out", "_rest", "_timer", "_tls", "_total", "_transport", "admitted", "board", "name", "peer",
        "port",
    )  # fmt: skip

    def __init__(self, board: Board, name: str) -> None:
        self.board = board
        self.name = name
        """By which logs speak of it."""
        self.peer = ""
        self.port = 0
        self.admitted = False
        self._transport: asyncio.Transport | None = None
        self._tls: TlsLayer | None = None
        self._out: list[bytes] = []
        self._blocked = False
        self._total = 0
        self._ended = False
        self._rest = 0
        self._holds = 0
        self._timer: asyncio.TimerHandle | None = None

    # ── for subclasses ──

    def opened(self) -> None:
        """The connection is there."""

    def secured(self, tls: TlsLayer) -> None:
        """The TLS handshake is over."""

    def received(self, data: bytes) -> None:
        """Bytes came; never called after the end."""

    def wrote(self, total: int, *, waiting: bool) -> None:
        """All that was sent went to the transport, `total` bytes in all; some of it is `waiting` there."""

    def broken(self) -> None:
        """Something failed that is our fault: say so, if that can be said."""

    def shut(self, error: StreamError | None) -> None:
        """Close the stream, with an error or in peace."""

    def look_after(self, now: float) -> None:
        """Some seconds have passed."""

    def ended(self, reason: str) -> None:
        """The end, once: nothing more will be received, and what is sent from here on goes nowhere."""

    # ── what the loop calls ──

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        wire = self._transport = cast(asyncio.Transport, transport)
        peer = wire.get_extra_info("peername")
        if peer:
            self.peer, self.port = peer[0], peer[1]
        if not peer or not self.board.admit(self):  # it has gone again, or there is no room
            self._ended = True
            wire.abort()
            return
        wire.set_write_buffer_limits(0)  # so that pause_writing and resume_writing tell whether anything waits
        self.board.tune(cast(socket.socket, wire.get_extra_info("socket")))
        self.opened()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.board.buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = self.board.buffer[:nbytes]
        if self._ended:
            self._discard(nbytes)
            return
        tls = self._tls
        try:
            if tls is None:
                self.received(bytes(data))
            elif tls.established:
                self._decrypt(tls, data)
            else:
                self._shake_hands(bytes(data))
        except Exception as error:  # noqa: BLE001  our mistake; nobody else pays for it
            self._fail(error)

    def eof_received(self) -> None:
        self._end("client closed the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, TimeoutError):  # the kernel's word for half-open: TCP_USER_TIMEOUT, keep-alive
            self._end("connection timed out")
        else:
            self._end("connection lost")
        self._stop_timer()
        if self.admitted:
            self.admitted = False
            self.board.leave(self)
        self._transport = self._tls = None

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False

    # ── out ──

    def send(self, data: bytes) -> None:
        """Put bytes with what goes out at the next flush."""
        if self._ended:
            return
        if not self._out:
            self.board.mark(self)
        self._out.append(data)

    def write_out(self) -> None:
        """Write what was sent since, together; a client that lets too much pile up is cut off."""
        out = self._out
        transport = self._transport
        if not out or transport is None or self._ended:
            return
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        tls = self._tls
        if tls is not None:
            try:
                tls.send(data)
            except TlsFailed as failed:
                self.cut(failed.reason)
                return
            data = tls.take_output()
        self._total += len(data)
        transport.write(data)
        self.wrote(self._total, waiting=self._blocked)
        if self._blocked:
            most = self.board.settings.limits.write_buffer_bytes
            if most and transport.get_write_buffer_size() > most:
                self.cut("client does not read")

    def flushed(self) -> int:
        """How many bytes are on the socket; of what was under way when the connection broke it is not known."""
        transport = self._transport
        if transport is None or (transport.is_closing() and not self._ended):
            return 0
        return self._total - transport.get_write_buffer_size()

    # ── TLS ──

    def start_tls(self) -> None:
        """From the next byte on it is TLS."""
        self._tls = TlsLayer(self.board.certificates.contexts)

    @property
    def tls(self) -> TlsLayer | None:
        """The TLS layer, if there is one."""
        return self._tls

    def _shake_hands(self, data: bytes) -> None:
        """Wait for a turn of the loop in which nobody else shakes hands."""
        self.hold(Hold.HANDSHAKE)
        if not self.board.gate.admit(partial(self._take_step, data)):
            self.board.refused("handshakes")
            self.cut("too many TLS handshakes at once")

    def _take_step(self, data: bytes) -> None:
        tls = self._tls
        if tls is None or self._ended:
            return
        try:
            self._decrypt(tls, data)
        except Exception as error:  # noqa: BLE001  our mistake; nobody else pays for it
            self._fail(error)
        self.release(Hold.HANDSHAKE)

    def _decrypt(self, tls: TlsLayer, data: bytes | memoryview) -> None:
        shaking = not tls.established
        try:
            plaintext = tls.receive(data)
        except TlsFailed as failed:
            self._write_tls(tls)
            self.hang_up(f"TLS: {failed.reason}")
            return
        self._write_tls(tls)
        if shaking and tls.established:
            self.secured(tls)
        if plaintext and not self._ended:
            self.received(plaintext)
        if tls.peer_closed:
            self.write_out()
            self._end("client closed the connection")
            tls.shutdown()
            self._write_tls(tls)
            self._close()

    def _write_tls(self, tls: TlsLayer) -> None:
        output = tls.take_output()
        if output and self._transport is not None:
            self._transport.write(output)

    # ── holding ──

    def hold(self, why: Hold) -> None:
        """Read no more until it is released."""
        if not self._holds and self._transport is not None and not self._ended:
            self._transport.pause_reading()
        self._holds |= why

    def release(self, why: Hold) -> None:
        """Read again, unless something else holds."""
        if self._holds & why:
            self._holds &= ~why
            if not self._holds and self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()

    def relieve(self) -> None:
        """The shard takes more again."""
        self.release(Hold.CONGESTED)

    # ── the end ──

    def hang_up(self, reason: str) -> None:
        """Say what is still to be said, then close, without resetting the connection under the peer's hands."""
        self.write_out()
        transport, tls = self._transport, self._tls
        self._end(reason)
        if transport is None or transport.is_closing():
            return
        if tls is not None:
            tls.shutdown()
            self._write_tls(tls)
        self._holds = 0
        try:
            transport.resume_reading()
            transport.write_eof()  # after what is in the buffer; the peer's own end closes the rest
        except OSError:
            transport.abort()
            return
        self._set_timer(LINGER, transport.abort)

    def cut(self, reason: str) -> None:
        """Close at once; what is still in the buffer is lost."""
        if self._ended:
            return  # it is ending in order, in its time
        self._end(reason)
        if self._transport is not None:
            self._transport.abort()

    def abort(self) -> None:
        """Close at once, whatever is still to be sent."""
        self._end("aborted")
        if self._transport is not None:
            self._transport.abort()

    def _end(self, reason: str) -> None:
        if self._ended:
            return
        try:
            self.ended(reason)
        finally:
            self._ended = True
            self._out.clear()

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._set_timer(LINGER, self._transport.abort)

    def _discard(self, size: int) -> None:
        self._rest += size
        if self._rest > LINGER_BYTES and self._transport is not None:
            self._transport.abort()

    def _fail(self, error: Exception) -> None:
        """A fault of ours: it ends this connection and no other."""
        self.board.log.error("stream.failed", stream=self.name, peer=self.peer, exc_info=error)
        try:
            self.broken()
        except Exception:  # then it ends without a word
            self.board.log.exception("stream.failed", stream=self.name, peer=self.peer)
        self.cut("internal error")  # unless it is ended in order by now

    # ── the one timer ──

    def _set_timer(self, seconds: float, action: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self.board.loop.call_later(seconds, action)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
