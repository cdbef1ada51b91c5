"""What a server sends, as a client's parser sees it: the header, whole first-level elements, the end (RFC 6120 §4)."""

from xml.etree.ElementTree import Element, TreeBuilder

from aldis.core.xmpp.stream.expat import new_parser
from aldis.core.xmpp.stream.tokens import giver


def _clark(name: str) -> str:
    return "{" + name if "}" in name else name


class Incoming:
    """One stream, from header to end; a restart takes a new one."""

    def __init__(self) -> None:
        self.header: Element | None = None
        """The opening tag, without content."""
        self.elements: list[Element] = []
        """First-level elements that nobody took yet."""
        self.ended = False
        """Whether the closing tag came."""
        self._depth = 0
        self._builder = TreeBuilder()
        parser = new_parser()
        parser.StartElementHandler = self._starts
        parser.EndElementHandler = self._ends
        parser.CharacterDataHandler = self._characters
        self._give = giver(parser)

    def feed(self, data: bytes) -> None:
        """Take bytes; raises `ExpatError` if a server sends what is not well-formed."""
        self._give(data, False)

    def _starts(self, name: str, attrs: dict[str, str]) -> None:
        clark = {_clark(key): value for key, value in attrs.items()}
        if self._depth == 0:
            self.header = Element(_clark(name), clark)
        else:
            self._builder.start(_clark(name), clark)
        self._depth += 1

    def _ends(self, name: str) -> None:
        self._depth -= 1
        if self._depth == 0:
            self.ended = True
            return
        self._builder.end(_clark(name))
        if self._depth == 1:
            self.elements.append(self._builder.close())
            self._builder = TreeBuilder()

    def _characters(self, text: str) -> None:
        if self._depth > 1:
            self._builder.data(text)
