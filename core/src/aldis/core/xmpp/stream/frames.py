"""What the framer cuts a stream into: header, first-level elements, footer (RFC 6120 §4.2, §4.4, §8)."""

from dataclasses import dataclass
from typing import Final

import msgspec


@dataclass(frozen=True, slots=True)
class FramerLimits:
    """What a peer may send before the stream is closed with policy-violation; 0 means unlimited.

    Lengths are in bytes of UTF-8, depth is counted from the first-level element as 1. A limit is noticed while the bytes
    come in, so no more than the limit and one piece of 16 KiB is ever held (RFC 6120 §13.12).
    """

    stanza_bytes: int = 256 * 1024
    """A whole first-level element, and the stream header."""
    tag_bytes: int = 16 * 1024
    """An unfinished tag or other token; the parser reads it again with each piece, so this bounds work as well as memory."""
    depth: int = 64
    attributes: int = 64
    """Attributes of one element, namespace declarations not counted."""
    attribute_bytes: int = 8 * 1024
    name_bytes: int = 1024
    """Expanded name, namespace included, of a direct child: names are kept whole, and a prefix makes a long one cheap to send."""
    namespaces: int = 512
    """Namespace declarations in one first-level element."""
    children: int = 256
    """Direct children of one first-level element."""


BEFORE_AUTHENTICATION: Final = FramerLimits(stanza_bytes=16 * 1024, tag_bytes=8 * 1024, depth=16, attributes=32, namespaces=64, children=32)
"""What a stranger may send: enough for a header, a SASL exchange and a registration form."""

AFTER_AUTHENTICATION: Final = FramerLimits()


class Header(msgspec.Struct, frozen=True):
    """The opening tag of a stream."""

    attrs: dict[str, str]
    """Attributes in no namespace by local name, and `xml:lang` under that key."""
    content: str
    """The content namespace; empty if none is declared (RFC 6120 §4.8.2)."""
    namespaces: dict[str, str]
    """Declared prefixes with their namespaces; the default one under the empty string."""


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One first-level element, cut from the input and not parsed into a tree; holds only strings, so the collector skips it."""

    ns: str
    name: str
    attrs: dict[str, str]
    """Attributes in no namespace by local name; `xml:lang` is the element's own or else the stream's."""
    children: bytes
    """The direct children side by side; they stand alone inside an element whose default namespace is the content namespace."""
    names: tuple[str, ...]
    """Clark names `{namespace}local` of the direct children, in order."""
    text: str
    """Text directly below an element that is no stanza, such as SASL data; always empty for stanzas."""
    end: int
    """Where the element ended in its chunk; for `Framer.restart` alone."""


class Footer(msgspec.Struct, frozen=True):
    """The closing tag of a stream (RFC 6120 §4.4)."""


Event = Header | Frame | Footer
