"""Make an expat that defers reparsing report each tag when its last byte arrives, by giving it whole tokens only.

Such an expat (2.6, or older with the mend for CVE-2023-52425), once it met an unfinished token and nothing else, lets it lie
until twice as many bytes are there. It never does that if whatever it is given begins with a finished token.
"""

import re
from collections.abc import Callable
from typing import Final
from xml.parsers.expat import ExpatError, XMLParserType

from aldis.core.xmpp.stream.expat import expat_defers, new_parser

Give = Callable[[bytes | memoryview, bool], object]
"""`Parse` of a parser, or what stands before it."""

_PROLOG: Final = b"\n"
_CONTENT: Final = b"<x>"
_CDATA: Final = b"<x><![CDATA["
_WHOLE: Final = re.compile(rb"[^<&\]\r\x80-\xff]|<[^!?>\"'][^>\"']*(?:\"[^\"]*\"[^>\"']*|'[^']*'[^>\"']*)*>")
"""A finished token at a glance, outside of the prolog: text that can't be part of something longer, or a tag."""
_SHORT: Final = 256
"""How much of an unfinished token gets another glance: on tags full of quotes it takes much longer than expat."""


def giver(parser: XMLParserType, *, inside: bool = False, deferring: bool | None = None) -> Give:
    """Return what takes a stream's bytes for a parser whose handlers are set; `inside` tells that it already read the root's tag.

    That is `parser.Parse` itself where expat doesn't defer.
    """
    if expat_defers() if deferring is None else deferring:
        return WholeTokens(parser, inside).parse
    return parser.Parse


class _Place:
    """What brings a fresh parser to the place where this one is, as its handlers tell.

    It doesn't hold the parser, which holds it: a ring would outlive them until the collector comes.
    """

    __slots__ = ("_cdata", "element", "now")

    def __init__(self, parser: XMLParserType, inside: bool) -> None:
        self.now = _CONTENT if inside else _PROLOG
        self.element: Callable[..., object] | None = parser.StartElementHandler
        self._cdata = parser.StartCdataSectionHandler
        if not inside:
            parser.StartElementHandler = self._root_starts
        parser.StartCdataSectionHandler = self._cdata_starts
        parser.EndCdataSectionHandler = self._cdata_ends

    def _root_starts(self, name: str, attrs: dict[str, str]) -> None:
        self.now = _CONTENT
        if self.element is not None:
            self.element(name, attrs)

    def _cdata_starts(self) -> None:
        self.now = _CDATA
        if self._cdata is not None:
            self._cdata()

    def _cdata_ends(self) -> None:
        self.now = _CONTENT


class WholeTokens:
    """Keeps an unfinished token until it is whole, however its bytes come in.

    Whether it is, or is wrong already, a fresh parser tells: it reads the token from its beginning, which is what an expat
    that doesn't defer does with each feed, so that work stays bounded by whoever bounds the length of a token.
    """

    __slots__ = ("_given", "_parser", "_place", "_taken", "_token")

    def __init__(self, parser: XMLParserType, inside: bool) -> None:
        self._parser = parser
        self._place = _Place(parser, inside)
        self._token: bytearray | None = None
        """The unfinished token, of which the parser has the first `_given` bytes."""
        self._given = 0
        self._taken = max(parser.CurrentByteIndex, 0)

    def parse(self, data: bytes | memoryview, _: bool) -> None:
        """Give the parser what it can take now; raises what the parser raises."""
        token = self._token
        if token is None:
            if self._begins_whole(data, 0):
                self._give(data, data)
            else:
                self._token = bytearray(data)
                self._given = 0
            return
        before = len(token)
        token += data
        if self._begins_whole(token, before):
            with memoryview(token) as view, view[self._given :] as rest:
                self._give(rest, token)

    def _give(self, data: bytes | memoryview, token: bytes | bytearray | memoryview) -> None:
        """Feed the parser, and note what it leaves: it has tried all, and will try again."""
        parser = self._parser
        place = self._place
        before = place.now
        self._taken += len(data)
        parser.Parse(data, False)
        if before is _PROLOG and place.now is not _PROLOG:
            parser.StartElementHandler = place.element
        left = self._taken - parser.CurrentByteIndex
        self._token = rest = bytearray(token[-left:]) if left else None
        self._given = len(rest) if rest else 0

    def _begins_whole(self, data: bytes | bytearray | memoryview, before: int) -> bool:
        """Tell if the first token is finished, or so wrong that the parser shall say it; it was not in its first `before` bytes."""
        place = self._place.now
        if before < _SHORT and place is not _PROLOG and _WHOLE.match(data):
            return True
        probe = new_parser()
        try:
            probe.Parse(b"".join((place, data)), False)  # at once: the first attempt is never put off
        except ExpatError:
            return True
        return probe.CurrentByteIndex > len(place)
