"""Make slices of a stream stand alone: put back namespace declarations that stood outside of them (RFC 6120 §4.8, XML-NAMES §6).

Works on the bytes of XML that expat has found well-formed, so that declarations are inserted and nothing is serialised anew.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from aldis.core.xmpp.errors.stanza import escape

_TAG: Final = re.compile(rb"<[^>\"']*(?:\"[^\"]*\"[^>\"']*|'[^']*'[^>\"']*)*>")
_NAME: Final = re.compile(rb"<[^\s/>]+")
_ATTRIBUTE: Final = re.compile(rb"\s+([^\s=]+)\s*=\s*(\"[^\"]*\"|'[^']*')")


def tag_end(data: bytes | bytearray, start: int) -> int:
    """Find where the tag that begins at `start` ends; a `>` in an attribute value doesn't end it."""
    match = _TAG.match(data, start)
    if match is None:
        raise ValueError("no complete tag here")
    return match.end()


def tag_name(data: bytes | bytearray, start: int) -> bytes:
    """Read the name, prefix included, of the tag that begins at `start`."""
    return bytes(data[start + 1 : _name_end(data, start)])


def declarations(data: bytes | bytearray, start: int) -> dict[bytes, bytes]:
    """Read the namespace declarations of the start tag at `start`: prefix (empty for the default) to quoted raw value."""
    found: dict[bytes, bytes] = {}
    position = _name_end(data, start)
    while match := _ATTRIBUTE.match(data, position):
        name, value = match.groups()
        if name == b"xmlns":
            found[b""] = bytes(value)
        elif name.startswith(b"xmlns:"):
            found[bytes(name[6:])] = bytes(value)
        position = match.end()
    return found


def is_empty_tag(data: bytes | bytearray, start: int, stop: int) -> bool:
    """Tell if an element without children that begins at `start` is one empty-element tag ending at `stop`."""
    if data[stop - 2 : stop] != b"/>":
        return False
    return data[stop : stop + 2] != b"</" or tag_end(data, start) == stop  # `<a>/></a>` needs the second look


def elements(data: bytes | bytearray, marks: Sequence[int]) -> Iterator[bytes]:
    """Cut sibling elements, without text between them: `marks` are start and stop of each in turn, then where the parent stops.

    As expat has it, an element stops where its end tag begins, or at its end if it is one empty-element tag.
    """
    for at in range(0, len(marks) - 1, 2):
        start, stop, following = marks[at : at + 3]
        end = data.find(b">", stop) + 1 if stop != following and data.startswith(b"</", stop) else stop
        yield bytes(data[start:end])


def quoted(uri: str) -> bytes:
    """Write a namespace name as an attribute value, white space included (XML §3.3.3)."""
    value = escape(uri).replace("\t", "&#9;").replace("\n", "&#10;").replace("\r", "&#13;")
    return f"'{value}'".encode()


def stand_alone(children: Iterable[bytes], scope: Mapping[bytes, bytes], content: bytes) -> bytes:
    """Join elements that were cut from `scope` so that they mean the same where only `content` is declared, as default.

    A prefix counts as used wherever `prefix:` occurs, so that qualified names in text and attribute values keep their
    meaning; a declaration too many does no harm.
    """
    return b"".join(_alone(child, scope, content) for child in children)


def _alone(child: bytes, scope: Mapping[bytes, bytes], content: bytes) -> bytes:
    own = declarations(child, 0)
    missing = b"".join(
        b" xmlns:%b=%b" % (prefix, value) if prefix else b" xmlns=%b" % value
        for prefix, value in scope.items()
        if prefix not in own and (prefix + b":" in child if prefix else value[1:-1] != content[1:-1])
    )
    at = _name_end(child, 0)
    return child[:at] + missing + child[at:]


def _name_end(data: bytes | bytearray, start: int) -> int:
    match = _NAME.match(data, start)
    if match is None:
        raise ValueError("no tag here")
    return match.end()
