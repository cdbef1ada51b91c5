"""XEP-0198 in the c2s stream: which of its elements may come when."""

import pytest

from aldis.core.xmpp.errors.stanza import ItemNotFound
from aldis.core.xmpp.errors.stream import NotAuthorized
from aldis.core.xmpp.stream.events import BindRequested, ResumeRequested, StanzaReceived
from aldis.core.xmpp.stream.states import State
from tests.unit.test_stream_machine import BALCONY, BIND, HEADER, Client

ENABLE = b"<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
RESUME = b"<resume xmlns='urn:xmpp:sm:3' previd='an-id' h='3'/>"
REQUEST = b"<r xmlns='urn:xmpp:sm:3'/>"
ANSWER = b"<a xmlns='urn:xmpp:sm:3' h='3'/>"
UNEXPECTED = "<failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"


@pytest.mark.parametrize("element", [ENABLE, RESUME, REQUEST, ANSWER])
def test_nothing_is_managed_before_the_client_is_in(element: bytes) -> None:
    client = Client()
    client.sends(HEADER)
    client.gets()
    assert client.sends(element) == []
    assert client.gets() == UNEXPECTED
    assert client.stream.state is State.OPEN


@pytest.mark.parametrize("element", [ENABLE, REQUEST, ANSWER])
def test_only_a_former_stream_goes_on_without_a_resource(element: bytes) -> None:
    client = Client().logs_in()
    client.gets()
    assert client.sends(element) == []
    assert client.gets() == UNEXPECTED
    assert client.sends(BIND) == [BindRequested("balcony")]


def test_a_former_stream_goes_on_with_what_was_sent_behind() -> None:
    client = Client().logs_in()
    client.gets()
    assert client.sends(RESUME + b"<message id='1'/>" + REQUEST) == [ResumeRequested("an-id", 3)]
    assert client.stream.state is State.RESUME_ASKED
    client.stream.resumed(BALCONY, "an-id", 5)
    assert client.gets() == "<resumed xmlns='urn:xmpp:sm:3' previd='an-id' h='5'/>"
    assert [event.frame.name for event in client.events() if isinstance(event, StanzaReceived)] == ["message", "r"]
    assert client.stream.jid == BALCONY
    assert client.sends(b"<message from='juliet@capulet.lit/balcony'/>") == []
    assert len(client.frames) == 1


def test_where_it_does_not_a_resource_is_bound() -> None:
    client = Client().logs_in()
    client.gets()
    client.sends(RESUME + BIND)
    client.stream.resume_failed(ItemNotFound(), 2)
    assert "h='2'><item-not-found" in client.gets()
    assert list(client.events()) == [BindRequested("balcony")]


def test_stanzas_behind_a_resumption_that_failed_are_nobodys() -> None:
    client = Client().logs_in()
    client.sends(RESUME + b"<message/>")
    client.stream.resume_failed(ItemNotFound())
    client.gets()
    client.is_closed_with(NotAuthorized, list(client.events()))


@pytest.mark.parametrize("attributes", [b"", b" previd='x'", b" h='1'", b" previd='x' h='-1'"])
def test_a_resumption_that_makes_no_sense_is_refused(attributes: bytes) -> None:
    client = Client().logs_in()
    client.gets()
    assert client.sends(b"<resume xmlns='urn:xmpp:sm:3'" + attributes + b"/>") == []
    assert "<failed xmlns='urn:xmpp:sm:3'><bad-request" in client.gets()
    assert client.stream.state is State.BINDABLE


def test_once_bound_it_stands_among_the_stanzas() -> None:
    client = Client().binds()
    assert client.sends(b"<message/>" + ENABLE + b"<message/>" + REQUEST + ANSWER + RESUME) == []
    assert [frame.name for frame in client.frames] == ["message", "enable", "message", "r", "a", "resume"]


def test_behind_a_request_for_a_resource_it_keeps_its_place() -> None:
    client = Client().logs_in()
    client.sends(BIND + ENABLE + b"<message/>")
    client.stream.bound(BALCONY)
    assert [event.frame.name for event in client.events() if isinstance(event, StanzaReceived)] == ["enable", "message"]
