"""The envelope: one stanza as it travels, parsed once at the gateway and never again unless somebody must."""

import hashlib
from enum import IntEnum, IntFlag

import msgspec

from aldis.core.contracts.base import Origin


class Kind(IntEnum):
    """The three stanzas (RFC 6120 §8.2)."""

    MESSAGE = 1
    PRESENCE = 2
    IQ = 3


class Flag(IntFlag):
    """What a router must know of the content without parsing it."""

    BODY = 1
    """A message has a `<body/>`."""
    INITIAL = 2
    """A presence makes the session available that was not: only its gateway can tell when the work is done again."""
    UNADDRESSED = 4
    """The client sent no `to`: the stanza is for the sender's own account (RFC 6120 §10.3)."""
    BAD_TO = 8
    """`to` holds what the client sent and is no JID."""
    SEALED = 16
    """The children are sealed to the directory's key, because they hold a password."""
    COPIED = 32
    """It went to several of the account's sessions at once."""
    TRACED = 64
    """Every process on its way logs it, since an operator follows what its sender sends."""


class Envelope(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A stanza: its attributes as fields, its children as UTF-8 bytes that stand alone relative to the content namespace."""

    kind: int
    """A `Kind`, kept as a plain integer because the hot path compares it."""
    type: str
    """The `type` attribute, empty if there is none."""
    id: str
    sender: str
    """The full JID, or the bare one for what the server sends on the account's behalf; stamped, never the client's word."""
    to: str
    """A normalised JID; empty when each recipient's own address goes here."""
    children: bytes
    names: tuple[str, ...]
    """Clark names, `{namespace}local`, of the direct children in order."""
    origin: Origin
    flags: int = 0
    lang: str = ""
    label: str = ""
    """Digest of the security label; empty if there is none."""
    site: str = ""
    trace: str = ""
    """A W3C traceparent given from outside; empty means the one that `trace_of` derives from the origin."""


def trace_of(envelope: Envelope) -> str:
    """Name the stanza in logs: a traceparent derived from the origin, so that no stanza pays for it until one is logged."""
    if envelope.trace:
        return envelope.trace
    digest = hashlib.blake2b(f"{envelope.origin.session}/{envelope.origin.n}".encode(), digest_size=24).hexdigest()
    return f"00-{digest[:32]}-{digest[32:]}-01"


def told(envelope: Envelope) -> dict[str, str]:
    """What a line about a stanza says of it: never what its sender wrote."""
    kind = Kind(envelope.kind).name.lower()
    return {
        "trace": trace_of(envelope),
        "kind": kind,
        "type": envelope.type,
        "id": envelope.id,
        "sender": envelope.sender,
        "to": envelope.to,
    }
