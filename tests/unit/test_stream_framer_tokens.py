"""An expat that defers reparsing reports each token in time if it is fed by `giver` (docs/adr/0011)."""

from collections.abc import Callable, Iterable
from itertools import combinations
from typing import Any, cast
from xml.parsers.expat import ExpatError, XMLParserType

import pytest

from aldis.core.xmpp.stream.expat import defers, expat_defers, new_parser
from aldis.core.xmpp.stream.tokens import giver

STREAM = "http://etherx.jabber.org/streams"


class Deferring:
    """An expat that defers, by expat's rule: after a feed that finished no token, nothing is looked at before twice as much is there."""

    _own = frozenset(("_parser", "_waiting", "_unfinished", "_seen"))

    def __init__(self) -> None:
        self._parser = new_parser()
        self._waiting = b""
        self._unfinished = self._seen = 0

    def Parse(self, data: bytes, final: bool) -> None:  # noqa: N802  pyexpat's name
        self._waiting += data
        have = self._seen - max(self._parser.CurrentByteIndex, 0) + len(self._waiting)
        if have < 2 * self._unfinished:
            return
        before = self._parser.CurrentByteIndex
        self._seen += len(self._waiting)
        self._parser.Parse(self._waiting, final)
        self._waiting = b""
        self._unfinished = have if self._parser.CurrentByteIndex == before else 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._parser, name)

    def __setattr__(self, name: str, value: object) -> None:
        if name in self._own:
            object.__setattr__(self, name, value)
        else:
            setattr(self._parser, name, value)


def deferring_parser() -> XMLParserType:
    return cast("XMLParserType", Deferring())


def plain_parser() -> XMLParserType:
    return new_parser()


def reports(parser: XMLParserType, pieces: Iterable[bytes], give: Callable[[XMLParserType], Any]) -> list[list[str]]:
    """Return what is reported by the end of each piece: tags, the beginning of CDATA, an error."""
    seen: list[str] = []
    parser.StartElementHandler = lambda name, attrs: seen.append(f"<{name} {attrs}")
    parser.EndElementHandler = lambda name: seen.append(f"</{name}")
    parser.StartCdataSectionHandler = lambda: seen.append("<![CDATA[")
    feed = give(parser)
    after: list[list[str]] = []
    try:
        for piece in pieces:
            feed(piece, False)
            after.append(seen.copy())
    except ExpatError as error:
        after.append([*seen, f"{error.code} at {parser.ErrorByteIndex}"])
    return after


def expected(pieces: Iterable[bytes]) -> list[list[str]]:
    """Return what a parser reports that gets each beginning in one piece, which is never deferred."""
    data = b""
    after: list[list[str]] = []
    for piece in pieces:
        data += piece
        after += reports(new_parser(), [data], lambda parser: parser.Parse)
        if after[-1] and " at " in after[-1][-1]:
            break
    return after


SAMPLES = [
    b"<?xml version='1.0'?> <s:s xmlns:s='urn:s'><m to='a>b'><b>x &gt; y</b></m></s:s>",
    b"<s><m a='>>' b=\"'>\"/><n><![CDATA[<a b='>]]]></n></s>",
    b"<s>\xf0\x9f\x98\x80&#x1F600;\r\n<a>]]</a>\xc3\xa9<b /></s>",
    b"<s><![CDATA[\xe2\x82\xac]]\xf0\x9f\x98\x80]]><a/><m>&longer;</m>",
    b"<s><a>\xf0\x9f\xff</a>",
    b"<s><a b=c>",
    b"<s><!-- > --><a/>",
    b"<s><?a > ?></s>",
    b"\n<?xml version='1.0'?><\0s>",
    b"GET / HTTP/1.1",
    b"<s><a></b></s>",
    b"<s>]]]></s>",
    b"<s><a b='<'/></s>",
    b"<s><a 'b>c'></s>",
    b"<s a:b:c='d'/>",
]


@pytest.mark.parametrize("make", [deferring_parser, plain_parser])
@pytest.mark.parametrize("sample", SAMPLES)
def test_wherever_input_is_cut_all_is_reported_in_time(sample: bytes, make: Callable[[], XMLParserType]) -> None:
    def held(parser: XMLParserType) -> object:
        return giver(parser, deferring=True)

    in_time = expected([sample[at : at + 1] for at in range(len(sample))])
    assert reports(make(), [sample[at : at + 1] for at in range(len(sample))], held) == in_time
    in_time += in_time[-1:] * (len(sample) - len(in_time))  # nothing follows an error
    for first, second in combinations(range(1, len(sample)), 2):
        pieces = [sample[:first], sample[first:second], sample[second:]]
        after = reports(make(), pieces, held)
        assert after == [in_time[cut - 1] for cut in (first, second, len(sample))][: len(after)]


def test_a_stream_that_is_taken_up_inside_goes_on_in_time() -> None:
    parser = deferring_parser()
    parser.Parse(b"<s>", False)
    seen: list[str] = []
    parser.StartElementHandler = lambda name, _: seen.append(name)
    give = giver(parser, inside=True, deferring=True)
    for piece in (b"text", b"<message", b"/>", b"<iq to='>", b"'>", b"</iq", b">"):
        give(piece, False)
    assert seen == ["message", "iq"]


def test_an_expat_that_defers_is_found_out() -> None:
    assert defers(deferring_parser())
    assert defers(new_parser()) == expat_defers()


def test_an_expat_that_does_not_defer_gets_its_bytes_at_once() -> None:
    parser = new_parser()
    assert giver(parser, deferring=False) == parser.Parse


def test_each_attempt_of_the_parser_finds_something() -> None:
    class Watched(Deferring):
        def Parse(self, data: bytes, final: bool) -> None:  # noqa: N802  pyexpat's name
            super().Parse(data, final)
            assert not self._unfinished

    for sample in SAMPLES[:3]:
        parser = cast("XMLParserType", Watched())
        give = giver(parser, deferring=True)
        for at in range(len(sample)):
            give(sample[at : at + 1], False)
        assert parser.CurrentByteIndex == len(sample)
