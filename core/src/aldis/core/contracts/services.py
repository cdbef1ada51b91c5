"""What services tell all others: what they offer, and IQs that one service handles for another."""

from aldis.core.contracts.base import Message
from aldis.core.contracts.envelope import Envelope


class Announce(Message, frozen=True, kw_only=True, tag="announce"):
    """A service is there: its features go into the domains' disco, IQs with these payloads go to its queue."""

    service: str
    queue: str
    features: tuple[str, ...] = ()
    """disco#info features of the domain (XEP-0030 §3)."""
    identities: tuple[tuple[str, str, str], ...] = ()
    """(category, type, name)."""
    iqs: tuple[str, ...] = ()
    """Clark names of payloads to a domain or an own account that this service answers."""


class WhoIsThere(Message, frozen=True, kw_only=True, tag="who?"):
    """Announce yourself again: somebody new has started."""


class IqRequest(Message, frozen=True, kw_only=True, tag="iq?"):
    """An IQ for the service that announced its payload."""

    stanza: Envelope


class IqResult(Message, frozen=True, kw_only=True, tag="iq"):
    """`payload` goes into the result; `error`, a whole `<error/>` element, makes it an error instead."""

    payload: bytes = b""
    error: bytes = b""
