"""Measure framing, and the stream above it once bound: microseconds a stanza, alone, several a chunk, and cut at odd places.

Best of many short runs, so that what else the machine does matters less.
"""

from collections.abc import Callable, Sequence
from time import perf_counter

from aldis.core.xmpp.jid import Jid
from aldis.core.xmpp.stream.framer import Framer
from aldis.core.xmpp.stream.frames import FramerLimits
from aldis.core.xmpp.stream.machine import C2sStream
from aldis.core.xmpp.stream.settings import C2sSettings

HEADER = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='capulet.lit' version='1.0'>"
PLAIN = b"<message to='romeo@montague.lit/orchard' id='abc12345' type='chat'><body>Wherefore art thou, Romeo?</body></message>"
MODERN = (
    b"<message xmlns='jabber:client' to='romeo@montague.lit/orchard' id='abc12345' type='chat' xml:lang='en'>"
    b"<body>Wherefore art thou, Romeo?</body><active xmlns='http://jabber.org/protocol/chatstates'/>"
    b"<request xmlns='urn:xmpp:receipts'/><origin-id xmlns='urn:xmpp:sid:0' id='abc12345'/></message>"
)
PRESENCE = b"<presence><priority>5</priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/></presence>"
PREFIXED = b"<c:message xmlns:c='jabber:client' to='romeo@montague.lit'><c:body>Wherefore?</c:body></c:message>"
RUNS, STANZAS = 200, 200
SASL = b"urn:ietf:params:xml:ns:xmpp-sasl"
BIND = b"<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"


def bound_stream() -> C2sStream:
    """Log in and bind."""
    settings = C2sSettings(domains=("capulet.lit",), mechanisms=lambda *_: ("PLAIN",), stream_id=lambda: "id")
    stream = C2sStream(settings, now=0, tls=True)
    jid = Jid.parse("juliet@capulet.lit/balcony")
    stream.receive(HEADER + b"<auth xmlns='%b' mechanism='PLAIN'>=</auth>" % SASL, 0)
    drain(stream)
    stream.sasl_success(None, jid)
    stream.receive(HEADER + BIND, 0)
    drain(stream)
    stream.bound(jid)
    return stream


def drain(stream: C2sStream) -> None:
    """Look at all events."""
    while stream.next_event() is not None:
        pass


def measure(feed: Callable[[bytes], Sequence[object]], chunks: list[bytes]) -> float:
    """Return the best time for `STANZAS` stanzas, in microseconds a stanza."""
    best = float("inf")
    for _ in range(RUNS):
        began = perf_counter()
        seen = sum(len(feed(chunk)) for chunk in chunks)
        best = min(best, perf_counter() - began)
        if seen != STANZAS:
            raise SystemExit(f"framed {seen} of {STANZAS}")
    return best / STANZAS * 1e6


def main() -> None:
    """Print one line per kind of stanza, for the framer and for the whole stream."""
    framer, stream = Framer(FramerLimits()), bound_stream()
    framer.feed(HEADER)
    feeds: dict[str, Callable[[bytes], Sequence[object]]] = {"framer": framer.feed, "stream": lambda data: stream.receive(data, 1)}
    for layer, feed in feeds.items():
        for name, stanza in (("plain", PLAIN), ("modern", MODERN), ("presence", PRESENCE), ("prefixed", PREFIXED)):
            everything = stanza * STANZAS
            figures = {f"{n} a chunk": [stanza * n] * (STANZAS // n) for n in (1, 4, 20)}
            figures["1000-byte chunks"] = [everything[at : at + 1000] for at in range(0, len(everything), 1000)]
            print(f"{layer}  {name:9}", *(f"{label} {measure(feed, chunks):.2f} µs" for label, chunks in figures.items()), sep="  ")


if __name__ == "__main__":
    main()
