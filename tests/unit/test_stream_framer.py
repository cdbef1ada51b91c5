"""Framing: what comes out, what stands alone, what is refused and when (RFC 6120 §4, §11)."""

import gc
from xml.parsers import expat

import pytest

from aldis.core.xmpp.errors.stream import (
    BadFormat,
    InvalidNamespace,
    NotWellFormed,
    PolicyViolation,
    RestrictedXml,
    StreamError,
    UnsupportedEncoding,
)
from aldis.core.xmpp.stream.framer import Framer
from aldis.core.xmpp.stream.frames import Event, Footer, Frame, FramerLimits, Header

OPEN = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='capulet.lit' version='1.0' xml:lang='en'>"
both = pytest.mark.parametrize("deferring", [None, True], ids=["as expat is", "as if it deferred"])
"""Mark a test that feeds in pieces: on an expat that defers reparsing tokens are held back until they are whole."""


def framed(data: bytes, limits: FramerLimits | None = None, deferring: bool | None = None) -> tuple[list[Event], StreamError | None]:
    framer = Framer(limits or FramerLimits(), deferring=deferring)
    return framer.feed(data), framer.error


def one(stanza: bytes, header: bytes = OPEN) -> Frame:
    events, error = framed(header + stanza)
    assert error is None
    assert len(events) == 2
    assert isinstance(events[1], Frame)
    return events[1]


def refusal(data: bytes, limits: FramerLimits | None = None) -> StreamError:
    _, error = framed(data, limits)
    assert error is not None
    return error


def test_a_header_tells_its_attributes_and_namespaces() -> None:
    (header,), error = framed(b"<?xml version='1.0'?>" + OPEN)
    assert error is None
    assert header == Header(
        {"to": "capulet.lit", "version": "1.0", "xml:lang": "en"},
        "jabber:client",
        {"": "jabber:client", "stream": "http://etherx.jabber.org/streams"},
    )


def test_a_message_is_cut_from_the_input() -> None:
    frame = one(b"<message to='romeo@montague.lit' id='1' type='chat'><body>a &lt; b &#x1F600;</body><x xmlns='y'/></message>")
    assert (frame.ns, frame.name) == ("jabber:client", "message")
    assert frame.attrs == {"to": "romeo@montague.lit", "id": "1", "type": "chat", "xml:lang": "en"}
    assert frame.children == b"<body>a &lt; b &#x1F600;</body><x xmlns='y'/>"
    assert frame.names == ("{jabber:client}body", "{y}x")
    assert frame.text == ""


def test_the_nearest_language_wins() -> None:
    assert one(b"<message xml:lang='it'/>").attrs == {"xml:lang": "it"}
    assert one(b"<message/>").attrs == {"xml:lang": "en"}


def test_an_attribute_in_a_namespace_is_not_taken_for_a_plain_one() -> None:
    assert one(b"<message xmlns:a='urn:a' a:to='mallory@evil.lit' to='romeo@montague.lit'/>").attrs["to"] == "romeo@montague.lit"


@pytest.mark.parametrize("stanza", [b"<presence/>", b"<presence></presence>", b"<presence>/></presence>", b"<presence\n>\n</presence >"])
def test_a_stanza_without_children_has_no_content(stanza: bytes) -> None:
    events, error = framed(OPEN + stanza + b"</stream:stream>")
    assert error is None
    assert isinstance(events[1], Frame)
    assert (events[1].name, events[1].children) == ("presence", b"")
    assert isinstance(events[2], Footer)


@pytest.mark.parametrize(
    ("stanza", "children"),
    [
        (b"<message>\n <body>x</body>\n <a/>\n</message>", b"<body>x</body><a/>"),
        (b"<message>text<a/>more></message>", b"<a/>"),
        (b"<message><a/></message>", b"<a/>"),
        (b"<message><message/></message>", b"<message/>"),
        (b"<message><message>/></message></message>", b"<message>/></message>"),
        (b"<message><a b='/>'></a><a b='>'/></message>", b"<a b='/>'></a><a b='>'/>"),
        (b"<message><a/><![CDATA[<b/>]]></message>", b"<a/>"),
        (b"<message><![CDATA[<b/>]]><a><![CDATA[</a>]]></a ></message>", b"<a><![CDATA[</a>]]></a >"),
    ],
)
def test_text_directly_below_a_stanza_is_left_out(stanza: bytes, children: bytes) -> None:
    assert one(stanza).children == children


@pytest.mark.parametrize(
    ("stanza", "children"),
    [
        (b"<c:message xmlns:c='jabber:client'><c:body>x</c:body></c:message>", b"<c:body xmlns:c='jabber:client'>x</c:body>"),
        (b"<message xmlns='jabber:client'><body>x</body></message>", b"<body>x</body>"),
        (b"<message xmlns:a='urn:a'><a:b/><body/></message>", b"<a:b xmlns:a='urn:a'/><body/>"),
        (b"<message xmlns:a='urn:a'><b a:c='d'/></message>", b"<b xmlns:a='urn:a' a:c='d'/>"),
        (b"<message><x xmlns='urn:x' ><stream:a/></x></message>",
         b"<x xmlns:stream='http://etherx.jabber.org/streams' xmlns='urn:x' ><stream:a/></x>"),
        (b"<message><stream:a xmlns:stream='urn:s'/></message>", b"<stream:a xmlns:stream='urn:s'/>"),
        (b"<c:iq xmlns:c='jabber:client' xmlns='urn:q'><query/><c:x xmlns='z'/></c:iq>",
         b"<query xmlns='urn:q'/><c:x xmlns:c='jabber:client' xmlns='z'/>"),
        (b"<iq id=\" xmlns='jabber:client'\"><a/></iq>", b"<a/>"),
        (b"<iq id=\" xmlns='urn:b'\"><a/></iq>", b"<a/>"),
    ],
)  # fmt: skip
def test_children_stand_alone(stanza: bytes, children: bytes) -> None:
    assert one(stanza).children == children


def test_a_stream_whose_default_namespace_is_not_the_content_namespace() -> None:
    header = b"<stream xmlns='http://etherx.jabber.org/streams' xmlns:c='jabber:client'>"
    frame = one(b"<c:message><c:body/></c:message>", header)
    assert (frame.ns, frame.name) == ("jabber:client", "message")
    assert frame.children == b"<c:body xmlns='http://etherx.jabber.org/streams' xmlns:c='jabber:client'/>"


def test_sasl_data_comes_as_text() -> None:
    frame = one(b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGp1bGll&#x3D;<x>no</x>t</auth>")
    assert (frame.ns, frame.name, frame.text) == ("urn:ietf:params:xml:ns:xmpp-sasl", "auth", "AGp1bGll=t")


@both
@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"<!DOCTYPE a><a/>", RestrictedXml),
        (b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]>", RestrictedXml),
        (b"<!-- a -->" + OPEN, RestrictedXml),
        (OPEN + b"<!-- a -->", RestrictedXml),
        (OPEN + b"<message><!-- a --></message>", RestrictedXml),
        (OPEN + b"<?php a?>", RestrictedXml),
        (OPEN + b"<message><?php a?></message>", RestrictedXml),
        (OPEN + b"<message><body>&foo;</body></message>", RestrictedXml),
        (OPEN + b"<message to='&foo;'/>", RestrictedXml),
        (OPEN + b"&foo;", RestrictedXml),
        (OPEN + b"<message><!DOCTYPE a></message>", NotWellFormed),
        (OPEN + b"<message></iq>", NotWellFormed),
        (OPEN + b"<a:message/>", NotWellFormed),
        (OPEN + b"<message to='a' to='b'/>", NotWellFormed),
        (OPEN + b"<message>&#0;</message>", NotWellFormed),
        (OPEN + b"<message>\x01</message>", NotWellFormed),
        (OPEN + b"<message><?xml version='1.0'?></message>", NotWellFormed),
        (b"\xef\xbb\xbf" + OPEN, NotWellFormed),
        (OPEN + b"<message>\xff</message>", UnsupportedEncoding),
        (OPEN + b"<message>\xc0\x80</message>", UnsupportedEncoding),
        (OPEN + b"<message>\xed\xa0\x80</message>", UnsupportedEncoding),
        (OPEN + b"<message to='\xe9'/>", UnsupportedEncoding),
        (OPEN + b"<message to\xef\xbf\xbf='a'/>", NotWellFormed),
        (OPEN + b"<message to='a'\xef\xbf\xbf/>", NotWellFormed),
        (OPEN + b"<message to='a'\xed\xa0\x80/>", NotWellFormed),
        (OPEN + b"<message to='a'\xff/>", UnsupportedEncoding),
        (OPEN + b"\n<message to='a'\xed\xa0\x80/>", NotWellFormed),
        (b"\x01\0", NotWellFormed),
        ("\ufeff<a/>".encode("utf-16"), UnsupportedEncoding),
        (OPEN.decode().encode("utf-16-le"), UnsupportedEncoding),
        (OPEN.decode().encode("utf-16-be"), UnsupportedEncoding),
        (b"<?xml version='1.0' encoding='ISO-8859-1'?>" + OPEN, UnsupportedEncoding),
        (OPEN + b"hello", BadFormat),
        (OPEN + b"<message/>hello<message/>", BadFormat),
        (OPEN + b" &#32; <message/>", BadFormat),
        (OPEN + b"<![CDATA[]]><message/>", BadFormat),
        (OPEN + b"x<!-- -->", BadFormat),
        (OPEN + b"x</stream:stream>", BadFormat),
        (b"<stream xmlns='jabber:client'>", InvalidNamespace),
        (b"<stream>", InvalidNamespace),
        (b"<s:open xmlns:s='http://etherx.jabber.org/streams'>", BadFormat),
        (b"GET / HTTP/1.1\r\n\r\n", NotWellFormed),
    ],
)
def test_what_is_refused(data: bytes, error: type[StreamError], deferring: bool | None) -> None:
    assert type(refusal(data)) is error
    framer = Framer(FramerLimits(), deferring=deferring)
    for at in range(len(data)):
        framer.feed(data[at : at + 1])
    assert type(framer.error) is error


def test_what_came_before_an_error_is_kept() -> None:
    framer = Framer(FramerLimits())
    assert len(framer.feed(OPEN + b"<message/><iq/><<")) == 3
    assert isinstance(framer.error, NotWellFormed)
    assert framer.feed(b"<presence/>") == []


@both
@pytest.mark.parametrize("space", [b" ", b"\n", b"\r\n\t "])
def test_white_space_keeps_a_stream_alive(space: bytes, deferring: bool | None) -> None:
    framer = Framer(FramerLimits(), deferring=deferring)
    assert framer.feed(space + b"<?xml version='1.0' encoding='utf-8'?>" + space + OPEN + space) != []
    for _ in range(1000):
        assert framer.feed(space * 100) == []
    assert framer.error is None
    framer.rest()
    assert framer.idle
    assert len(framer.feed(space + b"<message/>")) == 1


LIMITS = FramerLimits(
    stanza_bytes=4000, tag_bytes=1000, depth=5, attributes=5, attribute_bytes=500, name_bytes=100, namespaces=5, children=5
)


@both
@pytest.mark.parametrize(
    "flood",
    [
        b"<message><body>" + b"x" * 9000,
        b"<message>" + b" " * 9000,
        b"<message>" + b"<a>" * 6,
        b"<message>" + b"<a/>" * 6,
        b"<message to='" + b"x" * 9000,
        b"<message " + b" " * 9000,
        b"<" + b"a" * 9000,
        b"<message a='' b='' c='' d='' e='' f=''>",
        b"<message><x a='' b='' c='' d='' e='' f=''>",
        b"<message><y><x a='' b='' c='' d='' e='' f=''>",
        b"<message><x a='" + b"x" * 501 + b"'/>",
        b"<message a='" + "é".encode() * 251 + b"'/>",
        b"<message><x xmlns='" + b"x" * 100 + b"'/>",
        b"<message>" + b"".join(b"<x><y xmlns='a'/><y xmlns='b'/></x>" for _ in range(3)) + b"</message>",
        b"<message xmlns:a='a' xmlns:b='b' xmlns:c='c' xmlns:d='d' xmlns:e='e' xmlns:f='f'/>",
        b"<message><!--" + b"x" * 9000,
        b"<message>&" + b"x" * 9000,
        b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>" + b"x" * 9000,
    ],
)
def test_a_flood_ends_within_its_limit_and_one_chunk(flood: bytes, deferring: bool | None) -> None:
    for step in (1, 700, len(flood)):
        framer = Framer(LIMITS, deferring=deferring)
        framer.feed(OPEN)
        fed = 0
        for at in range(0, len(flood), step):
            framer.feed(flood[at : at + step])
            fed += step
            if framer.error:
                break
        assert isinstance(framer.error, PolicyViolation)
        assert fed <= 4000 + step
        assert framer.idle


@both
@pytest.mark.parametrize("flood", [b"<?xml version='1.0'?>" + b" " * 9000, b"<stream:stream to='" + b"x" * 9000, b"<?xml " + b" " * 9000])
def test_a_header_that_never_comes_ends_within_the_limit(flood: bytes, deferring: bool | None) -> None:
    framer = Framer(LIMITS, deferring=deferring)
    for at in range(0, 6000, 100):
        framer.feed(flood[at : at + 100])
    assert isinstance(framer.error, PolicyViolation)


@both
def test_zero_means_unlimited(deferring: bool | None) -> None:
    limits = FramerLimits(stanza_bytes=0, tag_bytes=0, depth=0, attributes=0, attribute_bytes=0, name_bytes=0, namespaces=0, children=0)
    deep = b"<a xmlns='urn:x' b='" + b"y" * 30_000 + b"'>"
    many = b"<message>" + deep * 300 + b"</a>" * 300 + b"<b/>" * 1000 + b"</message>"
    events, error = framed(OPEN + many, limits, deferring)
    assert error is None
    assert len(events) == 2


@both
def test_limits_can_change_at_any_time(deferring: bool | None) -> None:
    framer = Framer(LIMITS, deferring=deferring)
    framer.feed(OPEN)
    framer.limits = FramerLimits()
    assert len(framer.feed(b"<message><body>" + b"x" * 9000 + b"</body></message>")) == 1
    framer.limits = LIMITS
    assert framer.feed(b"<message><body>" + b"x" * 9000 + b"</body></message>") == []
    assert isinstance(framer.error, PolicyViolation)


@both
def test_a_stream_starts_anew_behind_the_frame_that_asked_for_it(deferring: bool | None) -> None:
    framer = Framer(FramerLimits(), deferring=deferring)
    auth = b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AA==</auth>"
    _, frame, *_ = framer.feed(OPEN + auth + b"\n<?xml version='1.0'?>" + OPEN + b"<iq/>")
    assert isinstance(frame, Frame)
    assert framer.error is not None
    header, iq = framer.restart(after=frame)
    assert isinstance(header, Header)
    assert isinstance(iq, Frame)
    assert framer.error is None
    assert len(framer.feed(b"<message/></stream:stream>")) == 2


@both
def test_nothing_sent_in_clear_outlives_starttls(deferring: bool | None) -> None:
    framer = Framer(FramerLimits(), deferring=deferring)
    framer.feed(OPEN + b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><message/><mess")
    framer.reset()
    assert framer.idle
    (header,) = framer.feed(OPEN)
    assert isinstance(header, Header)


@both
def test_nothing_follows_a_footer(deferring: bool | None) -> None:
    framer = Framer(FramerLimits(), deferring=deferring)
    events = framer.feed(OPEN + b"</stream:stream> \n<message/>&&&")
    assert isinstance(events[-1], Footer)
    assert framer.error is None
    assert framer.idle
    assert framer.feed(b"<message/>") == []


@both
def test_a_long_lived_stream_changes_its_parser_and_goes_on(deferring: bool | None) -> None:
    framer = Framer(FramerLimits(), deferring=deferring)
    header = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' xmlns:a='urn:a&amp;b&#10;'>"
    stanzas = b"".join(b"<message id='%d'><body>%s</body><a:x/></message>" % (n, b"x" * (n % 900)) for n in range(5000))
    data = header + stanzas
    frames: list[Event] = []
    for at in range(0, len(data), 997):
        frames += framer.feed(data[at : at + 997])
    assert framer.error is None
    assert [frame.attrs["id"] for frame in frames[1:] if isinstance(frame, Frame)] == [str(n) for n in range(5000)]
    assert all(frame.children.endswith(b"<a:x xmlns:a='urn:a&amp;b&#10;'/>") for frame in frames if isinstance(frame, Frame))


@both
def test_a_session_that_rests_in_mid_stanza_loses_nothing(deferring: bool | None) -> None:
    framer = Framer(FramerLimits(), deferring=deferring)
    framer.feed(OPEN + b"<message><bo")
    framer.rest()
    (frame,) = framer.feed(b"dy/></message>")
    assert isinstance(frame, Frame)
    assert frame.children == b"<body/>"


@both
def test_this_expat_reports_a_tag_when_its_last_byte_arrives(deferring: bool | None) -> None:
    framer = Framer(FramerLimits(), deferring=deferring)
    framer.feed(OPEN)
    framer.feed(b"<message to='romeo@montague.lit'")
    assert len(framer.feed(b"/>")) == 1, expat.EXPAT_VERSION


def test_the_xml_prefix_needs_no_declaration() -> None:
    declared = b" xmlns:xml='http://www.w3.org/XML/1998/namespace'"
    frame = one(b"<message%b><body xml:lang='en'>x</body></message>" % declared, OPEN[:-1] + declared + b">")
    assert frame.children == b"<body xml:lang='en'>x</body>"


@both
def test_a_session_does_not_grow_with_the_names_that_it_sees(deferring: bool | None) -> None:
    framer = Framer(FramerLimits(), deferring=deferring)
    framer.feed(OPEN)
    for turn in range(3000):
        assert len(framer.feed(b"<message>%b</message>" % b"".join(b"<n%d/>" % (turn * 20 + n) for n in range(20)))) == 1
        assert framer._fed < 300_000  # by one parser
    assert framer.error is None


@both
def test_a_session_that_rests_leaves_nothing_to_collect(deferring: bool | None) -> None:
    framer = Framer(FramerLimits(), deferring=deferring)
    framer.feed(OPEN)
    framer.feed(b"<message")
    framer.feed(b"/>")
    gc.collect()
    gc.disable()
    try:
        framer.rest()
        assert framer.idle
        assert gc.collect() == 0
    finally:
        gc.enable()
