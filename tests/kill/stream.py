"""Cut a server's stream into elements as it comes, with no more understanding than a load client needs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from xml.parsers import expat


@dataclass(slots=True)
class Element:
    """One element below the stream's root; what is inside it is kept flat, by local name."""

    name: str
    attributes: dict[str, str]
    names: list[str] = field(default_factory=list)
    """Every element inside, in document order."""
    texts: dict[str, str] = field(default_factory=dict)
    inner: dict[str, dict[str, str]] = field(default_factory=dict)
    """The attributes of those inside; of several with one name the last."""


class Reader:
    """Feed it bytes; it calls `opened` for the root, `element` for each element below it, and `closed` at the root's end."""

    def __init__(self, opened: Callable[[], None], element: Callable[[Element], None], closed: Callable[[], None]) -> None:
        self._opened, self._element, self._closed = opened, element, closed
        self._current: Element | None = None
        self._path: list[str] = []
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text

    def feed(self, data: bytes) -> None:
        """Read on; `expat.ExpatError` when it is no XML."""
        self._parser.Parse(data)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        if not self._path:
            self._opened()
        elif len(self._path) == 1:
            self._current = Element(local, attributes)
        elif self._current is not None:
            self._current.names.append(local)
            self._current.inner[local] = attributes
        self._path.append(local)

    def _end(self, _name: str) -> None:
        self._path.pop()
        if not self._path:
            self._closed()
        elif len(self._path) == 1 and self._current is not None:
            current, self._current = self._current, None
            self._element(current)

    def _text(self, text: str) -> None:
        if self._current is not None and len(self._path) > 2:
            name = self._path[-1]
            self._current.texts[name] = self._current.texts.get(name, "") + text
