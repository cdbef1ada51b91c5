"""The client's side of SASL on a c2s stream: what its elements ask for, and how often it may fail (RFC 6120 §6)."""

from aldis.core.xmpp.errors.sasl import Aborted, EncryptionRequired, InvalidMechanism, MalformedRequest
from aldis.core.xmpp.errors.stream import UnsupportedStanzaType
from aldis.core.xmpp.sasl import initial_response, response
from aldis.core.xmpp.stream.events import SaslResponse, SaslStarted
from aldis.core.xmpp.stream.frames import Frame
from aldis.core.xmpp.stream.states import State, Step


class SaslNegotiation:
    """One stream's logins."""

    __slots__ = ("_failures", "_most", "last", "offered")

    def __init__(self, most: int) -> None:
        """`most` failures end the stream; 0 is any number."""
        self._most = most
        self._failures = 0
        self.offered: tuple[str, ...] = ()
        """The mechanisms that a client may choose."""
        self.last: Frame | None = None
        """The client's last message: behind it a new stream begins if it was the one that lets it in."""

    def read(self, frame: Frame, state: State, *, clear: bool) -> tuple[Step, SaslStarted | SaslResponse]:
        """Say what an element of the client's does; `clear` if TLS has to be on first and is not. Raises `SaslFailure`."""
        if frame.name == "auth":
            answer: tuple[Step, SaslStarted | SaslResponse] = Step.AUTH, self._auth(frame, state, clear=clear)
        elif frame.name == "response":
            if state is not State.SASL_CHALLENGED:
                raise MalformedRequest("there is no challenge to respond to")
            answer = Step.RESPONSE, SaslResponse(response(frame.text))
        elif frame.name == "abort":
            raise Aborted  # RFC 6120 §6.4.4
        else:
            raise UnsupportedStanzaType
        self.last = frame
        return answer

    def _auth(self, frame: Frame, state: State, *, clear: bool) -> SaslStarted:
        if state is not State.OPEN:
            raise MalformedRequest("one exchange at a time")
        if clear:
            raise EncryptionRequired("use STARTTLS first")  # RFC 6120 §6.5.4
        mechanism = frame.attrs.get("mechanism", "")
        if mechanism not in self.offered:
            raise InvalidMechanism  # RFC 6120 §6.5.7
        return SaslStarted(mechanism, initial_response(frame.text))

    def failed(self) -> bool:
        """Count a failure; was it one too many (RFC 6120 §6.4.5)?"""
        self._failures += 1
        return 0 < self._most <= self._failures
