"""The server's side of a c2s stream, without I/O (RFC 6120 §4 to §7).

frames = stream.receive(data, now)                   # once bound, this is all there is to do
while (event := stream.next_event()) is not None:    # StreamOpened, TlsRequested, SaslStarted …: ask, then answer by a command
    …
transport.write(stream.take_output())
"""

from typing import Final, cast

from aldis.core.xmpp.errors.sasl import SaslFailure
from aldis.core.xmpp.errors.stanza import BadRequest, JidMalformed, StanzaError, UnexpectedRequest
from aldis.core.xmpp.errors.stream import (
    ConnectionTimeout,
    HostUnknown,
    InvalidFrom,
    InvalidNamespace,
    NotAuthorized,
    PolicyViolation,
    StreamError,
    UnsupportedStanzaType,
)
from aldis.core.xmpp.jid import Jid
from aldis.core.xmpp.namespaces import BIND, CLIENT, SASL, TLS
from aldis.core.xmpp.sm import NAMES as MANAGEMENT
from aldis.core.xmpp.sm import NS as SM
from aldis.core.xmpp.sm import elements as sm
from aldis.core.xmpp.stream import features
from aldis.core.xmpp.stream.binding import wanted_resource
from aldis.core.xmpp.stream.events import (
    BindRequested,
    Event,
    PreBindIq,
    ResumeRequested,
    SaslAborted,
    StanzaReceived,
    StreamClosed,
    StreamOpened,
    TlsRequested,
)
from aldis.core.xmpp.stream.framer import Framer
from aldis.core.xmpp.stream.frames import Event as Part
from aldis.core.xmpp.stream.frames import Frame, Header
from aldis.core.xmpp.stream.negotiation import SaslNegotiation
from aldis.core.xmpp.stream.opening import check_opening, named_domain, named_sender
from aldis.core.xmpp.stream.settings import C2sSettings
from aldis.core.xmpp.stream.states import TRANSITIONS, UNAUTHENTICATED, WAITING, State, Step

_KINDS: Final = frozenset({"message", "presence", "iq"})
_BIND: Final = (f"{{{BIND}}}bind",)


class C2sStream:
    """Bytes and commands in, frames, events and bytes out.

    A command that the state does not allow raises `ValueError`, but after the end all are ignored: the answer of a service
    may have been on its way.
    """

    __slots__ = (
        "_account", "_bare", "_began", "_bind_id", "_bindings", "_domain", "_events", "_framer", "_full", "_greeted", "_heard",
        "_held", "_jid", "_out", "_parts", "_sasl", "_secure", "_settings", "_state",
    )  # fmt: skip

    def __init__(self, settings: C2sSettings, *, now: float, tls: bool = False, bindings: tuple[str, ...] = ()) -> None:
        """`tls` if the connection began with TLS (XEP-0368); `bindings` are its types of channel binding."""
        self._settings = settings
        self._framer = Framer(settings.limits_before)
        self._state = State.CONNECTED
        self._secure = tls
        self._bindings = bindings
        self._sasl = SaslNegotiation(settings.sasl_failures)
        self._domain: str | None = None
        self._account: Jid | None = None
        self._jid: Jid | None = None
        self._bare = self._full = ""
        self._bind_id = ""
        self._greeted = False
        self._held = bytearray()
        self._parts: list[Part] = []  # the next one last
        self._events: list[Event] = []
        self._out: list[bytes] = []
        self._began = self._heard = now

    # ── for the shell to look at ──

    @property
    def state(self) -> State:
        """Who is to do what next."""
        return self._state

    @property
    def secure(self) -> bool:
        """Whether TLS is on."""
        return self._secure

    @property
    def domain(self) -> str | None:
        """The domain that the client asked for, once known."""
        return self._domain

    @property
    def account(self) -> Jid | None:
        """Who the client proved to be, as a bare JID."""
        return self._account

    @property
    def jid(self) -> Jid | None:
        """The full JID, once bound."""
        return self._jid

    @property
    def last_heard(self) -> float:
        """When the last bytes came."""
        return self._heard

    # ── bytes ──

    def receive(self, data: bytes, now: float) -> list[Frame]:
        """Take bytes of the client's; once bound, return what they complete of stanzas and XEP-0198. Look for events after."""
        self._heard = now
        if self._state is State.BOUND and not self._parts and not self._held:
            return self._bound_frames(self._framer.feed(data))
        if self._state is State.TLS_ASKED or self._state is State.TLS_HANDSHAKE or self._state is State.CLOSED:
            return []  # RFC 6120 §5.4.3.3: nothing said in clear counts once TLS was asked for
        limit = self._framer.limits.stanza_bytes
        if limit and len(self._held) + len(data) > limit and self._held:
            self.close(PolicyViolation("too much at once"))
            return []
        self._held += data
        return []

    def next_event(self) -> Event | None:
        """Return what happened next, or None if it is the shell's or the client's turn."""
        while not self._events:
            if self._state is State.CLOSED or self._state in WAITING:
                return None
            try:
                if self._parts:
                    self._take(self._parts.pop())
                elif self._framer.error is not None:
                    self.close(self._framer.error)
                elif self._held:
                    data, self._held = bytes(self._held), bytearray()
                    self._parts = self._framer.feed(data)[::-1]
                else:
                    return None
            except StreamError as error:
                self.close(error)
        return self._events.pop(0)

    def take_output(self) -> bytes:
        """Return the bytes to send to the client."""
        output = b"".join(self._out)
        self._out.clear()
        return output

    def rest(self) -> None:
        """Let go of parser and buffers, for sessions that fall silent."""
        if self._state not in WAITING:  # what was sent ahead of an answer is still wanted
            self._framer.rest()

    # ── time ──

    def deadline(self) -> float | None:
        """Say when `tick` has something to do."""
        if self._state is State.CLOSED:
            return None
        if self._state in UNAUTHENTICATED:
            since, seconds = self._began, self._settings.authenticate_seconds
        elif self._state is State.BOUND:
            since, seconds = self._heard, self._settings.silence_seconds
        else:
            since, seconds = self._began, self._settings.bind_seconds
        return since + seconds if seconds else None

    def tick(self, now: float) -> None:
        """Close the stream if its time is over (RFC 6120 §4.9.3.4)."""
        deadline = self.deadline()
        if deadline is not None and now >= deadline:
            self.close(ConnectionTimeout())

    # ── commands ──

    def close(self, error: StreamError | None = None) -> None:
        """End the stream, with an error or in peace (RFC 6120 §4.4, §4.9)."""
        self._end(error, by_peer=False)

    def answer(self, data: bytes) -> None:
        """Send XML of the shell's own."""
        if self._state is not State.CLOSED:
            self._out.append(data)

    def starttls_proceed(self) -> None:
        """Let TLS begin; everything received so far is forgotten (RFC 6120 §5.4.2.3, §5.4.3.3)."""
        if self._step(Step.PROCEED):
            self._framer.reset()
            self._parts.clear()
            self._held.clear()
            self._out.append(features.PROCEED)

    def starttls_failure(self) -> None:
        """Refuse TLS, which ends the stream (RFC 6120 §5.4.2.2)."""
        if self._state is not State.CLOSED:
            self._out.append(features.TLS_FAILURE)
            self.close()

    def tls_established(self, bindings: tuple[str, ...] = ()) -> None:
        """Go on inside TLS, which has these types of channel binding; the client opens the stream anew."""
        if self._step(Step.TLS_ESTABLISHED):
            self._secure = True
            self._greeted = False
            self._bindings = bindings

    def sasl_challenge(self, data: bytes) -> None:
        """Send a challenge (RFC 6120 §6.4.3)."""
        if self._step(Step.CHALLENGE):
            self._out.append(features.challenge(data))

    def sasl_success(self, data: bytes | None, account: Jid) -> None:
        """Let the client in; it opens the stream anew, perhaps in bytes that are here already (RFC 6120 §6.4.6)."""
        if self._step(Step.SUCCESS):
            self._account = account.bare
            self._began = self._heard
            self._greeted = False
            self._out.append(features.success(data))
            self._framer.limits = self._settings.limits
            if self._sasl.last is not None:
                self._parts = self._framer.restart(after=self._sasl.last)[::-1]
                self._sasl.last = None

    def sasl_failure(self, failure: SaslFailure) -> None:
        """Refuse; after some failures the stream ends (RFC 6120 §6.4.5)."""
        if self._step(Step.FAILURE):
            self._refuse(failure)

    def bound(self, jid: Jid) -> None:
        """Give the client its full JID; stanzas may flow (RFC 6120 §7.6.1)."""
        if self._step(Step.BOUND):
            self._name(jid)
            self._out.append(features.bound(self._bind_id, self._full))

    def bind_failed(self, error: StanzaError) -> None:
        """Refuse the resource; the client may ask for another one (RFC 6120 §7.6.2, §7.7.2)."""
        if self._step(Step.BIND_FAILED):
            self._out.append(features.iq_error(self._bind_id, error))

    def resumed(self, jid: Jid, previd: str, h: int) -> None:
        """Go on with a former stream, whose full JID this was (XEP-0198 §5)."""
        if self._step(Step.RESUMED):
            self._name(jid)
            self._out.append(sm.resumed(previd, h))

    def resume_failed(self, error: StanzaError, h: int | None = None) -> None:
        """Refuse to go on with a former stream; the client may bind a resource instead (XEP-0198 §5)."""
        if self._step(Step.RESUME_FAILED):
            self._out.append(sm.failed(error, h))

    # ── inside ──

    def _name(self, jid: Jid) -> None:
        self._jid = jid
        self._full, self._bare = str(jid), str(jid.bare)

    def _step(self, step: Step) -> bool:
        """Make a step of the shell's; after the end there are none."""
        if self._state is State.CLOSED:
            return False
        following = TRANSITIONS[self._state].get(step)
        if following is None:
            raise ValueError(f"a stream at {self._state.name} can't take the step {step.name}")
        self._state = following
        return True

    def _may(self, step: Step) -> bool:
        """Make a step of the client's, if it is one."""
        following = TRANSITIONS[self._state].get(step)
        if following is None:
            return False
        self._state = following
        return True

    def _end(self, error: StreamError | None, *, by_peer: bool) -> None:
        if self._state is State.CLOSED:
            return
        if self._state is not State.TLS_HANDSHAKE:  # no XML can be said now
            if not self._greeted:  # RFC 6120 §4.9.1.2: an error needs a stream to stand in
                self._greet(None)
            if error is not None:
                self._out.append(error.to_xml())
            self._out.append(features.FOOTER)
        self._state = State.CLOSED
        self._framer.reset()
        self._parts.clear()
        self._held.clear()
        self._sasl.last = None
        self._events.append(StreamClosed(error, by_peer))

    def _greet(self, header: Header | None) -> None:
        sender = named_sender(header) if header is not None else None
        domain = self._domain or self._settings.domains[0]
        self._out.append(features.header(domain, self._settings.stream_id(), str(sender) if sender is not None else None))
        self._greeted = True

    def _take(self, part: Part) -> None:
        """Handle what the framer found."""
        if isinstance(part, Frame):
            self._element(part)
        elif isinstance(part, Header):
            self._opened(part)
        else:
            self._end(None, by_peer=True)

    def _opened(self, header: Header) -> None:
        first = self._domain is None
        try:
            domain = named_domain(header, self._settings.domains)
        except HostUnknown:
            self._greet(header)
            raise
        self._domain = self._domain or domain
        self._greet(header)
        if domain != self._domain:
            raise HostUnknown("a stream keeps its domain")
        check_opening(header, self._account)
        self._may(Step.HEADER)
        self._out.append(self._features(domain))
        self._events.append(StreamOpened(domain, header.attrs.get("xml:lang"), first))

    def _features(self, domain: str) -> bytes:
        settings = self._settings
        extra = settings.extra_features(domain, self._secure, self._account is not None)
        if self._account is not None:
            return features.features(features.bind(), extra)
        offer: list[bytes] = []
        if settings.starttls and not self._secure:
            offer.append(features.starttls(required=settings.require_tls))
            if settings.require_tls:  # RFC 6120 §5.3.1: then nothing else is offered
                return features.features(*offer)
        self._sasl.offered = tuple(settings.mechanisms(domain, self._secure, self._bindings))
        return features.features(*offer, features.mechanisms(self._sasl.offered, self._bindings), extra)

    def _element(self, frame: Frame) -> None:
        """Handle a first-level element while the stream is negotiated, or just after."""
        if frame.ns == CLIENT and frame.name in _KINDS:
            self._stanza(frame)
        elif frame.ns == TLS and frame.name == "starttls":
            self._starttls()
        elif frame.ns == SASL and self._account is None:
            self._login(frame)
        elif frame.ns == SM and frame.name in MANAGEMENT:
            self._manage(frame)
        elif frame.name in _KINDS:
            raise InvalidNamespace("stanzas are in jabber:client")  # RFC 6120 §4.9.3.10
        else:
            raise UnsupportedStanzaType  # RFC 6120 §4.9.3.24

    def _starttls(self) -> None:
        if self._settings.starttls and not self._secure and self._may(Step.STARTTLS):
            self._events.append(TlsRequested())
        else:
            self.starttls_failure()  # RFC 6120 §5.4.2.2: it was not offered

    def _login(self, frame: Frame) -> None:
        """Hand a SASL message to the shell, or refuse it."""
        try:
            step, event = self._sasl.read(frame, self._state, clear=self._settings.require_tls and not self._secure)
        except SaslFailure as failure:
            if self._may(Step.ABORT):
                self._events.append(SaslAborted())
            self._refuse(failure)
        else:
            self._may(step)
            self._events.append(event)

    def _refuse(self, failure: SaslFailure) -> None:
        self._out.append(failure.to_xml())
        if self._sasl.failed():
            self.close(PolicyViolation("too many failed logins"))  # RFC 6120 §6.4.5

    def _stanza(self, frame: Frame) -> None:
        """Handle a stanza outside the fast path."""
        if self._may(Step.STANZA):
            self._check_sender(frame)
            self._events.append(StanzaReceived(frame))
        elif frame.name == "iq" and self._state is State.BINDABLE and frame.names == _BIND:
            self._bind(frame)
        elif frame.name == "iq" and len(frame.names) == 1 and frame.names[0] in self._settings.early_iqs and self._early():
            self._events.append(PreBindIq(frame))
        else:
            raise NotAuthorized  # RFC 6120 §4.9.3.12, §7.1

    def _early(self) -> bool:
        """Tell if this is a time for IQs before binding; never in clear where TLS is required."""
        return self._state is State.BINDABLE or (self._state is State.OPEN and (self._secure or not self._settings.require_tls))

    def _bind(self, frame: Frame) -> None:
        iq = frame.attrs.get("id", "")
        try:
            if frame.attrs.get("type") != "set" or not iq:  # RFC 6120 §8.2.3
                raise BadRequest("binding is an IQ of type set with an id")
            resource = wanted_resource(frame.children)
        except StanzaError as error:
            self._out.append(features.iq_error(iq, error))
            return
        self._bind_id = iq
        self._may(Step.BIND)
        self._events.append(BindRequested(resource))

    def _manage(self, frame: Frame) -> None:
        """Handle an element of XEP-0198 outside the fast path: before a resource is bound, only a former stream can go on (§3, §5)."""
        if self._may(Step.STANZA):
            self._events.append(StanzaReceived(frame))
        elif frame.name == "resume" and self._state is State.BINDABLE:
            try:
                previd, h = sm.resumption(frame.attrs)
            except StanzaError as error:
                self._out.append(sm.failed(error))
                return
            self._may(Step.RESUME)
            self._events.append(ResumeRequested(previd, h))
        else:
            self._out.append(sm.failed(UnexpectedRequest()))

    def _bound_frames(self, parts: list[Part]) -> list[Frame]:
        """Let stanzas and XEP-0198 pass; whatever else comes ends the stream, after what preceded it."""
        full, bare = self._full, self._bare
        good = 0
        try:
            for part in parts:
                if type(part) is not Frame or part.ns != CLIENT or part.name not in _KINDS:
                    if type(part) is Frame and part.ns == SM and part.name in MANAGEMENT:
                        good += 1
                        continue
                    self._take(part)  # raises, or was the end
                    return cast("list[Frame]", parts[:good])
                sender = part.attrs.get("from")
                if sender is not None and sender not in (full, bare):
                    self._check_sender(part)
                good += 1
            if self._framer.error is not None:
                self.close(self._framer.error)
        except StreamError as error:
            self.close(error)
        return cast("list[Frame]", parts if good == len(parts) else parts[:good])

    def _check_sender(self, frame: Frame) -> None:
        """Refuse a forged `from` (RFC 6120 §8.1.2.1)."""
        sender = frame.attrs.get("from")
        if sender is None:
            return
        try:
            jid = Jid.parse(sender)
        except JidMalformed:
            raise InvalidFrom from None
        if jid not in (self._jid, self._account):
            raise InvalidFrom
