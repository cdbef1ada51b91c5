"""RFC 4616: the PLAIN mechanism."""

from dataclasses import dataclass, field
from typing import Final

from aldis.core.xmpp.errors.sasl import MalformedRequest

_MAX_AUTHZID: Final = 3071
_MAX_AUTHCID: Final = 1023
_MAX_PASSWORD: Final = 1023


@dataclass(frozen=True, slots=True)
class Plain:
    """What a PLAIN message says."""

    authzid: str | None
    authcid: str
    password: str = field(repr=False)


def parse_plain(message: bytes) -> Plain:
    """Read `[authzid] NUL authcid NUL passwd` (RFC 4616 §2)."""
    parts = message.split(b"\0")
    if len(parts) != 3:
        raise MalformedRequest("a PLAIN message has three parts")
    authzid, authcid, password = parts
    if not authcid or not password:
        raise MalformedRequest("a PLAIN message needs a username and a password")
    if len(authzid) > _MAX_AUTHZID or len(authcid) > _MAX_AUTHCID or len(password) > _MAX_PASSWORD:
        raise MalformedRequest("a part of the PLAIN message is too long")
    try:
        return Plain(authzid.decode() or None, authcid.decode(), password.decode())
    except UnicodeDecodeError:
        raise MalformedRequest("a PLAIN message is UTF-8") from None
