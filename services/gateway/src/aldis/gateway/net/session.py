"""A session on a connection: stanzas and XEP-0198 between the bound stream and the hub. The hot path is here."""

from collections import deque
from typing import Final

from aldis.core.contracts.envelope import Envelope, Flag, told
from aldis.core.shards.link import Link
from aldis.core.xmpp.errors.stream import ConnectionTimeout, InternalServerError, StreamError, SystemShutdown
from aldis.core.xmpp.jid import Jid
from aldis.core.xmpp.namespaces import CLIENT
from aldis.core.xmpp.sm import REQUEST, HandledCountTooHigh
from aldis.core.xmpp.stream.frames import Frame
from aldis.core.xmpp.stream.machine import C2sStream
from aldis.core.xmpp.stream.states import State
from aldis.gateway.domain.conditions import Given, stanza_error, stream_error
from aldis.gateway.domain.pace import Pace
from aldis.gateway.domain.stanzas import holds_password, inbound, outbound, sealed
from aldis.gateway.net.board import Board
from aldis.gateway.net.management import Management
from aldis.gateway.net.wire import Hold, Wire

TRACED: Final = int(Flag.TRACED)
REST_AFTER: Final = 10.0
"""Seconds of silence after which a session holds no parser."""
BROKEN: Final = (ConnectionTimeout, InternalServerError, SystemShutdown)
"""Ends of a stream that are not its client's will or fault: the session may go on (XEP-0198 §7)."""


class SessionWire(Wire):
    """What a connection does once its client is in: the hub's Client. How it gets there is its subclass's."""

    __slots__ = ("_given", "_link", "_managed", "_marks", "_on_socket", "_over", "_pace", "_pinged", "_rested", "_stream")

    def __init__(self, board: Board) -> None:
        super().__init__(board, board.next_name())
        self._stream: C2sStream | None = None
        self._link: Link | None = None
        self._managed: Management | None = None
        self._over = False
        """The stream ended as streams do, so its session is over."""
        self._pace = Pace() if board.stanza_seconds or board.byte_seconds else None
        self._rested = self._pinged = 0.0
        self._given = self._on_socket = 0
        self._marks: deque[tuple[int, int]] | None = None
        """While something waits in the transport: bytes in all, and how many stanzas are done when they are on the socket."""

    def _pump(self, stream: C2sStream) -> None:
        """Take the stream's events, and send what it has to say."""

    def broken(self) -> None:
        self.shut(InternalServerError())

    def look_after(self, now: float) -> None:
        """Let a silent session hold nothing that it does not need, and find out whether its client is still there."""
        stream = self._stream
        if stream is None or self._ended or stream.state is not State.BOUND:
            return
        heard = stream.last_heard
        if heard > self._rested and now - heard >= REST_AFTER:
            self._rested = now
            stream.rest()
        if self._managed is not None and not self._managed.look_after(now, self.board.settings.sm.ack_seconds):
            self.shut(ConnectionTimeout("no acknowledgement"))
            return
        idle = self.board.settings.limits.idle_seconds
        if idle and now - max(heard, self._pinged) >= idle:
            self._pinged = now
            self.send(b" ")  # RFC 6120 §4.6.1

    def shut(self, error: StreamError | None) -> None:
        """Close the stream, with an error or in peace."""
        stream = self._stream
        if stream is None or (self.tls is not None and not self.tls.established):
            self.cut(error.condition if error is not None else "closed")
            return
        stream.close(error)
        self._pump(stream)

    def _leave(self, reason: str) -> None:
        """The connection is gone; the session may wait for its client."""
        link = self._link
        jid = None
        if link is not None:
            jid = link.jid or link.account
            if link.jid:
                self.board.figures.sessions.n -= 1
            if self._over or not self.board.hub.resumption.detach(link):
                self.board.hub.end(link)
        self._log("stream.closed", reason=reason, **({"jid": jid} if jid else {}))

    # ── the session: the hub's Client ──

    def stanza(self, stanza: Envelope, to: str) -> None:
        if self._ended:
            return
        try:
            data = outbound(stanza, to)
        except Exception as fault:  # noqa: BLE001  our mistake; nobody else pays for it
            self._fail(fault)
            return
        out = self._out
        if not out:
            self.board.mark(self)
        out.append(data)
        self._given += 1
        self.board.figures.given[stanza.kind].n += 1
        if stanza.flags & TRACED:
            self._log("stanza.hop", hop="to client", **{**told(stanza), "to": to})
        managed = self._managed
        if managed is not None and managed.gives():
            out.append(REQUEST)
            managed.asks()

    def wrote(self, total: int, *, waiting: bool) -> None:
        if waiting:
            if self._marks is None:
                self._marks = deque()
            self._marks.append((total, self._given))
        else:
            self._on_socket = self._given
            self._marks = None

    def on_socket(self) -> int:
        marks = self._marks
        if marks is not None:
            flushed = self.flushed()
            while marks and marks[0][0] <= flushed:
                self._on_socket = marks.popleft()[1]
        return self._on_socket

    def bound(self, jid: str) -> None:
        stream = self._stream
        if stream is None or stream.state is not State.BIND_ASKED:
            return
        self._stop_timer()
        self.board.figures.sessions.n += 1
        try:
            stream.bound(Jid.parse(jid))
            self._log("stream.bound", jid=jid, session=self._link.id if self._link is not None else "")
            self._pump(stream)
        except Exception as fault:  # noqa: BLE001  our mistake; nobody else pays for it
            self._fail(fault)

    def bind_refused(self, error: bytes) -> None:
        stream = self._stream
        if stream is None or stream.state is not State.BIND_ASKED:
            return
        try:
            stream.bind_failed(Given(error))
            self._pump(stream)
        except Exception as fault:  # noqa: BLE001  our mistake; nobody else pays for it
            self._fail(fault)

    def enabled(self, previd: str, seconds: int) -> None:
        if self._managed is not None:
            self._managed.enabled(previd, seconds, self.board.settings.sm.request_stanzas)

    def handled(self) -> None:
        if self._managed is not None:
            self._managed.told()

    def resumed(self, previd: str, h: int) -> None:
        stream, link = self._stream, self._link
        if stream is None or link is None or stream.state is not State.RESUME_ASKED:
            return
        self._stop_timer()
        self.board.figures.sessions.n += 1
        try:
            stream.resumed(Jid.parse(link.jid), previd, h)
            self._manage(link).resumed(self.board.settings.sm.request_stanzas)
            self._log("stream.resumed", jid=link.jid, session=link.id)
            self._pump(stream)
        except Exception as fault:  # noqa: BLE001  our mistake; nobody else pays for it
            self._fail(fault)

    def resume_failed(self, condition: str, h: int | None) -> None:
        stream = self._stream
        if stream is None or stream.state is not State.RESUME_ASKED:
            return
        try:
            stream.resume_failed(stanza_error(condition), h)
            self._pump(stream)
        except Exception as fault:  # noqa: BLE001  our mistake; nobody else pays for it
            self._fail(fault)

    def too_high(self, h: int, sent: int) -> None:
        self.shut(HandledCountTooHigh(h, sent))

    def close(self, condition: str, text: str) -> None:
        try:
            self.shut(stream_error(condition, text))
        except Exception as fault:  # noqa: BLE001  our mistake; nobody else pays for it
            self._fail(fault)

    # ── the hot path ──

    def _publish(self, frames: list[Frame], link: Link) -> None:
        hub = self.board.hub
        taken = self.board.figures.taken
        jid, account = link.jid, link.account
        traced = self.board.traced
        marked = TRACED if traced.accounts and traced.has(account, self.board.loop.time()) else 0
        for frame in frames:
            name = frame.name
            if frame.ns != CLIENT:
                if not self._take_management(frame, link):
                    return
                continue
            flags = marked
            if name == "presence" and "to" not in frame.attrs:
                flags |= int(hub.presence_flags(link, frame.attrs.get("type", "")))
            stanza = inbound(frame, jid, account, hub.origin(link), flags)
            if name == "iq" and holds_password(frame) and (stanza.to == account or stanza.to in self.board.streams.domains):
                stanza = sealed(stanza, self.board.context.directory.seal_payload(account, stanza.children))
            hub.publish(link, stanza)
            taken[name].n += 1
            if marked:
                self._log("stanza.hop", hop="from client", **told(stanza))

    def _take_management(self, frame: Frame, link: Link) -> bool:
        """Handle an element of XEP-0198; False if it ends the stream."""
        try:
            self._manage(link).take(frame)
            self.board.report_soon()
        except StreamError as error:
            self.shut(error)
            return False
        return True

    def _manage(self, link: Link) -> Management:
        if self._managed is None:
            self._managed = Management(self.board.hub, link, self.send, self.board.loop.time)
        return self._managed

    def _keep_pace(self, pace: Pace, stanzas: int, size: int, now: float) -> None:
        """Read no more for a while, if the session has had its share."""
        board = self.board
        wait = pace.spend(stanzas, board.stanza_seconds, size, board.byte_seconds, now)
        if wait:
            self.hold(Hold.PACE)
            board.loop.call_later(wait, self.release, Hold.PACE)

    def _log(self, event: str, **keys: object) -> None:
        self.board.log.info(event, stream=self.name, peer=f"{self.peer}:{self.port}", **keys)
