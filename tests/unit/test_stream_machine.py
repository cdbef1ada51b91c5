"""The c2s stream as RFC 6120 tells it, case by case: what the client sends, what it gets, what the shell is told."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count

import pytest

from aldis.core.xmpp.errors.sasl import NotAuthorized as WrongPassword
from aldis.core.xmpp.errors.stanza import Conflict
from aldis.core.xmpp.errors.stream import (
    ConnectionTimeout,
    HostUnknown,
    InvalidFrom,
    InvalidNamespace,
    NotAuthorized,
    NotWellFormed,
    PolicyViolation,
    RestrictedXml,
    StreamError,
    SystemShutdown,
    UnsupportedStanzaType,
    UnsupportedVersion,
)
from aldis.core.xmpp.jid import Jid
from aldis.core.xmpp.stream.events import (
    BindRequested,
    Event,
    PreBindIq,
    SaslAborted,
    SaslResponse,
    SaslStarted,
    StanzaReceived,
    StreamClosed,
    StreamOpened,
    TlsRequested,
)
from aldis.core.xmpp.stream.frames import FramerLimits
from aldis.core.xmpp.stream.machine import C2sStream
from aldis.core.xmpp.stream.settings import C2sSettings
from aldis.core.xmpp.stream.states import TRANSITIONS, State, Step

SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
HEADER = (
    b"<?xml version='1.0'?><stream:stream to='capulet.lit' version='1.0' xml:lang='it' "
    b"xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
)
STARTTLS = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
PLAIN = f"<auth xmlns='{SASL}' mechanism='PLAIN'>AGp1bGlldABy</auth>".encode()
SCRAM = f"<auth xmlns='{SASL}' mechanism='SCRAM-SHA-1'>biws</auth>".encode()
BIND = b"<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>balcony</resource></bind></iq>"
JULIET = Jid.parse("juliet@capulet.lit")
BALCONY = Jid.parse("juliet@capulet.lit/balcony")


def mechanisms(domain: str, tls: bool, bindings: Sequence[str]) -> Sequence[str]:
    return [*(["SCRAM-SHA-1-PLUS"] if bindings else []), "SCRAM-SHA-1", *(["PLAIN"] if tls else [])]


def ids() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"id{next(numbers)}"


def settings() -> C2sSettings:
    return C2sSettings(domains=("capulet.lit", "montague.lit"), mechanisms=mechanisms, stream_id=ids())


class Client:
    """Speaks to a stream and remembers what came of it."""

    def __init__(self, chosen: C2sSettings | None = None, *, tls: bool = True, bindings: tuple[str, ...] = ()) -> None:
        self.stream = C2sStream(chosen or settings(), now=0, tls=tls, bindings=bindings)

    def sends(self, data: bytes, now: float = 1) -> list[Event]:
        self.frames = self.stream.receive(data, now)
        return list(self.events())

    def events(self) -> Iterator[Event]:
        while (event := self.stream.next_event()) is not None:
            yield event

    def gets(self) -> str:
        return self.stream.take_output().decode()

    def logs_in(self) -> "Client":
        self.sends(HEADER + PLAIN)
        self.stream.sasl_success(None, JULIET)
        self.sends(HEADER)
        return self

    def binds(self) -> "Client":
        self.logs_in()
        self.sends(BIND)
        self.stream.bound(BALCONY)
        self.gets()
        return self

    def is_closed_with(self, error: type[StreamError], events: list[Event]) -> None:
        assert isinstance(events[-1], StreamClosed)
        assert type(events[-1].error) is error
        output = self.gets()
        assert output.count("<stream:stream ") <= 1
        assert re.search(
            rf"<stream:error><{error.condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>.*</stream:error></stream:stream>$", output
        )
        assert self.stream.state is State.CLOSED
        assert self.sends(HEADER) == []
        assert self.gets() == ""


# ── opening ──


def test_before_tls_only_starttls_is_offered() -> None:
    client = Client(tls=False)
    assert client.sends(HEADER) == [StreamOpened("capulet.lit", "it", first=True)]
    assert client.gets() == (
        "<?xml version='1.0'?><stream:stream from='capulet.lit' id='id1' version='1.0' xml:lang='en' "
        "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
        "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
    )


def test_optional_tls_stands_beside_the_mechanisms() -> None:
    client = Client(replace(settings(), require_tls=False), tls=False)
    client.sends(HEADER)
    assert client.gets().endswith(
        "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
        f"<mechanisms xmlns='{SASL}'><mechanism>SCRAM-SHA-1</mechanism></mechanisms></stream:features>"
    )


def test_inside_tls_the_mechanisms_and_the_channel_bindings_are_offered() -> None:
    client = Client(bindings=("tls-exporter", "tls-server-end-point"))
    client.sends(HEADER)
    assert client.gets().endswith(
        "<stream:features><sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/>"
        f"<channel-binding type='tls-server-end-point'/></sasl-channel-binding><mechanisms xmlns='{SASL}'>"
        "<mechanism>SCRAM-SHA-1-PLUS</mechanism><mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism></mechanisms>"
        "</stream:features>"
    )


def test_other_features_can_be_added() -> None:
    def extra(domain: str, secure: bool, authenticated: bool) -> bytes:
        return f"<x xmlns='urn:x' d='{domain}' t='{secure}' a='{authenticated}'/>".encode()

    client = Client(replace(settings(), extra_features=extra))
    client.sends(HEADER)
    assert "<x xmlns='urn:x' d='capulet.lit' t='True' a='False'/></stream:features>" in client.gets()
    client.sends(PLAIN)
    client.stream.sasl_success(None, JULIET)
    client.sends(HEADER)
    assert "<x xmlns='urn:x' d='capulet.lit' t='True' a='True'/></stream:features>" in client.gets()


def test_one_server_speaks_for_several_domains() -> None:
    client = Client()
    assert client.sends(HEADER.replace(b"capulet", b"MONTAGUE")) == [StreamOpened("montague.lit", "it", first=True)]
    assert " from='montague.lit'" in client.gets()


def test_a_client_that_says_who_it_is_is_addressed() -> None:
    client = Client()
    client.sends(HEADER.replace(b" to=", b" from='Juliet@capulet.lit/x' to="))
    assert " to='juliet@capulet.lit'" in client.gets()


@pytest.mark.parametrize("to", [b"to='verona.lit'", b"", b"to='juliet@capulet.lit'", b"to='@'", b"to=''"])
def test_an_unknown_host_is_refused_in_a_stream_of_our_own(to: bytes) -> None:
    client = Client()
    (closed,) = client.sends(HEADER.replace(b"to='capulet.lit'", to))
    assert isinstance(closed, StreamClosed)
    assert isinstance(closed.error, HostUnknown)
    output = client.gets()
    assert output.startswith("<?xml version='1.0'?><stream:stream from='capulet.lit'")
    assert output.endswith("<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")


@pytest.mark.parametrize(
    ("header", "error"),
    [
        (HEADER.replace(b"version='1.0' xml", b"xml"), UnsupportedVersion),
        (HEADER.replace(b"version='1.0' xml", b"version='0.9' xml"), UnsupportedVersion),
        (HEADER.replace(b"version='1.0' xml", b"version='one' xml"), UnsupportedVersion),
        (HEADER.replace(b"jabber:client", b"jabber:server"), InvalidNamespace),
        (HEADER.replace(b"etherx", b"ether"), InvalidNamespace),
        (b"<!DOCTYPE x>", RestrictedXml),
        (b"GET / HTTP/1.1\r\n", NotWellFormed),
    ],
)
def test_a_bad_header_is_answered_with_a_header_and_the_error(header: bytes, error: type[StreamError]) -> None:
    client = Client()
    client.is_closed_with(error, client.sends(header))


@pytest.mark.parametrize("version", [b"1.1", b"2.0", b"01.0", b"9" * 5000 + b".0"])
def test_a_later_version_gets_ours(version: bytes) -> None:
    client = Client()
    client.sends(HEADER.replace(b"version='1.0' xml", b"version='%b' xml" % version))
    assert "id='id1' version='1.0'" in client.gets()


# ── TLS ──


def test_starttls_begins_a_new_stream_with_a_new_id() -> None:
    client = Client(tls=False)
    assert client.sends(HEADER + STARTTLS)[-1] == TlsRequested()
    client.gets()
    client.stream.starttls_proceed()
    assert client.gets() == "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
    client.stream.tls_established(("tls-exporter",))
    assert client.stream.secure
    assert client.sends(HEADER) == [StreamOpened("capulet.lit", "it", first=False)]
    output = client.gets()
    assert "id='id2'" in output
    assert "SCRAM-SHA-1-PLUS" in output
    assert "starttls" not in output


def test_nothing_said_in_clear_after_starttls_is_heard() -> None:
    client = Client(tls=False)
    client.sends(HEADER + STARTTLS + HEADER + PLAIN)
    client.sends(HEADER + PLAIN)
    client.stream.starttls_proceed()
    client.sends(HEADER + PLAIN)
    client.stream.tls_established()
    client.gets()
    assert client.sends(b"") == []
    assert client.gets() == ""
    assert client.sends(HEADER) == [StreamOpened("capulet.lit", "it", first=False)]


def test_a_refused_starttls_ends_the_stream() -> None:
    client = Client(tls=False)
    client.sends(HEADER + STARTTLS)
    client.gets()
    client.stream.starttls_failure()
    assert client.gets() == "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>"
    assert list(client.events()) == [StreamClosed(None, by_peer=False)]


def test_starttls_that_is_not_offered_fails() -> None:
    without = Client(replace(settings(), starttls=False, require_tls=False), tls=False)
    twice, authenticated, bound = Client(), Client().logs_in(), Client().binds()
    without.sends(HEADER)
    twice.sends(HEADER)
    for client in (without, twice, authenticated, bound):
        client.gets()
        assert client.sends(STARTTLS) == [StreamClosed(None, by_peer=False)]
        assert client.gets() == "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>"


def test_the_domain_stays_the_same_over_restarts() -> None:
    client = Client(tls=False)
    client.sends(HEADER + STARTTLS)
    client.stream.starttls_proceed()
    client.stream.tls_established()
    client.gets()
    client.is_closed_with(HostUnknown, client.sends(HEADER.replace(b"capulet", b"montague")))


# ── SASL ──


def test_plain_succeeds_and_the_stream_starts_anew() -> None:
    client = Client()
    assert client.sends(HEADER + PLAIN)[-1] == SaslStarted("PLAIN", b"\0juliet\0r")
    client.gets()
    client.stream.sasl_success(None, JULIET)
    assert client.gets() == f"<success xmlns='{SASL}'/>"
    assert client.sends(HEADER) == [StreamOpened("capulet.lit", "it", first=False)]
    assert client.gets().endswith(
        "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"
        "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session></stream:features>"
    )


def test_a_challenge_is_answered_and_success_carries_data() -> None:
    client = Client()
    assert client.sends(HEADER + SCRAM)[-1] == SaslStarted("SCRAM-SHA-1", b"n,,")
    client.gets()
    client.stream.sasl_challenge(b"r=1")
    assert client.gets() == f"<challenge xmlns='{SASL}'>cj0x</challenge>"
    assert client.sends(f"<response xmlns='{SASL}'>Yz0x</response>".encode()) == [SaslResponse(b"c=1")]
    client.stream.sasl_success(b"v=1", JULIET)
    assert client.gets() == f"<success xmlns='{SASL}'>dj0x</success>"


def test_no_initial_response_differs_from_an_empty_one() -> None:
    assert Client().sends(HEADER + f"<auth xmlns='{SASL}' mechanism='PLAIN'/>".encode())[-1] == SaslStarted("PLAIN", None)
    assert Client().sends(HEADER + f"<auth xmlns='{SASL}' mechanism='PLAIN'>=</auth>".encode())[-1] == SaslStarted("PLAIN", b"")


@pytest.mark.parametrize(
    ("element", "condition"),
    [
        ("<auth xmlns='{}' mechanism='DIGEST-MD5'/>", "invalid-mechanism"),
        ("<auth xmlns='{}' mechanism='SCRAM-SHA-1-PLUS'/>", "invalid-mechanism"),
        ("<auth xmlns='{}'/>", "invalid-mechanism"),
        ("<auth xmlns='{}' mechanism='PLAIN'>???</auth>", "incorrect-encoding"),
        ("<auth xmlns='{}' mechanism='PLAIN'>" + "A" * 11000 + "</auth>", "malformed-request"),
        ("<response xmlns='{}'/>", "malformed-request"),
        ("<abort xmlns='{}'/>", "aborted"),
    ],
)
def test_sasl_that_does_not_fit_fails_and_the_client_may_try_again(element: str, condition: str) -> None:
    client = Client()
    client.sends(HEADER)
    client.gets()
    assert client.sends(element.format(SASL).encode()) == []
    assert f"<failure xmlns='{SASL}'><{condition}/>" in client.gets()
    assert client.sends(PLAIN) == [SaslStarted("PLAIN", b"\0juliet\0r")]


def test_sasl_in_clear_is_refused_where_tls_is_required() -> None:
    client = Client(tls=False)
    client.sends(HEADER)
    client.gets()
    assert client.sends(SCRAM) == []
    assert "<encryption-required/>" in client.gets()


@pytest.mark.parametrize(
    ("element", "condition"),
    [
        ("<abort xmlns='{}'/>", "aborted"),
        ("<auth xmlns='{}' mechanism='PLAIN'>AGEAYg==</auth>", "malformed-request"),
        ("<response xmlns='{}'>a</response>", "incorrect-encoding"),
    ],
)
def test_an_exchange_under_way_ends_and_the_shell_is_told(element: str, condition: str) -> None:
    client = Client()
    client.sends(HEADER + SCRAM)
    client.stream.sasl_challenge(b"r=1")
    client.gets()
    assert client.sends(element.format(SASL).encode()) == [SaslAborted()]
    assert f"<{condition}/>" in client.gets()
    assert client.stream.state is State.OPEN


def test_the_third_failure_ends_the_stream() -> None:
    client = Client()
    client.sends(HEADER)
    for _ in range(2):
        client.sends(PLAIN)
        client.gets()
        client.stream.sasl_failure(WrongPassword())
        assert client.gets() == f"<failure xmlns='{SASL}'><not-authorized/></failure>"
    client.sends(PLAIN)
    client.stream.sasl_failure(WrongPassword())
    client.is_closed_with(PolicyViolation, list(client.events()))


def test_authentication_after_authentication_is_unsupported() -> None:
    for client in (Client().logs_in(), Client().binds()):
        client.gets()
        client.is_closed_with(UnsupportedStanzaType, client.sends(PLAIN))


def test_a_client_may_send_its_new_header_before_it_has_its_success() -> None:
    client = Client()
    client.sends(HEADER + PLAIN + b"\n" + HEADER + BIND[:20])
    client.sends(BIND[20:] + b"<presence/>")
    client.stream.rest()
    client.stream.sasl_success(None, JULIET)
    assert list(client.events()) == [StreamOpened("capulet.lit", "it", first=False), BindRequested("balcony")]
    client.stream.bound(BALCONY)
    (event,) = client.events()
    assert isinstance(event, StanzaReceived)
    assert event.frame.name == "presence"


def test_after_a_failure_what_was_sent_ahead_is_judged() -> None:
    client = Client()
    client.sends(HEADER + PLAIN + HEADER + BIND)
    client.stream.sasl_failure(WrongPassword())
    client.is_closed_with(NotWellFormed, list(client.events()))


def test_who_waits_may_not_send_without_end() -> None:
    client = Client()
    client.sends(HEADER + PLAIN)
    client.gets()
    events: list[Event] = []
    for _ in range(20):
        events += client.sends(b" " * 1000)
    client.is_closed_with(PolicyViolation, events)


def test_who_says_to_be_somebody_else_after_authentication_is_refused() -> None:
    client = Client()
    client.sends(HEADER + PLAIN)
    client.stream.sasl_success(None, JULIET)
    client.gets()
    client.is_closed_with(InvalidFrom, client.sends(HEADER.replace(b" to=", b" from='romeo@capulet.lit' to=")))


# ── binding ──


def test_a_resource_is_bound() -> None:
    client = Client().logs_in()
    assert client.sends(BIND) == [BindRequested("balcony")]
    client.gets()
    client.stream.bound(BALCONY)
    assert client.gets() == (
        "<iq type='result' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>juliet@capulet.lit/balcony</jid></bind></iq>"
    )
    assert client.stream.jid == BALCONY


def test_a_resource_may_be_written_in_any_way_that_xml_allows() -> None:
    client = Client().logs_in()
    written = b"<b:bind xmlns:b='urn:ietf:params:xml:ns:xmpp-bind'><b:resource>ba<![CDATA[l]]>c&#111;ny</b:resource></b:bind>"
    assert client.sends(b"<iq type='set' id='b1'>%b</iq>" % written) == [BindRequested("balcony")]


@pytest.mark.parametrize("inside", [b"", b"<resource/>", b"<resource></resource>", b"<other xmlns='x'>y</other>"])
def test_the_server_may_choose_the_resource(inside: bytes) -> None:
    client = Client().logs_in()
    assert client.sends(BIND.replace(b"<resource>balcony</resource>", inside)) == [BindRequested(None)]


def test_a_refused_resource_can_be_replaced() -> None:
    client = Client().logs_in()
    client.sends(BIND)
    client.gets()
    client.stream.bind_failed(Conflict())
    assert client.gets() == (
        "<iq type='error' id='b1'><error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
    )
    assert client.sends(BIND) == [BindRequested("balcony")]


@pytest.mark.parametrize(
    "iq", [BIND.replace(b" id='b1'", b""), BIND.replace(b"'set'", b"'get'"), BIND.replace(b"<resource>", b"<resource/><resource>")]
)
def test_a_bad_request_to_bind_is_answered(iq: bytes) -> None:
    client = Client().logs_in()
    client.gets()
    assert client.sends(iq) == []
    assert "<bad-request xmlns=" in client.gets()
    assert client.stream.state is State.BINDABLE


@pytest.mark.parametrize("stanza", [b"<message/>", b"<presence/>", b"<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>"])
def test_stanzas_before_authentication_or_binding_end_the_stream(stanza: bytes) -> None:
    stranger, known = Client(), Client().logs_in()
    stranger.sends(HEADER)
    for client in (stranger, known):
        client.gets()
        client.is_closed_with(NotAuthorized, client.sends(stanza))


def test_an_early_iq_that_is_allowed_reaches_the_shell() -> None:
    chosen = replace(settings(), early_iqs=frozenset({"{jabber:iq:register}query"}))
    ask = b"<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>"
    client = Client(chosen)
    client.sends(HEADER)
    client.gets()
    (event,) = client.sends(ask)
    assert isinstance(event, PreBindIq)
    assert event.frame.attrs["id"] == "r"
    client.stream.answer(b"<iq type='result' id='r'/>")
    assert client.gets() == "<iq type='result' id='r'/>"
    in_clear = Client(chosen, tls=False)
    in_clear.sends(HEADER)
    in_clear.gets()
    in_clear.is_closed_with(NotAuthorized, in_clear.sends(ask))


# ── stanzas ──


def test_once_bound_stanzas_come_straight_out_of_receive() -> None:
    client = Client().binds()
    assert client.sends(b"<message to='a'><body>1</body></message><presence/> <iq type='get' id='1'/>") == []
    assert [frame.name for frame in client.frames] == ["message", "presence", "iq"]


@pytest.mark.parametrize("sender", [b"juliet@capulet.lit", b"juliet@capulet.lit/balcony", b"Juliet@CAPULET.lit/balcony"])
def test_the_senders_own_address_is_fine(sender: bytes) -> None:
    client = Client().binds()
    assert client.sends(b"<message from='%b'/>" % sender) == []
    assert len(client.frames) == 1


@pytest.mark.parametrize("sender", [b"romeo@montague.lit", b"juliet@capulet.lit/chamber", b"@", b"", b"capulet.lit"])
def test_a_forged_sender_ends_the_stream_after_what_came_before(sender: bytes) -> None:
    client = Client().binds()
    events = client.sends(b"<message id='1'/><message id='2' from='%b'/><message id='3'/>" % sender)
    assert [frame.attrs["id"] for frame in client.frames] == ["1"]
    client.is_closed_with(InvalidFrom, events)


def test_a_stanza_sent_ahead_of_binding_is_checked_too() -> None:
    client = Client().logs_in()
    client.sends(BIND + b"<message from='romeo@montague.lit'/>")
    client.stream.bound(BALCONY)
    client.gets()
    client.is_closed_with(InvalidFrom, list(client.events()))


def test_order_is_kept_between_what_came_before_binding_and_after() -> None:
    client = Client().logs_in()
    client.sends(BIND + b"<message id='1'/>")
    client.stream.bound(BALCONY)
    assert client.stream.receive(b"<message id='2'/>", 2) == []
    assert [event.frame.attrs["id"] for event in client.events() if isinstance(event, StanzaReceived)] == ["1", "2"]
    assert [frame.attrs["id"] for frame in client.stream.receive(b"<message id='3'/>", 3)] == ["3"]


@pytest.mark.parametrize(
    ("element", "error"),
    [
        (b"<message xmlns='jabber:server'/>", InvalidNamespace),
        (b"<message xmlns=''/>", InvalidNamespace),
        (b"<query/>", UnsupportedStanzaType),
        (b"<sent xmlns='urn:xmpp:sm:3'/>", UnsupportedStanzaType),
        (b"<stream:features/>", UnsupportedStanzaType),
        (b"<message><!-- --></message>", RestrictedXml),
        (b"<message></iq>", NotWellFormed),
        (b"<message><body>" + b"x" * 2000, PolicyViolation),
    ],
)
def test_what_is_no_stanza_ends_the_stream(element: bytes, error: type[StreamError]) -> None:
    client = Client(replace(settings(), limits=FramerLimits(stanza_bytes=1000))).binds()
    events = client.sends(b"<presence/>" + element)
    assert [frame.name for frame in client.frames] == ["presence"]
    client.is_closed_with(error, events)


def test_a_bad_address_is_not_the_streams_matter() -> None:
    client = Client().binds()
    assert client.sends(b"<message to='@@@'/>") == []
    assert len(client.frames) == 1


# ── the end ──


def test_a_client_says_goodbye() -> None:
    client = Client().binds()
    assert client.sends(b"<presence type='unavailable'/></stream:stream>") == [StreamClosed(None, by_peer=True)]
    assert len(client.frames) == 1
    assert client.gets() == "</stream:stream>"


def test_the_server_says_goodbye_once() -> None:
    client = Client().binds()
    client.stream.close(SystemShutdown("back in a minute"))
    client.stream.close()
    assert len(list(client.events())) == 1
    assert client.gets().count("</stream:stream>") == 1


def test_an_answer_that_comes_after_the_end_is_ignored() -> None:
    client = Client()
    client.sends(HEADER + PLAIN)
    client.stream.close()
    client.gets()
    client.stream.sasl_success(None, JULIET)
    client.stream.sasl_failure(WrongPassword())
    client.stream.bound(BALCONY)
    client.stream.answer(b"<a/>")
    assert client.gets() == ""


def test_an_answer_that_nobody_asked_for_is_a_bug() -> None:
    client = Client()
    client.sends(HEADER)
    with pytest.raises(ValueError, match="a stream at OPEN can't take the step SUCCESS"):
        client.stream.sasl_success(None, JULIET)


def test_an_error_in_mid_restart_stands_in_a_stream_of_its_own() -> None:
    client = Client()
    client.sends(HEADER + PLAIN)
    client.stream.sasl_success(None, JULIET)
    client.gets()
    client.stream.close(SystemShutdown())
    assert client.gets().startswith("<?xml version='1.0'?><stream:stream from='capulet.lit' id='id2'")


def test_no_xml_is_written_into_a_handshake() -> None:
    client = Client(tls=False)
    client.sends(HEADER + STARTTLS)
    client.stream.starttls_proceed()
    client.gets()
    client.stream.tick(1000)
    assert client.gets() == ""
    (closed,) = client.events()
    assert isinstance(closed, StreamClosed)


# ── time ──


def test_a_stranger_has_a_limited_time_whatever_it_sends() -> None:
    client = Client()
    assert client.stream.deadline() == 30
    client.sends(HEADER, now=29)
    assert client.stream.deadline() == 30
    client.stream.tick(29.9)
    assert list(client.events()) == []
    client.gets()
    client.stream.tick(30)
    client.is_closed_with(ConnectionTimeout, list(client.events()))
    assert client.stream.deadline() is None


def test_binding_has_a_time_of_its_own() -> None:
    client = Client()
    client.sends(HEADER + PLAIN, now=20)
    client.stream.sasl_success(None, JULIET)
    client.sends(HEADER, now=21)
    assert client.stream.deadline() == 50


def test_a_half_open_connection_ends_when_it_has_been_silent_for_long() -> None:
    client = Client(replace(settings(), silence_seconds=100)).binds()
    client.sends(b" ", now=50)
    assert client.stream.deadline() == 150
    client.stream.tick(150)
    client.is_closed_with(ConnectionTimeout, list(client.events()))
    assert Client().binds().stream.deadline() is None


def test_every_state_has_its_row_and_every_step_a_place() -> None:
    assert set(TRANSITIONS) == set(State)
    assert {step for row in TRANSITIONS.values() for step in row} == set(Step)
