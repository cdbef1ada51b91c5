"""Stanza errors: raise one and the sender gets it (RFC 6120 §8.3)."""

from enum import StrEnum
from typing import ClassVar

from aldis.core.xmpp.namespaces import STANZA_ERRORS


class ErrorType(StrEnum):
    """What the sender can do about it (RFC 6120 §8.3.2)."""

    AUTH = "auth"
    """Retry after providing credentials."""
    CANCEL = "cancel"
    """Do not retry."""
    CONTINUE = "continue"
    """Proceed; the condition was only a warning."""
    MODIFY = "modify"
    """Retry after changing the data sent."""
    WAIT = "wait"
    """Retry after waiting."""


class StanzaError(Exception):
    """Base of the stanza errors; `text` is shown to the sender, so it names what to mend and no secret."""

    condition: ClassVar[str] = "undefined-condition"
    type: ErrorType = ErrorType.CANCEL
    application: ClassVar[str | None] = None
    """Clark name of an application-specific condition, `{namespace}name` (RFC 6120 §8.3.4)."""

    def __init__(self, text: str = "", *, type: ErrorType | None = None) -> None:  # noqa: A002  the attribute's own name
        super().__init__(text)
        self.text = text
        if type is not None:
            self.type = type

    def to_xml(self) -> bytes:
        """The `<error/>` element, standing alone relative to the content namespace."""
        parts = [f"<error type='{self.type}'><{self.condition} xmlns='{STANZA_ERRORS}'/>"]
        if self.text:
            parts.append(f"<text xmlns='{STANZA_ERRORS}' xml:lang='en'>{escape(self.text)}</text>")
        if self.application is not None:
            namespace, _, name = self.application[1:].partition("}")
            parts.append(f"<{name} xmlns='{namespace}'/>")
        parts.append("</error>")
        return "".join(parts).encode()


def escape(text: str) -> str:
    """Escape character data and attribute values alike."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("'", "&apos;").replace('"', "&quot;")


class BadRequest(StanzaError):
    """The stanza is malformed or lacks what the request needs (RFC 6120 §8.3.3)."""

    condition = "bad-request"
    type = ErrorType.MODIFY


class Conflict(StanzaError):
    """Something with that name or address exists already (RFC 6120 §8.3.3)."""

    condition = "conflict"
    type = ErrorType.CANCEL


class FeatureNotImplemented(StanzaError):
    """The recipient or server does not implement the feature (RFC 6120 §8.3.3)."""

    condition = "feature-not-implemented"
    type = ErrorType.CANCEL


class Forbidden(StanzaError):
    """The sender lacks the permission (RFC 6120 §8.3.3)."""

    condition = "forbidden"
    type = ErrorType.AUTH


class Gone(StanzaError):
    """The recipient can no longer be reached at this address (RFC 6120 §8.3.3)."""

    condition = "gone"
    type = ErrorType.CANCEL


class InternalServerError(StanzaError):
    """The server failed; the fault is ours (RFC 6120 §8.3.3)."""

    condition = "internal-server-error"
    type = ErrorType.CANCEL


class ItemNotFound(StanzaError):
    """The addressed JID or item does not exist (RFC 6120 §8.3.3)."""

    condition = "item-not-found"
    type = ErrorType.CANCEL


class JidMalformed(StanzaError):
    """An address does not adhere to RFC 7622 (RFC 6120 §8.3.3)."""

    condition = "jid-malformed"
    type = ErrorType.MODIFY


class NotAcceptable(StanzaError):
    """The criteria can't be met (RFC 6120 §8.3.3)."""

    condition = "not-acceptable"
    type = ErrorType.MODIFY


class NotAllowed(StanzaError):
    """Nobody may do this here (RFC 6120 §8.3.3)."""

    condition = "not-allowed"
    type = ErrorType.CANCEL


class NotAuthorized(StanzaError):
    """The sender needs to authenticate first (RFC 6120 §8.3.3)."""

    condition = "not-authorized"
    type = ErrorType.AUTH


class PolicyViolation(StanzaError):
    """A local policy was violated, such as a size limit (RFC 6120 §8.3.3)."""

    condition = "policy-violation"
    type = ErrorType.MODIFY


class RecipientUnavailable(StanzaError):
    """The recipient is temporarily unavailable (RFC 6120 §8.3.3)."""

    condition = "recipient-unavailable"
    type = ErrorType.WAIT


class Redirect(StanzaError):
    """The recipient redirects to another address (RFC 6120 §8.3.3)."""

    condition = "redirect"
    type = ErrorType.MODIFY


class RegistrationRequired(StanzaError):
    """Registration is needed first (RFC 6120 §8.3.3)."""

    condition = "registration-required"
    type = ErrorType.AUTH


class RemoteServerNotFound(StanzaError):
    """The remote domain does not exist or can't be resolved (RFC 6120 §8.3.3)."""

    condition = "remote-server-not-found"
    type = ErrorType.CANCEL


class RemoteServerTimeout(StanzaError):
    """The remote server or service did not answer in time (RFC 6120 §8.3.3)."""

    condition = "remote-server-timeout"
    type = ErrorType.WAIT


class ResourceConstraint(StanzaError):
    """The server lacks the resources just now (RFC 6120 §8.3.3)."""

    condition = "resource-constraint"
    type = ErrorType.WAIT


class ServiceUnavailable(StanzaError):
    """The service is not provided here, or this is not to be told (RFC 6120 §8.3.3)."""

    condition = "service-unavailable"
    type = ErrorType.CANCEL


class SubscriptionRequired(StanzaError):
    """A subscription is needed first (RFC 6120 §8.3.3)."""

    condition = "subscription-required"
    type = ErrorType.AUTH


class UndefinedCondition(StanzaError):
    """None of the others; goes with an application condition (RFC 6120 §8.3.3)."""

    condition = "undefined-condition"
    type = ErrorType.CANCEL


class UnexpectedRequest(StanzaError):
    """The request was out of order (RFC 6120 §8.3.3)."""

    condition = "unexpected-request"
    type = ErrorType.WAIT
