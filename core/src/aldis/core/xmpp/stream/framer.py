"""Cut an XMPP stream into its first-level elements, without building a tree (RFC 6120 §4, §11).

Expat says where an element begins and ends; the content is cut from the input bytes. Positions are expat's byte indices;
`_shift` is the index of the first byte of the window, which holds what is not yet cut and the chunk just fed.
"""

from typing import Final, NoReturn
from xml.parsers.expat import ExpatError, XMLParserType

from aldis.core.xmpp.errors.stream import (
    BadFormat,
    InvalidNamespace,
    NotWellFormed,
    PolicyViolation,
    RestrictedXml,
    StreamError,
    UnsupportedEncoding,
)
from aldis.core.xmpp.namespaces import CLIENT, SERVER, STREAMS
from aldis.core.xmpp.stream.expat import count_declarations, new_parser, translate
from aldis.core.xmpp.stream.frames import Event, Footer, Frame, FramerLimits, Header
from aldis.core.xmpp.stream.standalone import Scope, is_empty_tag, tag_end, tag_name
from aldis.core.xmpp.stream.tokens import Give, giver

_WHITE: Final = b" \t\r\n"
_LANG: Final = "http://www.w3.org/XML/1998/namespace}lang"
_PLAIN: Final = frozenset(("to", "from", "id", "type"))
_STANZAS: Final = {f"{ns}}}{name}": (ns, name) for ns in (CLIENT, SERVER) for name in ("message", "presence", "iq")}
"""Expat's names of the stanzas, split (RFC 6120 §8.1)."""
_PIECE: Final = 16 * 1024
"""How much expat gets at once, so that limits act between pieces and an error wastes no more than this."""
_RENEW: Final = 256 * 1024
"""After so many bytes a new parser takes over: expat never forgets a name."""
_TEXT: Final = "text between stanzas"
"""RFC 6120 §4.9.3.1."""
_UNLIMITED: Final = 1 << 62


class Framer:
    """Bytes in, events out.

    `feed` returns what came before an error; the error is then in `error` and nothing more comes out until `restart` or
    `reset`. Not re-entrant, no I/O, no clock.
    """

    __slots__ = (
        "_attrs", "_boundary", "_closed", "_deferring", "_depth", "_events", "_failed_at", "_fed", "_foreign", "_give", "_head",
        "_opened", "_kept", "_lang", "_limits", "_marks", "_max_attribute", "_max_attributes", "_max_children", "_max_depth", "_max_name",
        "_max_namespaces", "_max_stanza", "_max_tag", "_names", "_parser", "_root", "_scope", "_shift", "_start", "_text",
        "_window", "_worth_a_look", "error",
    )  # fmt: skip

    def __init__(self, limits: FramerLimits, *, deferring: bool | None = None) -> None:
        """Begin; `deferring` says whether to work as an expat that defers reparsing needs it, None whether this one does."""
        self.error: StreamError | None = None
        self._deferring = deferring
        self.limits = limits
        self._events: list[Event] = []
        self.reset()

    @property
    def limits(self) -> FramerLimits:
        """The limits in force; a new value holds from the next element on."""
        return self._limits

    @limits.setter
    def limits(self, limits: FramerLimits) -> None:
        self._limits = limits
        self._max_stanza = limits.stanza_bytes or _UNLIMITED
        self._max_tag = limits.tag_bytes or _UNLIMITED
        self._max_depth = limits.depth or _UNLIMITED
        self._max_attributes = limits.attributes or _UNLIMITED
        self._max_attribute = limits.attribute_bytes or _UNLIMITED
        self._max_name = limits.name_bytes or _UNLIMITED
        self._max_namespaces = limits.namespaces or _UNLIMITED
        self._max_children = limits.children or _UNLIMITED
        self._worth_a_look = min(self._max_stanza, self._max_attribute, self._max_namespaces * 9)

    @property
    def idle(self) -> bool:
        """Whether nothing is held: no parser and no byte."""
        return self._parser is None and not self._window and not self._kept

    def reset(self) -> None:
        """Begin a new stream and forget everything received, so that nothing sent in clear outlives STARTTLS (RFC 6120 §5.4.3.3)."""
        self.error = None
        self._parser: XMLParserType | None = None
        self._give: Give = _nowhere
        self._opened = False
        self._closed = False
        self._window: bytes | bytearray = b""
        self._kept: bytes | bytearray = b""
        self._depth = self._fed = self._shift = self._boundary = self._start = self._failed_at = 0
        self._foreign = self._lang = ""
        self._root: tuple[str, str] | None = None
        self._attrs: dict[str, str] = {}
        self._marks: list[int] = []
        self._names: list[str] = []
        self._text: list[str] = []
        self._head = b""
        self._scope = Scope({}, "")

    def restart(self, after: Frame) -> list[Event]:
        """Begin a new stream with the bytes that came behind `after` in the chunk last fed, whatever was made of them so far.

        A client may send its new header in one packet with the end of the old stream (RFC 6120 §6.4.6).
        """
        rest = bytes(self._kept[after.end :])
        self.reset()
        return self.feed(rest)

    def rest(self) -> None:
        """Let go of parser and buffers if the peer is between two elements; for sessions that fall silent."""
        self._kept = b""
        if self._depth == 1 and not self._window and not self.error:
            self._parser, self._give = None, _nowhere
            self._events, self._attrs, self._names, self._marks = [], {}, [], []
            self._foreign = ""

    def feed(self, data: bytes) -> list[Event]:
        """Take the next chunk and return what it completes."""
        self._kept = b""
        if self._over() or not data:
            return []
        events: list[Event] = []
        self._events = events
        try:
            if not self._opened:
                self._feed_prolog(data)
            else:
                self._take(data)
                self._parse(data)
            if self._parser is not None and not self._closed:
                self._settle()
        except (ExpatError, StreamError) as error:
            if not self._closed:  # what follows a footer is nobody's concern
                self._fail(error)
        if self._over():
            self._parser, self._give = None, _nowhere
            self._window = b""
        return events

    def _over(self) -> bool:
        return self._closed or self.error is not None

    # ── input ──

    def _feed_prolog(self, data: bytes) -> None:
        """Feed what precedes the header, and refuse a document type before expat begins to read it (RFC 6120 §11.1)."""
        if not self._window:
            data = data.lstrip(_WHITE)  # keep-alives of the stream before a restart
            if not data:
                return
        before = len(self._window)
        self._take(data)
        window = self._window
        if window[0] in (0x00, 0xFE, 0xFF) or window[:2] == b"<\0":
            raise UnsupportedEncoding("this is not UTF-8")  # RFC 6120 §4.9.3.22
        if window[0] == 0xEF:
            raise NotWellFormed("U+FEFF is a character and no byte order mark here")  # RFC 6120 §11.6
        declaration = window.find(b"<!", max(0, before - 1))
        if declaration < 0:
            self._parse(data)
            return
        cut = max(0, declaration + 1 - before)  # with its `<`, which may already be one too many
        self._parse(data[:cut])
        if not self._opened:
            raise RestrictedXml("no document type is allowed")
        self._parse(data[cut:])

    def _take(self, data: bytes) -> None:
        """Put the chunk into the window, behind what is not yet cut."""
        window = self._window
        if window:
            if not isinstance(window, bytearray):
                window = self._window = bytearray(window)
            window += data
        else:
            self._window = data
            self._shift = self._fed
        if self._parser is None:
            self._open()

    def _open(self) -> None:
        """Make a parser; in mid-stream it reads the header's declarations first, and then the window's uncut beginning again."""
        parser = self._parser = new_parser()
        if not self._opened:
            self._depth = self._fed = self._shift = self._boundary = 0
            parser.XmlDeclHandler = self._xml_declaration
            parser.StartDoctypeDeclHandler = self._doctype
            parser.StartNamespaceDeclHandler = self._declared
        else:
            parser.Parse(self._head, False)
            self._depth = 1
            self._fed = self._shift = self._boundary = len(self._head)
        parser.StartElementHandler = self._element_starts
        parser.EndElementHandler = self._element_ends
        parser.CommentHandler = self._comment
        parser.ProcessingInstructionHandler = self._instruction
        parser.StartCdataSectionHandler = self._cdata
        self._give = giver(parser, inside=self._opened, deferring=self._deferring)

    def _parse(self, data: bytes) -> None:
        """Give expat the chunk, in pieces, and refuse a token that doesn't end."""
        if len(data) <= _PIECE:
            self._fed += len(data)
            self._give(data, False)
            return
        parser = self._live()
        view = memoryview(data)
        for at in range(0, len(data), _PIECE):
            piece = view[at : at + _PIECE]
            self._fed += len(piece)
            self._give(piece, False)
            if self._closed:
                return
            self._limit_token(parser)

    def _settle(self) -> None:
        """Keep what is not yet cut and let go of the rest."""
        parser = self._live()
        consumed = parser.CurrentByteIndex
        self._limit_token(parser)
        if self._depth == 1:
            if self._has_text(consumed):
                raise BadFormat(_TEXT)
            self._boundary = cut = consumed
        else:
            cut = self._start
        if self._fed - cut > self._max_stanza:
            raise PolicyViolation("stanza too long")
        if cut == self._fed:
            self._window = b""
        elif cut != self._shift:
            self._window = self._window[cut - self._shift :]
            self._shift = cut
        if self._fed > _RENEW and self._opened and len(self._window) < self._fed // 2:
            self._renew()

    def _renew(self) -> None:
        """Change the parser; what is not yet cut is read again, which is cheap since it is less than half of what was read."""
        window = bytes(self._window)
        self._parser, self._give = None, _nowhere
        self._window = b""
        if window:
            self._take(window)
            self._parse(window)

    # ── limits and errors ──

    def _limit_token(self, parser: XMLParserType) -> None:
        limit = self._max_tag
        if self._fed - parser.CurrentByteIndex > limit and self._fed - max(parser.CurrentByteIndex, 0) > limit:  # -1: nothing read yet
            raise PolicyViolation("tag too long")

    def _limit_attributes(self, attrs: dict[str, str]) -> None:
        if len(attrs) > self._max_attributes:
            self._refuse(PolicyViolation("too many attributes"))
        limit = self._max_attribute
        for value in attrs.values():
            if len(value) * 4 > limit and len(value.encode()) > limit:
                self._refuse(PolicyViolation("attribute too long"))

    def _has_text(self, until: int) -> bool:
        """Tell if anything but white space stands between the last first-level element and here."""
        gap = bytes(self._window[self._boundary - self._shift : until - self._shift])
        return bool(gap.partition(b"<")[0].strip(_WHITE))

    def _refuse(self, error: StreamError) -> NoReturn:
        """Stop at the present token; expat runs on to the end of the piece, without handlers."""
        self._failed_at = self._live().CurrentByteIndex
        raise error

    def _live(self) -> XMLParserType:
        parser = self._parser
        if parser is None:
            raise RuntimeError("no parser while parsing")
        return parser

    def _fail(self, error: ExpatError | StreamError) -> None:
        """Name the error that stands first in the stream, however the chunks were cut."""
        if isinstance(error, ExpatError):
            self._failed_at = self._live().ErrorByteIndex
            at = self._failed_at - self._shift
            before = self._head + self._window[max(self._boundary - self._shift, 0) : at]
            error = translate(error, before, bytes(self._window[at : at + 4]))
        if self._depth == 1 and self._failed_at > self._boundary and self._has_text(self._failed_at):
            error = BadFormat(_TEXT)
        elif self._depth > 1 and self._failed_at - self._start > self._max_stanza:
            error = PolicyViolation("stanza too long")
        self.error = error.with_traceback(None)  # else it would keep the chunk

    # ── what expat reports ──

    def _xml_declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.upper() != "UTF-8":
            self._refuse(UnsupportedEncoding("only UTF-8 is supported"))  # RFC 6120 §11.6

    def _doctype(self, *declaration: object) -> NoReturn:
        self._refuse(RestrictedXml("no document type is allowed"))

    def _comment(self, comment: str) -> NoReturn:
        self._refuse(RestrictedXml("no comments are allowed"))

    def _instruction(self, target: str, instruction: str) -> NoReturn:
        self._refuse(RestrictedXml("no processing instructions are allowed"))

    def _cdata(self) -> None:
        if self._depth == 1:
            self._refuse(BadFormat(_TEXT))

    def _characters(self, text: str) -> None:
        if self._depth == 2:
            self._text.append(text)

    def _declared(self, prefix: str | None, uri: str | None) -> None:
        if prefix != "xml":  # bound everywhere
            self._attrs[prefix or ""] = uri or ""

    def _element_starts(self, name: str, attrs: dict[str, str]) -> None:
        depth = self._depth
        self._depth = depth + 1
        if depth == 2:
            self._marks.append(self._parser.CurrentByteIndex)  # type: ignore[union-attr]  # it called this
            names = self._names
            names.append("{" + name if "}" in name else name)
            if len(name) > self._max_name:
                self._refuse(PolicyViolation("name too long"))
            if len(names) > self._max_children:
                self._refuse(PolicyViolation("too many children"))
        elif depth == 1:
            self._start = start = self._parser.CurrentByteIndex  # type: ignore[union-attr]  # it called this
            if start != self._boundary and self._has_text(start):
                self._refuse(BadFormat(_TEXT))
            self._attrs = attrs
            self._marks = []
            self._names = []
            self._root = root = _STANZAS.get(name)
            if root is None:
                self._foreign_starts(name)
            if len(attrs) > self._max_attributes:
                self._refuse(PolicyViolation("too many attributes"))
            return
        elif depth == 0:
            self._header_starts(name, attrs)
            return
        if depth > self._max_depth:
            self._refuse(PolicyViolation("nested too deeply"))
        if attrs:
            self._limit_attributes(attrs)

    def _foreign_starts(self, name: str) -> None:
        """Listen to the text of an element that is no stanza."""
        self._foreign = name
        self._text = []
        self._live().CharacterDataHandler = self._characters

    def _header_starts(self, name: str, attrs: dict[str, str]) -> None:
        parser = self._live()
        parser.XmlDeclHandler = parser.StartDoctypeDeclHandler = parser.StartNamespaceDeclHandler = None
        namespace, _, local = name.rpartition("}")
        if namespace != STREAMS:
            self._refuse(InvalidNamespace("the root is no stream"))  # RFC 6120 §4.9.3.10
        if local != "stream":
            self._refuse(BadFormat("the root is no stream"))
        self._limit_attributes(attrs)
        start = parser.CurrentByteIndex
        self._boundary = tag_end(self._window, start - self._shift) + self._shift
        if self._boundary - start > self._max_stanza:
            self._refuse(PolicyViolation("stream header too long"))
        namespaces = self._attrs
        content = namespaces.get("", "")
        if content in ("", STREAMS):  # the content namespace may have a prefix instead (RFC 6120 §4.8.5)
            content = next((uri for uri in (CLIENT, SERVER) if uri in namespaces.values()), "")
        self._scope = scope = Scope(namespaces, content)
        self._head = b"<%b%b>" % (tag_name(self._window, start - self._shift), scope.declared)
        own = {key: value for key, value in attrs.items() if "}" not in key}
        if _LANG in attrs:
            self._lang = own["xml:lang"] = attrs[_LANG]
        self._attrs = {}
        self._opened = True
        self._events.append(Header(own, content, namespaces))

    def _element_ends(self, name: str) -> None:
        depth = self._depth = self._depth - 1
        if depth == 2:
            self._marks.append(self._parser.CurrentByteIndex)  # type: ignore[union-attr]  # it called this
        elif depth == 1:
            self._cut(self._parser.CurrentByteIndex)  # type: ignore[union-attr]
        elif depth == 0:
            if self._has_text(self._live().CurrentByteIndex):
                self._refuse(BadFormat(_TEXT))
            self._closed = True
            self._events.append(Footer())

    # ── cutting ──

    def _cut(self, closing: int) -> None:
        """Make the frame; `closing` is where the end tag begins, or the end of the element if it has none."""
        window = self._window
        shift = self._shift
        start = self._start - shift
        stop = closing - shift
        marks = self._marks
        if marks:
            end = window.find(b">", stop) + 1
            marks.append(closing)
            children = self._scope.cut(window, start, stop, marks, shift)
        else:
            end = stop if is_empty_tag(window, start, stop) else window.find(b">", stop) + 1
            children = b""
        self._boundary = end + shift
        attrs = self._attrs
        if end - start > self._worth_a_look:
            self._limit_element(window, start, end)
        if not _PLAIN.issuperset(attrs):
            attrs = _plain(attrs)
        if self._lang and "xml:lang" not in attrs:
            attrs["xml:lang"] = self._lang
        root = self._root
        if root is not None:
            self._events.append(Frame(root[0], root[1], attrs, children, tuple(self._names), "", end))
        else:
            ns, _, local = self._foreign.rpartition("}")
            self._events.append(Frame(ns, local, attrs, children, tuple(self._names), self._foreign_ends(), end))

    def _limit_element(self, window: bytes | bytearray, start: int, end: int) -> None:
        """Check what a small element can't violate."""
        if end - start > self._max_stanza:
            raise PolicyViolation("stanza too long")
        self._limit_attributes(self._attrs)
        if window.count(b"xmlns", start, end) > self._max_namespaces and (
            count_declarations(bytes(window[start:end])) > self._max_namespaces
        ):
            raise PolicyViolation("too many namespace declarations")

    def _foreign_ends(self) -> str:
        """Stop listening to text, and keep the chunk: the stream may start anew behind this element."""
        self._live().CharacterDataHandler = None
        self._kept = self._window
        return "".join(self._text)


def _nowhere(data: bytes | memoryview, _: bool) -> NoReturn:
    raise RuntimeError(f"no parser for {len(data)} bytes")


def _plain(attrs: dict[str, str]) -> dict[str, str]:
    """Keep the attributes in no namespace, and `xml:lang`."""
    plain = {name: value for name, value in attrs.items() if "}" not in name}
    if _LANG in attrs:
        plain["xml:lang"] = attrs[_LANG]
    return plain
