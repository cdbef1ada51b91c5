"""Measure framing: microseconds a stanza, for a chunk of one, of several, and cut at odd places."""

from time import perf_counter

from aldis.core.xmpp.stream.framer import Framer
from aldis.core.xmpp.stream.frames import FramerLimits

HEADER = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='capulet.lit' version='1.0'>"
PLAIN = b"<message to='romeo@montague.lit/orchard' id='abc12345' type='chat'><body>Wherefore art thou, Romeo?</body></message>"
MODERN = (
    b"<message xmlns='jabber:client' to='romeo@montague.lit/orchard' id='abc12345' type='chat' xml:lang='en'>"
    b"<body>Wherefore art thou, Romeo?</body><active xmlns='http://jabber.org/protocol/chatstates'/>"
    b"<request xmlns='urn:xmpp:receipts'/><origin-id xmlns='urn:xmpp:sid:0' id='abc12345'/></message>"
)
PRESENCE = b"<presence><priority>5</priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/></presence>"
PREFIXED = b"<c:message xmlns:c='jabber:client' to='romeo@montague.lit'><c:body>Wherefore?</c:body></c:message>"
STANZAS = 20_000


def measure(chunks: list[bytes], stanzas: int) -> float:
    """Return the best of seven runs, in microseconds a stanza."""
    best = float("inf")
    for _ in range(7):
        framer = Framer(FramerLimits())
        framer.feed(HEADER)
        seen = 0
        began = perf_counter()
        for chunk in chunks:
            seen += len(framer.feed(chunk))
        best = min(best, (perf_counter() - began) / stanzas * 1e6)
        if framer.error is not None or seen != stanzas:
            raise SystemExit(f"framed {seen} of {stanzas}: {framer.error!r}")
    return best


def main() -> None:
    """Print one line per kind of stanza."""
    for name, stanza in (("plain", PLAIN), ("modern", MODERN), ("presence", PRESENCE), ("prefixed", PREFIXED)):
        everything = stanza * STANZAS
        figures = {f"{n} a chunk": [stanza * n] * (STANZAS // n) for n in (1, 4, 20)}
        figures["1000-byte chunks"] = [everything[at : at + 1000] for at in range(0, len(everything), 1000)]
        print(f"{name:9}", *(f"{label} {measure(chunks, STANZAS):.2f} µs" for label, chunks in figures.items()), sep="  ")


if __name__ == "__main__":
    main()
