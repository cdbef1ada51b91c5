"""RFC 6120 §6.3.7 and §6.3.8: whose account a username means, and whom its owner may act as."""

from aldis.core.xmpp.errors.sasl import InvalidAuthzid, NotAuthorized
from aldis.core.xmpp.errors.stanza import JidMalformed
from aldis.core.xmpp.jid import Jid


def account(username: str, domain: str) -> Jid:
    """The bare JID that a simple username means on a domain (RFC 6120 §6.3.7).

    What can't be a localpart fails like a wrong password.
    """
    try:
        return Jid(username, domain)
    except JidMalformed:
        raise NotAuthorized from None


def check_authzid(authzid: str | None, jid: Jid) -> None:
    """Refuse an authorization identity that is not the authenticated bare JID itself (RFC 6120 §6.3.8)."""
    if authzid is None:
        return
    try:
        wanted = Jid.parse(authzid)
    except JidMalformed as error:
        raise InvalidAuthzid(error.text) from None
    if wanted != jid.bare:
        raise InvalidAuthzid("you may act as your own bare JID only")
