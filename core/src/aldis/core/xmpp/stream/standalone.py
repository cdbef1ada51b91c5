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
        elif name.startswith(b"xmlns:") and name != b"xmlns:xml":
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


class Scope:
    """What a stream header declares around the stanzas, and what that means for cutting their content."""

    __slots__ = ("_content", "_outer", "_prefixes", "_simple", "_usual", "declared")

    def __init__(self, namespaces: Mapping[str, str], content: str) -> None:
        self._outer = {b"": b"''"} | {prefix.encode(): quoted(uri) for prefix, uri in namespaces.items()}
        self._content = raw = quoted(content)
        self._simple = self._outer[b""] == raw
        self._usual = (b" xmlns=%b" % raw, b' xmlns="%b"' % raw[1:-1])
        self._prefixes = tuple(prefix + b":" for prefix in self._outer if prefix)
        self.declared = b"".join(b" xmlns%b=%b" % (b":" + prefix if prefix else b"", uri) for prefix, uri in self._outer.items())

    def cut(self, window: bytes | bytearray, start: int, stop: int, marks: list[int], shift: int) -> bytes:
        """Cut the children of the element at `start`, whose end tag is at `stop`: nearly always the bytes as they are.

        Not so if text stands between them or a declaration that they need stands outside. `marks` are those of `elements`,
        each greater by `shift`.
        """
        first = marks[0] - shift
        if (
            self._simple
            and _side_by_side(window, marks, shift)
            and (window.find(b"xmlns", start, first) < 0 or self._declares_the_usual(window[start:first]))
        ):
            for prefix in self._prefixes:
                if window.find(prefix, first, stop) >= 0:
                    break
            else:
                children = window[first:stop]
                return children if isinstance(children, bytes) else bytes(children)
        alone = elements(window, [mark - shift for mark in marks])
        return stand_alone(alone, self._outer | declarations(window, start), self._content)

    def _declares_the_usual(self, tag: bytes | bytearray) -> bool:
        """Tell if a tag in which `xmlns` occurs declares no more than the content namespace, as default."""
        return tag.count(b"xmlns") == 1 and (self._usual[0] in tag or self._usual[1] in tag)


def _side_by_side(window: bytes | bytearray, marks: list[int], shift: int) -> bool:
    """Tell if no text stands between the elements or behind them."""
    for at in range(1, len(marks), 2):
        stop = marks[at]
        following = marks[at + 1]
        if stop != following:  # not an empty-element tag, or text follows it
            stop -= shift
            if window.find(b">", stop) + 1 != following - shift or not window.startswith(b"</", stop):
                return False
    return True


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
