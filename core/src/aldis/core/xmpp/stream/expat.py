"""The XML parser below the framer: how it is made, and what its errors mean to a stream (RFC 6120 §4.9.3, §11)."""

from functools import cache
from typing import Final
from xml.parsers import expat

from aldis.core.xmpp.errors.stream import NotWellFormed, RestrictedXml, StreamError, UnsupportedEncoding

_ENTITIES: Final = frozenset(
    expat.errors.codes[text]
    for text in (
        expat.errors.XML_ERROR_PARAM_ENTITY_REF,
        expat.errors.XML_ERROR_UNDEFINED_ENTITY,
        expat.errors.XML_ERROR_RECURSIVE_ENTITY_REF,
        expat.errors.XML_ERROR_ASYNC_ENTITY,
        expat.errors.XML_ERROR_BINARY_ENTITY_REF,
        expat.errors.XML_ERROR_ATTRIBUTE_EXTERNAL_ENTITY_REF,
    )
)
_INVALID_TOKEN: Final = expat.errors.codes[expat.errors.XML_ERROR_INVALID_TOKEN]


def new_parser() -> expat.XMLParserType:
    """Make a parser that reports each token as soon as it is complete; where `expat_defers`, one that needs `tokens.giver` for that.

    It reads UTF-8 whatever the XML declaration says. Names are `namespace}local`; a brace can't stand in a local name, so
    they split without doubt. Nothing is interned: that table would grow as long as the parser lives.
    """
    parser = expat.ParserCreate("utf-8", "}", None)
    defer = getattr(parser, "SetReparseDeferralEnabled", None)
    if defer is not None:
        defer(False)
    return parser


@cache
def expat_defers() -> bool:
    """Tell if expat defers reparsing and this Python can't turn that off, as on Debian 12 (docs/adr/0011)."""
    return defers(new_parser())


def defers(parser: expat.XMLParserType) -> bool:
    """Tell if a parser keeps back a tag that a later feed completed.

    It does so only after a feed in which it found nothing else, so the tag has to begin and to end in feeds of its own.
    """
    seen: list[str] = []
    parser.StartElementHandler = lambda name, _: seen.append(name)
    for piece in (b"<probe>", b"<probed", b">"):
        parser.Parse(piece, False)
    return len(seen) != 2


def count_declarations(element: bytes) -> int:
    """Count the namespace declarations in an element, prefixes from outside notwithstanding."""
    found = 0

    def starts(name: str, attrs: dict[str, str]) -> None:
        nonlocal found
        found += sum(1 for key in attrs if key == "xmlns" or key.startswith("xmlns:"))

    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = starts
    parser.Parse(element, True)
    return found


def translate(error: expat.ExpatError, before: bytes, rest: bytes) -> StreamError:
    """Name the stream error for what expat found between `before`, which it could read, and `rest`."""
    if error.code in _ENTITIES:
        return RestrictedXml("only the five predefined entities are allowed")  # RFC 6120 §11.1
    if error.code == _INVALID_TOKEN and _is_badly_encoded(before, rest):
        return UnsupportedEncoding("this is not UTF-8")  # RFC 6120 §4.9.3.22
    return NotWellFormed(expat.ErrorString(error.code) or "")


def _is_badly_encoded(before: bytes, rest: bytes) -> bool:
    """Tell if the next character is refused for its encoding, and not because only ASCII may stand there.

    It may be cut, so that the same is said however the input was; in the second case its first byte is refused alone.
    """
    try:
        rest[:4].decode()
    except UnicodeDecodeError as bad:
        if bad.start != 0:
            return False
    else:
        return False
    if not 0xC2 <= rest[0] <= 0xF4:  # it begins no character
        return True
    try:
        new_parser().Parse(before + rest[:1], False)
    except expat.ExpatError:
        return False
    return True
