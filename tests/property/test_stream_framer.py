"""Properties of framing: cuts don't matter, slices stand alone, and nothing but a stream error comes out of rubbish."""

from xml.etree import ElementTree  # libxml2 minds namespace names that are no URI, expat does not

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from aldis.core.xmpp.stream.expat import expat_defers
from aldis.core.xmpp.stream.framer import Framer
from aldis.core.xmpp.stream.frames import Event, Frame, FramerLimits

HEADERS = (
    (
        b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
        b"xmlns:p='urn:p' xml:lang='de'>"
    ),
    b"<stream:stream xmlns:stream=\"http://etherx.jabber.org/streams\"\n xmlns='jabber:client' xmlns:p='urn:p&amp;' version='1.0' >",
    b"<stream xmlns='http://etherx.jabber.org/streams' xmlns:c='jabber:client' xmlns:p='urn:p'>",
    b"<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns:p='urn:p'>",
)
TEXT = st.sampled_from(
    ["", "x", " ", "p:q", "c:d", ">", "/>", "&lt;", "&amp;#60;", "&#x1F600;", "\U0001f600", "é", "<![CDATA[<a/>]]>", "<![CDATA[]]>",
     "\n\r\n", "xmlns='q'", "]]", "'\""]
)  # fmt: skip
ATTRIBUTE_VALUE = st.sampled_from(["", "x", ">", "/>", "p:q", "&quot;&apos;", "é\U0001f600", " xmlns='no'", "&#10;"])
NAMES = st.sampled_from(["message", "presence", "iq", "a", "é", "body"])
DECLARATIONS = st.lists(
    st.sampled_from(
        [
            ("xmlns", "jabber:client"),
            ("xmlns", "urn:d"),
            ("xmlns", ""),
            ("xmlns:p", "urn:other"),
            ("xmlns:q", "urn:q"),
            ("xmlns:c", "jabber:client"),
            ("xmlns:c", "urn:c&amp;d"),
        ]
    ),
    max_size=2,
    unique_by=lambda pair: pair[0],
)


@st.composite
def element(draw: st.DrawFn, depth: int, scope: frozenset[str] = frozenset({"p"})) -> str:
    """Write a namespace-well-formed element in one of the many ways XML allows."""
    declared = draw(DECLARATIONS)
    scope |= {name[6:] for name, _ in declared if name.startswith("xmlns:")}
    prefixes = st.sampled_from(["", "", *(f"{prefix}:" for prefix in sorted(scope))])
    name = draw(prefixes) + draw(NAMES)
    attributes = dict(declared)
    for prefix in draw(st.sets(prefixes, max_size=2)):
        attributes[prefix + "k"] = draw(ATTRIBUTE_VALUE)
    if draw(st.booleans()):
        attributes["xml:lang"] = "it"
    space = draw(st.sampled_from([" ", "\n", "  "]))
    quote = draw(st.sampled_from("'\""))
    tag = name + "".join(
        f"{space}{key}={quote}{value.replace(quote, '&#39;' if quote == chr(39) else '&#34;')}{quote}" for key, value in attributes.items()
    )
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        if draw(st.booleans()):
            return f"<{tag}/>"
        return f"<{tag}>{draw(TEXT)}</{name}>"
    inside = "".join(draw(TEXT) + draw(element(depth - 1, scope)) for _ in range(draw(st.integers(1, 3))))
    return f"<{tag}>{inside}{draw(TEXT)}</{name}{draw(st.sampled_from(['', ' ']))}>"


STANZAS = st.lists(element(2), max_size=4).map(lambda many: "\n".join(many).encode())
CUTS = st.lists(st.integers(1, 60), min_size=1, max_size=5)


LANG = "{http://www.w3.org/XML/1998/namespace}lang"


both = pytest.mark.parametrize("deferring", [None, True], ids=["as expat is", "as if it deferred"])


def run(data: bytes, cuts: list[int], deferring: bool | None = None) -> tuple[list[Event], object]:
    framer = Framer(FramerLimits(), deferring=deferring)
    events: list[Event] = []
    at = turn = 0
    while at < len(data):
        step = cuts[turn % len(cuts)]
        events += framer.feed(data[at : at + step])
        at, turn = at + step, turn + 1
        if turn % 3 == 0:
            framer.rest()
    return events, (type(framer.error), str(framer.error))


def without_ends(events: list[Event]) -> list[object]:
    return [
        (event.ns, event.name, event.attrs, event.children, event.names, event.text) if isinstance(event, Frame) else event
        for event in events
    ]


@both
@given(header=st.sampled_from(HEADERS), stanzas=STANZAS, cuts=CUTS)
def test_the_way_a_stream_is_cut_does_not_matter(header: bytes, stanzas: bytes, cuts: list[int], deferring: bool | None) -> None:
    data = header + stanzas + b"</stream:stream>"
    whole, error = run(data, [len(data)])
    pieces, same_error = run(data, cuts, deferring)
    assert without_ends(pieces) == without_ends(whole)
    assert same_error == error


@both
@given(header=st.sampled_from(HEADERS), stanzas=STANZAS, cuts=CUTS)
def test_an_element_comes_with_its_last_byte(header: bytes, stanzas: bytes, cuts: list[int], deferring: bool | None) -> None:
    framer = Framer(FramerLimits(), deferring=deferring)
    whole, _ = run(header + stanzas, [1 << 20])
    framer.feed(header)
    ends = [event.end - len(header) for event in whole if isinstance(event, Frame)]
    at = turn = seen = 0
    while at < len(stanzas):
        step = cuts[turn % len(cuts)]
        seen += len(framer.feed(stanzas[at : at + step]))
        at, turn = at + step, turn + 1
        assert seen == sum(end <= at for end in ends)
    assert seen == len(ends)


def exclusive(parent: etree._Element) -> list[bytes]:
    return [etree.tostring(child, method="c14n", exclusive=True, with_tail=False) for child in parent]


@given(st.sampled_from(HEADERS), STANZAS)
def test_children_mean_the_same_where_they_stand_alone(header: bytes, stanzas: bytes) -> None:
    events, error = run(header + stanzas, [1 << 20])
    assert error == (type(None), "None")
    content = events[0].content  # type: ignore[union-attr]  # the header
    root = header[header.index(b"<s") + 1 :].split()[0]
    whole = etree.fromstring(header + stanzas + b"</" + root + b">")
    frames = [event for event in events if isinstance(event, Frame)]
    assert len(frames) == len(whole)
    for frame, stanza in zip(frames, whole, strict=True):
        alone = etree.fromstring(f"<x xmlns='{content}'>".encode() + frame.children + b"</x>")
        assert exclusive(alone) == exclusive(stanza)
        assert not alone.text
        assert not any(child.tail for child in alone)
        assert frame.names == tuple(child.tag for child in stanza)
        assert etree.QName(stanza).localname == frame.name
        assert (etree.QName(stanza).namespace or "") == frame.ns
        if frame.ns != "jabber:client" or frame.name not in {"message", "presence", "iq"}:
            assert frame.text == (stanza.text or "") + "".join(child.tail or "" for child in stanza)
        language = stanza.get(LANG) or whole.get(LANG)
        own = {str(key): value for key, value in stanza.attrib.items() if not str(key).startswith("{")}
        assert frame.attrs == (own | {"xml:lang": language} if language else own)


@both
@given(data=st.binary(max_size=200), opened=st.booleans(), cuts=CUTS)
def test_rubbish_gives_a_stream_error_or_nothing(data: bytes, opened: bool, cuts: list[int], deferring: bool | None) -> None:
    data = HEADERS[0] + data if opened else data
    whole, error = run(data, [max(1, len(data))])
    pieces, same_error = run(data, cuts, deferring)
    assert without_ends(pieces) == without_ends(whole)
    assert same_error == error


SCRAPS = st.sampled_from(
    [b"<", b">", b"/", b"&", b"&foo;", b"&#0;", b"<!--", b"-->", b"<?x?>", b"<?xml version='1.0'?>", b"<![CDATA[", b"]]>", b"<!DOCTYPE a>",
     b"<!ENTITY a 'b'>", b"'", b'"', b"=", b"\xff", b"\xed\xa0\x80", b"\xf0\x9f", b"\0", b"\x01",
     b"xmlns:xml='a'", b"xmlns:q=''", b"q:", b"</", b"</stream:stream>",
     b"text", b" ", b"\xef\xbf\xbf", b"</message>", b"<a b='c' b='c'/>", b"%a;"]
)  # fmt: skip


EDITS = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 5), SCRAPS), max_size=3)


def edited(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for at, gone, scrap in edits:
        at %= len(data)  # noqa: PLW2901  the place is relative
        data = data[:at] + scrap + data[at + gone :]
    return data


@both
@given(header=st.sampled_from(HEADERS), stanzas=STANZAS, edits=EDITS, cuts=CUTS)
def test_mutated_xml_gives_the_same_error_however_it_is_cut(
    header: bytes, stanzas: bytes, edits: list[tuple[int, int, bytes]], cuts: list[int], deferring: bool | None
) -> None:
    data = edited(header + stanzas, edits)
    whole, error = run(data, [len(data)])
    pieces, same_error = run(data, cuts, deferring)
    assert without_ends(pieces) == without_ends(whole)
    assert same_error == error
    for frame in whole:
        if isinstance(frame, Frame):
            ElementTree.fromstring(b"<x xmlns='jabber:client'>" + frame.children + b"</x>")


TIGHT = FramerLimits(stanza_bytes=180, tag_bytes=60, depth=3, attributes=3, attribute_bytes=20, name_bytes=25, namespaces=3, children=3)


@pytest.mark.skipif(expat_defers(), reason="needs an expat that can do without")
@given(st.sampled_from(HEADERS), STANZAS, EDITS, CUTS, st.sampled_from([FramerLimits(), TIGHT]))
def test_tokens_held_back_change_nothing_at_any_time(
    header: bytes, stanzas: bytes, edits: list[tuple[int, int, bytes]], cuts: list[int], limits: FramerLimits
) -> None:
    data = edited(header + stanzas, edits)
    held, plain = Framer(limits, deferring=True), Framer(limits, deferring=False)
    at = turn = 0
    while at < len(data):
        piece = data[at : at + cuts[turn % len(cuts)]]
        assert held.feed(piece) == plain.feed(piece)
        assert (type(held.error), str(held.error)) == (type(plain.error), str(plain.error))
        assert held.idle == plain.idle
        at, turn = at + len(piece), turn + 1
        if at > len(header):
            held.limits = plain.limits = TIGHT
