"""SASL failures: raise one and the client gets `<failure/>` (RFC 6120 §6.5)."""

from typing import ClassVar

from aldis.core.xmpp.errors.stanza import escape
from aldis.core.xmpp.namespaces import SASL


class SaslFailure(Exception):
    """Base of the SASL failures; the text says what to mend and never whether an account exists."""

    condition: ClassVar[str] = "not-authorized"

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.text = text

    def to_xml(self) -> bytes:
        """The `<failure/>` element."""
        text = f"<text xml:lang='en'>{escape(self.text)}</text>" if self.text else ""
        return f"<failure xmlns='{SASL}'><{self.condition}/>{text}</failure>".encode()


class Aborted(SaslFailure):
    """The client sent `<abort/>` (RFC 6120 §6.5)."""

    condition = "aborted"


class AccountDisabled(SaslFailure):
    """The account is disabled for now (RFC 6120 §6.5)."""

    condition = "account-disabled"


class CredentialsExpired(SaslFailure):
    """The credentials are too old (RFC 6120 §6.5)."""

    condition = "credentials-expired"


class EncryptionRequired(SaslFailure):
    """The mechanism needs TLS first (RFC 6120 §6.5)."""

    condition = "encryption-required"


class IncorrectEncoding(SaslFailure):
    """The data is not valid base64 (RFC 6120 §6.5)."""

    condition = "incorrect-encoding"


class InvalidAuthzid(SaslFailure):
    """The authorization identity is not allowed or malformed (RFC 6120 §6.5)."""

    condition = "invalid-authzid"


class InvalidMechanism(SaslFailure):
    """The mechanism was not offered (RFC 6120 §6.5)."""

    condition = "invalid-mechanism"


class MalformedRequest(SaslFailure):
    """The request does not fit the mechanism (RFC 6120 §6.5)."""

    condition = "malformed-request"


class MechanismTooWeak(SaslFailure):
    """The mechanism is weaker than policy allows for this account (RFC 6120 §6.5)."""

    condition = "mechanism-too-weak"


class NotAuthorized(SaslFailure):
    """The credentials are wrong (RFC 6120 §6.5)."""

    condition = "not-authorized"


class TemporaryAuthFailure(SaslFailure):
    """Authentication can't be done just now; try again later (RFC 6120 §6.5)."""

    condition = "temporary-auth-failure"
