"""What a c2s stream tells its shell, one at a time, so that the shell can act in between."""

from dataclasses import dataclass, field

from aldis.core.xmpp.errors.stream import StreamError
from aldis.core.xmpp.stream.frames import Frame


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The client opened its stream, or opened it anew; header and features are answered already."""

    domain: str
    lang: str | None
    first: bool


@dataclass(frozen=True, slots=True)
class TlsRequested:
    """Answer with `starttls_proceed` or `starttls_failure` (RFC 6120 §5.4.2)."""


@dataclass(frozen=True, slots=True)
class SaslStarted:
    """Answer with `sasl_challenge`, `sasl_success` or `sasl_failure`; the mechanism was offered (RFC 6120 §6.4.2)."""

    mechanism: str
    initial: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class SaslResponse:
    """Answer as `SaslStarted` (RFC 6120 §6.4.3)."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SaslAborted:
    """Forget the exchange; the client has its answer (RFC 6120 §6.4.4)."""


@dataclass(frozen=True, slots=True)
class BindRequested:
    """Answer with `bound` or `bind_failed`; without a resource the server makes one up (RFC 6120 §7.6, §7.7)."""

    resource: str | None


@dataclass(frozen=True, slots=True)
class ResumeRequested:
    """Answer with `resumed` or `resume_failed`; `h` is what the client has of the former stream (XEP-0198 §5)."""

    previd: str
    h: int


@dataclass(frozen=True, slots=True)
class PreBindIq:
    """An IQ that is allowed before a resource is bound; the answer goes through `answer`."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class StanzaReceived:
    """A stanza, or an element of XEP-0198, that came in one chunk with what preceded binding; later ones come out of `receive`."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class StreamClosed:
    """The end; write what is left to write and close the connection."""

    error: StreamError | None
    by_peer: bool


Event = (
    StreamOpened
    | TlsRequested
    | SaslStarted
    | SaslResponse
    | SaslAborted
    | BindRequested
    | ResumeRequested
    | PreBindIq
    | StanzaReceived
    | StreamClosed
)
