"""Stanzas between XML and envelope."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from aldis.core.contracts.base import Origin
from aldis.core.contracts.envelope import Envelope, Flag, Kind
from aldis.core.xmpp.stream.framer import Framer
from aldis.core.xmpp.stream.frames import Frame, FramerLimits
from aldis.gateway.domain.stanzas import inbound, outbound

HEADER = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
ORIGIN = Origin("g.1", 7)


def frame(xml: bytes) -> Frame:
    framer = Framer(FramerLimits())
    _, found = framer.feed(HEADER + xml)
    assert isinstance(found, Frame)
    return found


def taken(xml: bytes, flags: int = 0) -> Envelope:
    return inbound(frame(xml), "juliet@capulet.lit/balcony", "juliet@capulet.lit", ORIGIN, flags)


def test_every_attribute_has_its_field_and_from_is_ours() -> None:
    stanza = taken(
        b"<message from='nurse@capulet.lit' to='Romeo@MONTAGUE.lit/o' type='chat' id='1' xml:lang='it'>"
        b"<body>x</body><y xmlns='z'/></message>"
    )
    assert stanza == Envelope(
        Kind.MESSAGE,
        "chat",
        "1",
        "juliet@capulet.lit/balcony",
        "romeo@montague.lit/o",
        b"<body>x</body><y xmlns='z'/>",
        ("{jabber:client}body", "{z}y"),
        ORIGIN,
        Flag.BODY,
        "it",
    )


@pytest.mark.parametrize(
    ("xml", "to", "flags"),
    [
        (b"<presence/>", "", 0),
        (b"<message/>", "juliet@capulet.lit", Flag.UNADDRESSED),
        (b"<iq type='get' id='1'/>", "juliet@capulet.lit", Flag.UNADDRESSED),
        (b"<iq type='get' id='1' to='capulet.lit'/>", "capulet.lit", 0),
        (b"<presence to=''/>", "", Flag.BAD_TO),
        (b"<message to='a@b@c'/>", "a@b@c", Flag.BAD_TO),
    ],
)
def test_a_stanza_goes_where_its_address_says(xml: bytes, to: str, flags: int) -> None:
    stanza = taken(xml)
    assert (stanza.to, stanza.flags) == (to, flags)


def test_an_address_that_is_too_long_for_the_cache_is_parsed_all_the_same() -> None:
    long = "a" * 900 + "@capulet.lit"
    assert taken(f"<message to='{long.upper()}'/>".encode()).to == long


def test_a_body_in_another_namespace_is_none() -> None:
    assert taken(b"<message to='x'><body xmlns='urn:other'/></message>").flags == 0


def test_what_the_session_knows_of_a_presence_is_kept() -> None:
    assert taken(b"<presence/>", Flag.INITIAL).flags == Flag.INITIAL


characters = st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff") | st.sampled_from("\t\n\r&<>'\"")
values = st.text(characters, max_size=30)


@given(kind=st.sampled_from(list(Kind)), type=values, id=values, sender=values, to=values, lang=values)
def test_whatever_is_in_the_attributes_is_read_back(kind: Kind, type: str, id: str, sender: str, to: str, lang: str) -> None:  # noqa: A002  the fields' names
    stanza = Envelope(int(kind), type, id, sender, "", b"<a xmlns='b'>\xc3\xa4</a>", (), ORIGIN, 0, lang)
    element = etree.fromstring(outbound(stanza, to))
    found = {str(key).replace("{http://www.w3.org/XML/1998/namespace}", "xml:"): value for key, value in element.attrib.items()}
    wanted = {"from": sender, "to": to, "type": type, "id": id, "xml:lang": lang}
    assert {key: value for key, value in found.items() if value} == {key: value for key, value in wanted.items() if value}
    assert element.tag == kind.name.lower()
    assert element[0].text == "ä"


def test_a_stanza_without_children_is_one_empty_tag() -> None:
    stanza = Envelope(Kind.IQ, "result", "1", "capulet.lit", "", b"", (), ORIGIN)
    assert outbound(stanza, "x@y/z") == b"<iq from='capulet.lit' to='x@y/z' type='result' id='1'/>"
