"""XEP-0198 on a client's stream: what it says of its stanzas and is told of them, and when it is asked."""

from collections.abc import Callable
from typing import Final

from aldis.core.shards.hub import Hub
from aldis.core.shards.link import Link
from aldis.core.xmpp.errors.stanza import StanzaError, UnexpectedRequest
from aldis.core.xmpp.sm import REQUEST, elements
from aldis.core.xmpp.stream.frames import Frame

NEVER: Final = 2**62


class Management:
    """One stream's. While its client counts it is asked for an acknowledgement now and then, once at a time."""

    __slots__ = ("_asked", "_every", "_hub", "_link", "_now", "_send", "_since", "_upto")

    def __init__(self, hub: Hub, link: Link, send: Callable[[bytes], None], now: Callable[[], float]) -> None:
        self._hub = hub
        self._link = link
        self._send = send
        self._now = now
        self._every = NEVER
        self._since = 0
        """Stanzas since it was asked last."""
        self._asked = 0.0
        """When it was asked and has not answered yet."""
        self._upto = 0
        """What its answer has to cover."""

    # ── what the client says ──

    def take(self, frame: Frame) -> None:
        """Take an element of XEP-0198; raises `StreamError`."""
        link = self._link
        if frame.name == "enable" and not link.enabling:
            try:
                wish = elements.wish(frame.attrs)
            except StanzaError as error:
                self._send(elements.failed(error))
                return
            self._hub.resumption.enable(link, resume=wish.resume, seconds=wish.seconds)
        elif frame.name == "r" and link.enabling:
            self._acknowledge()
        elif frame.name == "a" and link.counters is not None:
            self._hub.acknowledge(link, elements.handled(frame.attrs))
            self._answered()
        else:
            # §3 has a stream error for who asks twice, its own example this; the client's session is worth more than the point
            self._send(elements.failed(UnexpectedRequest()))

    def _acknowledge(self) -> None:
        """Say at once what is confirmed, and the rest when it is (§4)."""
        link = self._link
        if link.counters is None:
            link.wanted = link.n  # `<enabled/>` is on its way
            return
        self._send(elements.acknowledgement(link.h))
        if max(link.handled, link.floor) < link.n:
            link.wanted = link.n

    # ── what it is told ──

    def enabled(self, previd: str, seconds: int, every: int) -> None:
        """Its stanzas are counted; it is asked after `every` stanzas."""
        self._every = every
        self._send(elements.enabled(previd, seconds))
        if self._link.wanted:
            self.told()

    def resumed(self, every: int) -> None:
        """It goes on with a former stream."""
        self._every = every

    def told(self) -> None:
        """More of what it sent is confirmed, and it waits to hear that."""
        self._link.wanted = 0
        self._acknowledge()

    # ── asking ──

    def gives(self) -> bool:
        """One stanza more; is it time to ask?"""
        self._since += 1
        return self._since >= self._every and not self._asked

    def asks(self) -> None:
        """The client is asked."""
        self._asked = self._now()
        self._since = 0
        self._upto = self._link.number

    def _answered(self) -> None:
        counters = self._link.counters
        if counters is not None and self._asked and counters.acked >= self._upto:
            self._asked = 0.0
        if self._since >= self._every and not self._asked:
            self._ask()

    def _ask(self) -> None:
        self._send(REQUEST)
        self.asks()

    def look_after(self, now: float, patience: float) -> bool:
        """Ask for what is unacknowledged, however little it is; False if the client was asked long ago and says nothing."""
        counters = self._link.counters
        if counters is None:
            return True
        if self._asked:
            return not patience or now - self._asked <= patience
        if counters.acked < self._link.number:
            self._ask()
        return True
