"""Check the header with which a client opens its stream (RFC 6120 §4.7, §4.8)."""

import re
from collections.abc import Collection
from typing import Final

from aldis.core.xmpp.errors.stanza import JidMalformed
from aldis.core.xmpp.errors.stream import HostUnknown, InvalidFrom, InvalidNamespace, UnsupportedVersion
from aldis.core.xmpp.jid import Jid
from aldis.core.xmpp.namespaces import CLIENT
from aldis.core.xmpp.stream.frames import Header

_VERSION: Final = re.compile(r"0*[1-9][0-9]*\.[0-9]+")
"""1.0 or later; a server answers with the highest that it speaks (RFC 6120 §4.7.5)."""


def named_sender(header: Header) -> Jid | None:
    """Say who the client says it is, as a bare JID; what is no JID at all is nobody."""
    sender = header.attrs.get("from")
    if sender is None:
        return None
    try:
        return Jid.parse(sender).bare
    except JidMalformed:
        return None


def named_domain(header: Header, domains: Collection[str]) -> str:
    """Find the domain that the client wants; raises `HostUnknown` (RFC 6120 §4.9.3.6)."""
    try:
        to = Jid.parse(header.attrs.get("to", ""))
    except JidMalformed:
        raise HostUnknown from None
    if not to.is_domain or to.domain not in domains:
        raise HostUnknown
    return to.domain


def check_opening(header: Header, account: Jid | None) -> None:
    """Refuse what can't become a stream of ours; who the client is counts once it has proved it."""
    if header.content != CLIENT:
        raise InvalidNamespace("clients speak jabber:client")  # RFC 6120 §4.9.3.10
    if not _VERSION.fullmatch(header.attrs.get("version", "0.9")):  # RFC 6120 §4.7.5: none means 0.9
        raise UnsupportedVersion("1.0 is spoken here")  # RFC 6120 §4.9.3.25
    if account is not None and "from" in header.attrs and named_sender(header) != account:
        raise InvalidFrom("that is not who you are")  # RFC 6120 §4.9.3.9
