"""Properties of a whole session: how the bytes are cut changes nothing, and rubbish at any stage ends in a stream error."""

from collections.abc import Sequence
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from aldis.core.xmpp.errors.sasl import NotAuthorized
from aldis.core.xmpp.errors.stream import StreamError
from aldis.core.xmpp.jid import Jid
from aldis.core.xmpp.stream.events import (
    BindRequested,
    PreBindIq,
    SaslResponse,
    SaslStarted,
    StanzaReceived,
    StreamClosed,
    TlsRequested,
)
from aldis.core.xmpp.stream.frames import Frame
from aldis.core.xmpp.stream.machine import C2sStream
from aldis.core.xmpp.stream.settings import C2sSettings

SASL = b"xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
HEADER = (
    b"<?xml version='1.0'?>\n<stream:stream to='capulet.lit' version='1.0' xml:lang='it' from='juliet@capulet.lit' "
    b"xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' xmlns:p='urn:p'>"
)
IN_CLEAR = HEADER + b" <starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
IN_TLS = (
    HEADER
    + b"<auth %b mechanism='PLAIN'>AGEAYg==</auth> <auth %b mechanism='SCRAM-SHA-1'>biws</auth>" % (SASL, SASL)
    + b"<response %b>Yz1iaXdz</response>\n" % SASL
    + HEADER
    + b"<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>"
    + b"<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>x</resource></bind></iq>"
)
STANZAS = (
    "<message to='romeo@montague.lit' id='1' type='chat'><body>é\U0001f600 &amp;&lt;&#x1F600;</body></message>".encode(),
    b"<message xmlns='jabber:client'><body><![CDATA[<b>]]&gt;]]></body> text </message>",
    b"<c:message xmlns:c='jabber:client'><c:body>x</c:body></c:message>",
    b"<message><p:x stream:y='z'/></message>",
    b"<presence/>",
    b"<presence xml:lang='de'></presence>",
    b"\n<iq type='get' id=\"1>\"><ping xmlns='urn:xmpp:ping'/></iq >",
    b"<message from='Juliet@capulet.lit'/>",
    b"<message from='romeo@montague.lit'/>",
    b"<r xmlns='urn:xmpp:sm:3'/>",
    b"</stream:stream>",
    b" ",
)


def mechanisms(domain: str, tls: bool, bindings: Sequence[str]) -> Sequence[str]:
    return ("SCRAM-SHA-1", "PLAIN")


class Shell:
    """Answers every event at once: the first login fails, the second is challenged, the third step lets in."""

    def __init__(self) -> None:
        numbers = count(1)
        self.stream = C2sStream(
            C2sSettings(
                domains=("capulet.lit",),
                mechanisms=mechanisms,
                stream_id=lambda: f"id{next(numbers)}",
                early_iqs=frozenset({"{jabber:iq:register}query"}),
            ),
            now=0,
        )
        self.seen: list[object] = []
        self.wrote = b""

    def feed(self, data: bytes, cuts: list[int]) -> None:
        at = turn = 0
        while at < len(data):
            step = cuts[turn % len(cuts)]
            self.see(self.stream.receive(data[at : at + step], 1))
            self.act()
            self.wrote += self.stream.take_output()
            at, turn = at + step, turn + 1
            if turn % 5 == 0:
                self.stream.rest()

    def see(self, frames: list[Frame]) -> None:
        self.seen += [(frame.ns, frame.name, frame.attrs, frame.children, frame.names) for frame in frames]

    def act(self) -> None:
        stream = self.stream
        while (event := stream.next_event()) is not None:
            match event:
                case TlsRequested():
                    stream.starttls_proceed()
                case SaslStarted(mechanism="PLAIN"):
                    stream.sasl_failure(NotAuthorized())
                case SaslStarted():
                    stream.sasl_challenge(b"?")
                case SaslResponse():
                    stream.sasl_success(b"!", Jid.parse("juliet@capulet.lit"))
                case BindRequested():
                    stream.bound(Jid.parse("juliet@capulet.lit/x"))
                case PreBindIq():
                    stream.answer(b"<iq type='result' id='r'/>")
            match event:
                case StanzaReceived(frame) | PreBindIq(frame):
                    self.see([frame])
                case StreamClosed(error, by_peer):
                    assert error is None or isinstance(error, StreamError)
                    self.seen.append((type(error), str(error), by_peer))
                case _:
                    self.seen.append(event)


def session(stanzas: bytes, cuts: list[int]) -> Shell:
    shell = Shell()
    shell.feed(IN_CLEAR, cuts)
    shell.stream.tls_established(("tls-exporter",))
    shell.feed(IN_TLS + stanzas, cuts)
    return shell


SCRIPT = st.lists(st.sampled_from(STANZAS), max_size=8).map(b"".join)


@given(SCRIPT, st.lists(st.integers(1, 120), min_size=1, max_size=6))
def test_the_way_a_session_is_cut_does_not_matter(stanzas: bytes, cuts: list[int]) -> None:
    whole, pieces = session(stanzas, [1 << 20]), session(stanzas, cuts)
    assert pieces.seen == whole.seen
    assert pieces.wrote == whole.wrote


def test_a_session_cut_at_every_offset_is_the_same() -> None:
    stanzas = b"".join(STANZAS[:8]) + b"</stream:stream>"
    whole = session(stanzas, [1 << 20])
    assert len(whole.seen) == 18
    for at in range(1, len(IN_TLS + stanzas)):
        pieces = session(stanzas, [at, 1 << 20])
        assert pieces.seen == whole.seen
        assert pieces.wrote == whole.wrote


@given(
    SCRIPT,
    st.integers(0, 2000),
    st.integers(0, 10),
    st.binary(max_size=12) | st.sampled_from([b"<!--", b"<!DOCTYPE", b"&x;", b"\xff", b"<", b"</"]),
)
def test_damage_anywhere_ends_in_a_stream_error_or_nothing(stanzas: bytes, at: int, gone: int, scrap: bytes) -> None:
    data = IN_TLS + stanzas
    at %= len(data)
    shell = Shell()
    shell.feed(IN_CLEAR, [1 << 20])
    shell.stream.tls_established()
    shell.feed(data[:at] + scrap + data[at + gone :], [50])
    closings = [event for event in shell.seen if isinstance(event, tuple) and len(event) == 3]
    assert len(closings) <= 1
    assert shell.wrote.endswith(b"</stream:stream>") == (len(closings) == 1)
