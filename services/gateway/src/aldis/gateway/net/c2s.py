"""Client streams over TCP: the stream core joined to a connection, the directory and the session's shard (RFC 6120, XEP-0368)."""

import asyncio
import secrets
from collections.abc import Coroutine
from typing import Any

from aldis.core.shards.link import Link
from aldis.core.xmpp.errors.sasl import SaslFailure
from aldis.core.xmpp.errors.stream import StreamError
from aldis.core.xmpp.stream.events import (
    BindRequested,
    Event,
    PreBindIq,
    ResumeRequested,
    SaslAborted,
    SaslResponse,
    SaslStarted,
    StanzaReceived,
    StreamClosed,
    StreamOpened,
    TlsRequested,
)
from aldis.core.xmpp.stream.frames import Frame
from aldis.core.xmpp.stream.machine import C2sStream
from aldis.core.xmpp.stream.states import State
from aldis.gateway.context import Challenge, Login
from aldis.gateway.features import xep_0077_registration
from aldis.gateway.net.board import Board
from aldis.gateway.net.session import BROKEN, SessionWire
from aldis.gateway.net.tls import TlsLayer
from aldis.gateway.net.wire import Hold


class C2s(SessionWire):
    """One client's connection, from the first byte to the last.

    Until a resource is bound the stream core says what happens, one event at a time; what has to ask the directory is a task,
    and no further event is taken before it is done. After that, frames become envelopes and envelopes become bytes.
    """

    __slots__ = ("_asked", "_began", "_direct", "_login", "_task")

    def __init__(self, board: Board, *, direct: bool) -> None:
        """`direct` if the connection begins with TLS (XEP-0368)."""
        super().__init__(board)
        self._direct = direct
        self._began = 0.0
        self._asked = 0.0
        self._login: Login | None = None
        self._task: asyncio.Task[None] | None = None

    # ── the connection ──

    def opened(self) -> None:
        self._began = now = self.board.loop.time()
        if self._direct:
            self.start_tls()
        else:
            self._stream = C2sStream(self.board.streams, now=now)
        seconds = self.board.settings.limits.unauthenticated_seconds
        if seconds:
            self._set_timer(seconds, self._due)

    def secured(self, tls: TlsLayer) -> None:
        bindings = tuple(tls.bindings)
        self._log("stream.secured", tls=tls.protocol, cipher=tls.cipher)
        if self._stream is None:
            self._stream = C2sStream(self.board.streams, now=self._began, tls=True, bindings=bindings)
        else:
            self._stream.tls_established(bindings)

    def received(self, data: bytes) -> None:
        stream = self._stream
        if stream is None:
            raise RuntimeError("bytes came before TLS was there")
        now = self.board.loop.time()
        frames = stream.receive(data, now)
        link = self._link
        if frames and link is not None:
            self._publish(frames, link)
        if not frames or stream.state is not State.BOUND:
            self._pump(stream)
        if self._ended:
            return
        if self._pace is not None:
            self._keep_pace(self._pace, len(frames), len(data), now)
        if link is not None and self.board.hub.congested(link):
            self.hold(Hold.CONGESTED)
            self.board.wait_for(link.queue, self)

    def ended(self, reason: str) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._login = None
        self._leave(reason)

    # ── negotiation ──

    def _pump(self, stream: C2sStream) -> None:
        """Take events until one has to wait for an answer, and send what the stream has to say."""
        while (self._task is None or stream.state is State.CLOSED) and (event := stream.next_event()) is not None:
            self._handle(stream, event)
        self._send_output(stream)

    def _send_output(self, stream: C2sStream) -> None:
        output = stream.take_output()
        if output:
            self.send(output)

    def _handle(self, stream: C2sStream, event: Event) -> None:
        match event:
            case StanzaReceived(frame) if self._link is not None:
                self._publish([frame], self._link)
            case StreamOpened(domain, _, True):
                self._log("stream.opened", domain=domain, tls=stream.secure)
            case TlsRequested():
                stream.starttls_proceed()
                self._send_output(stream)
                self.write_out()
                self.start_tls()
            case SaslStarted(mechanism, initial):
                self._login = self._begin_login(stream, mechanism)
                self._wait_for(self._step(stream, self._login, initial))
            case SaslResponse(data) if self._login is not None:
                self._wait_for(self._step(stream, self._login, data))
            case SaslAborted():
                self._login = None
            case PreBindIq(frame):
                self._wait_for(self._register(stream, frame))
            case BindRequested(resource):
                self._bind(stream, resource)
            case ResumeRequested(previd, h):
                self._resume(stream, previd, h)
            case StreamClosed(error, by_peer):
                self._close_stream(stream, error, by_peer=by_peer)

    def _begin_login(self, stream: C2sStream, mechanism: str) -> Login:
        return Login(
            self.board.context.directory,
            mechanism,
            domain=stream.domain or "",
            peer=self.peer,
            bindings=self.tls.bindings if self.tls is not None else {},
            nonce=secrets.token_urlsafe(18),
        )

    async def _step(self, stream: C2sStream, login: Login, message: bytes | None) -> None:
        self._asked = self.board.hub.wall()
        try:
            answer = await login.step(message)
        except SaslFailure as failure:
            self._login = None
            self._log("stream.refused", mechanism=login.mechanism, condition=failure.condition)
            stream.sasl_failure(failure)
            return
        if isinstance(answer, Challenge):
            stream.sasl_challenge(answer.data)
            return
        self._login = None
        stream.sasl_success(answer.data, answer.account)
        self._log("stream.authenticated", account=str(answer.account), mechanism=login.mechanism)
        self._rearm(stream)

    async def _register(self, stream: C2sStream, frame: Frame) -> None:
        stream.answer(
            await xep_0077_registration.answer(
                self.board.context,
                frame,
                domain=stream.domain or "",
                peer=self.peer,
                stranger=stream.account is None,
                private=stream.secure or self.board.settings.c2s.plain_without_tls,
            )
        )

    def _wait_for(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = self.board.spawn(self._guarded(work))

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work, then go on with the stream where it stopped."""
        try:
            await work
            self._task = None
            if self._stream is not None and not self._ended:
                self._pump(self._stream)
        except Exception as error:  # noqa: BLE001  our mistake; nobody else pays for it
            self._task = None
            self._fail(error)

    def _bind(self, stream: C2sStream, resource: str | None) -> None:
        self.board.hub.bind(self._tie(stream), resource or "")

    def _resume(self, stream: C2sStream, previd: str, h: int) -> None:
        self.board.hub.resumption.resume(self._tie(stream), previd, h)

    def _tie(self, stream: C2sStream) -> Link:
        if self._link is None:
            self._link = self.board.hub.open(str(stream.account), self, self.peer, self._asked)
        return self._link

    def _close_stream(self, stream: C2sStream, error: StreamError | None, *, by_peer: bool) -> None:
        self._send_output(stream)
        self._over = not isinstance(error, BROKEN)
        if error is not None:
            self.board.figures.streams.cell(error.condition).n += 1
        reason = "closed by the client" if by_peer else "closed"
        if error is not None:
            reason = f"{error.condition}: {error.text}" if error.text else error.condition
        self.hang_up(reason)

    # ── time ──

    def _due(self) -> None:
        stream = self._stream
        if stream is None or (self.tls is not None and not self.tls.established):
            self.cut("the TLS handshake took too long")
            return
        stream.tick(self.board.loop.time())
        self._pump(stream)
        if not self._ended:
            self._rearm(stream)

    def _rearm(self, stream: C2sStream) -> None:
        deadline = stream.deadline()
        if deadline is None:
            self._stop_timer()
        else:
            self._set_timer(max(deadline - self.board.loop.time(), 0.01), self._due)
