"""What a refusal looks like to who asked; of a fault of ours he learns that it was ours, and no more."""

from typing import Final

from aldis.core.contracts.accounts import AccountResult, AuthRefused
from aldis.core.contracts.services import IqResult
from aldis.core.seal import SealError, StaleKey
from aldis.core.storage import StorageUnavailable
from aldis.core.xmpp.errors import SaslFailure, StanzaError
from aldis.core.xmpp.errors.sasl import MalformedRequest, TemporaryAuthFailure
from aldis.core.xmpp.errors.stanza import (
    BadRequest,
    InternalServerError,
    NotAcceptable,
    NotAllowed,
    RegistrationRequired,
    ResourceConstraint,
    ServiceUnavailable,
    UnexpectedRequest,
)

_UNSEALED: Final = "the password was not sealed for this request"

_CODES: Final[dict[str, int]] = {
    BadRequest.condition: 400,
    UnexpectedRequest.condition: 400,
    NotAllowed.condition: 405,
    NotAcceptable.condition: 406,
    RegistrationRequired.condition: 407,
    ServiceUnavailable.condition: 503,
}
"""Codes from before there were conditions, which `jabber:iq:register` still has to carry (XEP-0077 §9, XEP-0086); 500 else."""


def of_login(error: Exception) -> AuthRefused:
    """Refuse to let somebody in."""
    if isinstance(error, StaleKey):
        return AuthRefused(condition=TemporaryAuthFailure.condition, stale_key=True)
    if isinstance(error, SealError):
        return AuthRefused(condition=MalformedRequest.condition, text=_UNSEALED)
    if isinstance(error, SaslFailure):
        return AuthRefused(condition=error.condition, text=error.text)
    return AuthRefused(condition=TemporaryAuthFailure.condition, text="accounts can't be looked up just now; try again later")


def of_command(error: Exception) -> AccountResult:
    """Refuse to do something to an account."""
    if isinstance(error, StaleKey):
        return AccountResult(error=UnexpectedRequest.condition, text="sealed to another key than the present one", stale_key=True)
    if isinstance(error, SealError):
        return AccountResult(error=BadRequest.condition, text=_UNSEALED)
    refusal = _stanza_error(error)
    return AccountResult(error=refusal.condition, text=refusal.text)


def of_iq(error: Exception) -> IqResult:
    """Refuse an IQ, without what it held, for that may be a password (XEP-0077 §3.3)."""
    refusal = _stanza_error(error)
    code = _CODES.get(refusal.condition, 500)
    return IqResult(error=refusal.to_xml().replace(b"<error ", b"<error code='%d' " % code, 1))


def _stanza_error(error: Exception) -> StanzaError:
    if isinstance(error, StanzaError):
        return error
    if isinstance(error, StorageUnavailable):
        return ResourceConstraint("accounts can't be changed or looked up just now; try again later")
    return InternalServerError()
