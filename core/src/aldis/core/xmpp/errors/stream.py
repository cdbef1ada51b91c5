"""Stream errors: raise one and the stream is closed with it (RFC 6120 §4.9)."""

from typing import ClassVar

from aldis.core.xmpp.errors.stanza import escape
from aldis.core.xmpp.namespaces import STREAM_ERRORS


class StreamError(Exception):
    """Base of the stream errors; unrecoverable, so the stream closes after it (RFC 6120 §4.9.1.1)."""

    condition: ClassVar[str] = "undefined-condition"

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.text = text

    def to_xml(self) -> bytes:
        """The `<stream:error/>` element."""
        text = f"<text xmlns='{STREAM_ERRORS}' xml:lang='en'>{escape(self.text)}</text>" if self.text else ""
        return f"<stream:error><{self.condition} xmlns='{STREAM_ERRORS}'/>{text}</stream:error>".encode()


class BadFormat(StreamError):
    """XML that can't be processed (RFC 6120 §4.9.3)."""

    condition = "bad-format"


class BadNamespacePrefix(StreamError):
    """An unsupported prefix or none where one is needed (RFC 6120 §4.9.3)."""

    condition = "bad-namespace-prefix"


class Conflict(StreamError):
    """A newer stream took this one's place (RFC 6120 §4.9.3)."""

    condition = "conflict"


class ConnectionTimeout(StreamError):
    """The peer fell silent or did not finish in time (RFC 6120 §4.9.3)."""

    condition = "connection-timeout"


class HostGone(StreamError):
    """The domain is no longer served here (RFC 6120 §4.9.3)."""

    condition = "host-gone"


class HostUnknown(StreamError):
    """The domain is not served here (RFC 6120 §4.9.3)."""

    condition = "host-unknown"


class ImproperAddressing(StreamError):
    """A `to` or `from` is missing where one is needed (RFC 6120 §4.9.3)."""

    condition = "improper-addressing"


class InternalServerError(StreamError):
    """The server failed; the fault is ours (RFC 6120 §4.9.3)."""

    condition = "internal-server-error"


class InvalidFrom(StreamError):
    """A `from` that does not match the authorized address (RFC 6120 §4.9.3)."""

    condition = "invalid-from"


class InvalidNamespace(StreamError):
    """The stream or content namespace is not one that is served (RFC 6120 §4.9.3)."""

    condition = "invalid-namespace"


class InvalidXml(StreamError):
    """XML that validation refuses (RFC 6120 §4.9.3)."""

    condition = "invalid-xml"


class NotAuthorized(StreamError):
    """Stanzas before authentication, or authentication taken back (RFC 6120 §4.9.3)."""

    condition = "not-authorized"


class NotWellFormed(StreamError):
    """XML that is not well-formed, or not namespace-well-formed (RFC 6120 §4.9.3)."""

    condition = "not-well-formed"


class PolicyViolation(StreamError):
    """A local policy was violated, such as a limit (RFC 6120 §4.9.3)."""

    condition = "policy-violation"


class RemoteConnectionFailed(StreamError):
    """A remote entity needed for the stream can't be reached (RFC 6120 §4.9.3)."""

    condition = "remote-connection-failed"


class Reset(StreamError):
    """Security-critical features were changed: negotiate again (RFC 6120 §4.9.3)."""

    condition = "reset"


class ResourceConstraint(StreamError):
    """The server lacks the resources just now (RFC 6120 §4.9.3)."""

    condition = "resource-constraint"


class RestrictedXml(StreamError):
    """Comments, processing instructions, DTD parts or entity references (RFC 6120 §4.9.3)."""

    condition = "restricted-xml"


class SeeOtherHost(StreamError):
    """The stream is to be opened elsewhere (RFC 6120 §4.9.3)."""

    condition = "see-other-host"


class SystemShutdown(StreamError):
    """The server goes down (RFC 6120 §4.9.3)."""

    condition = "system-shutdown"


class UndefinedCondition(StreamError):
    """None of the others (RFC 6120 §4.9.3)."""

    condition = "undefined-condition"


class UnsupportedEncoding(StreamError):
    """An encoding other than UTF-8 (RFC 6120 §4.9.3)."""

    condition = "unsupported-encoding"


class UnsupportedFeature(StreamError):
    """A mandatory feature that the peer does not support (RFC 6120 §4.9.3)."""

    condition = "unsupported-feature"


class UnsupportedStanzaType(StreamError):
    """A first-level element that is none that is known (RFC 6120 §4.9.3)."""

    condition = "unsupported-stanza-type"


class UnsupportedVersion(StreamError):
    """A version of XMPP that is not served (RFC 6120 §4.9.3)."""

    condition = "unsupported-version"
