"""XEP-0198 as a client keeps it: what it sent and what was acknowledged of that, how much it got, how its stream is called."""

from typing import Final
from xml.etree import ElementTree

from aldis.core.testing.patterns import Element
from aldis.core.xmpp.namespaces import CLIENT, STREAMS
from aldis.core.xmpp.sm import NS

STANZAS: Final = frozenset({f"{{{CLIENT}}}{name}" for name in ("message", "presence", "iq")})
MOST: Final = 2**32


class Counting:
    """Both counts of one session, over all its streams."""

    def __init__(self) -> None:
        self.previd = ""
        """By what it can be resumed."""
        self.seconds = 0
        self.h = 0
        """How many stanzas came."""
        self.sent: list[str] = []
        """Every stanza that was sent."""
        self.acked = 0
        """How many of them the server has acknowledged."""
        self.requests = 0
        """How often the server asked."""
        self._in = self._out = False

    def sends(self, xml: str) -> None:
        """Count what is sent, as far as it is whole."""
        try:
            elements = ElementTree.fromstring(f"<x xmlns='{CLIENT}' xmlns:stream='{STREAMS}'>{xml}</x>")  # noqa: S314  the test's own
        except ElementTree.ParseError:
            return
        for element in elements:
            if element.tag == f"{{{NS}}}enable":
                self._out = True
                self.sent.clear()
                self.acked = 0
            elif element.tag in STANZAS and self._out:
                self.sent.append(ElementTree.tostring(element, encoding="unicode", default_namespace=None))

    def hears(self, element: Element) -> bool:
        """Count what comes; True if it asks for an acknowledgement."""
        if element.tag in STANZAS:
            self.h += self._in
        elif element.tag == f"{{{NS}}}enabled":
            self._in = True
            self.h = 0
            self.previd = element.get("id", "")
            self.seconds = int(element.get("max", "0"))
        elif element.tag == f"{{{NS}}}resumed":
            self._in = self._out = True
            self._is_told(element)
        elif element.tag == f"{{{NS}}}a":
            self._is_told(element)
        asks = element.tag == f"{{{NS}}}r"
        self.requests += asks
        return asks

    def stops(self) -> None:
        """The stream is gone: nothing counts until it goes on."""
        self._in = self._out = False

    def _is_told(self, element: Element) -> None:
        h = int(element.get("h", ""))
        if not self.acked <= h <= len(self.sent):
            raise AssertionError(f"the server acknowledges {h} stanzas, after {self.acked} and of {len(self.sent)}")
        self.acked = h
