"""A server of a hundred lines that speaks enough XMPP and XEP-0198 to chat through, and that errs where it is told to."""

import asyncio
import base64
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

ELEMENT: Final = re.compile(
    rb"<(?:stream:stream)[^>]*>|<(auth|message|iq|presence)\b.*?</\1>|<(?:presence|enable|resume|r|a)\b[^>]*/>|</stream:stream>", re.DOTALL
)
HEADER: Final = (
    "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1' version='1.0'>"
)
FEATURES: Final = "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><sm xmlns='urn:xmpp:sm:3'/></stream:features>"
SM: Final = "xmlns='urn:xmpp:sm:3'"


@dataclass
class Errors:
    """What it does wrong, by the message's place among all that it took, from 0."""

    loses: set[int] = field(default_factory=set)
    repeats: set[int] = field(default_factory=set)
    delays: set[int] = field(default_factory=set)
    """Lets the next ones overtake this one."""
    bounces: set[int] = field(default_factory=set)
    counts: int = 0
    """Adds so much to each `h`."""
    forgets: bool = False
    """Knows no session to resume."""


@dataclass
class Session:
    """One account's session, as both sides of XEP-0198 need it."""

    writer: asyncio.StreamWriter | None = None
    taken: int = 0
    given: list[str] = field(default_factory=list)
    known: int = 0
    """How many of those the client has."""


class ScriptedServer:
    """One process-wide state: sessions by account."""

    def __init__(self, errors: Errors) -> None:
        self.errors = errors
        self.port = 0
        self.sessions: dict[str, Session] = {}
        self.resumed = 0
        self._messages = 0
        self._late: tuple[str, str] | None = None

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["ScriptedServer"]:
        """Listen on a free port until the block ends."""
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for session in self.sessions.values():
                if session.writer is not None:
                    session.writer.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        account, buffer, headers = "", b"", 0
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                buffer += data
                while found := ELEMENT.search(buffer):
                    element, buffer = found.group().decode(), buffer[found.end() :]
                    if element.startswith("<stream:stream"):
                        headers += 1
                        writer.write((HEADER + (FEATURES if headers > 1 else "<stream:features/>")).encode())
                    elif element.startswith("<auth"):
                        account = base64.b64decode(re.sub("<.*?>", "", element)).split(b"\0")[1].decode()
                        writer.write(b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
                    else:
                        self._element(account, element, writer)
        writer.close()

    def _element(self, account: str, element: str, writer: asyncio.StreamWriter) -> None:
        name = re.match(r"</?([\w:]+)", element)
        assert name is not None
        session = self.sessions.get(account)
        match name.group(1):
            case "iq":
                writer.write(b"<iq type='result' id='bind'/>")
            case "enable":
                self.sessions[account] = Session(writer)
                writer.write(f"<enabled {SM} id='{account}' resume='true'/>".encode())
            case "resume":
                self._resume(session, element, writer)
            case "r" if session is not None:
                writer.write(f"<a {SM} h='{session.taken + self.errors.counts}'/>".encode())
            case "a" if session is not None:
                session.known = self._h(element)
            case "presence" | "message" if session is not None:
                session.taken += 1
                if name.group(1) == "message":
                    self._route(account, element)
            case "stream:stream":
                writer.close()
            case _:
                pass

    def _resume(self, session: Session | None, element: str, writer: asyncio.StreamWriter) -> None:
        if session is None or self.errors.forgets:
            writer.write(f"<failed {SM}><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>".encode())
            return
        self.resumed += 1
        session.known, session.writer = self._h(element), writer
        writer.write(f"<resumed {SM} previd='x' h='{session.taken}'/>".encode())
        writer.write("".join(session.given[session.known :]).encode())

    def _route(self, sender: str, element: str) -> None:
        place, self._messages = self._messages, self._messages + 1
        to = re.search("to='(.*?)@", element)
        assert to is not None
        if place in self.errors.bounces:
            error = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
            self._give(sender, re.sub("type='chat'", "type='error'", element).replace("</message>", error + "</message>"))
            return
        if place in self.errors.delays:
            self._late = (to.group(1), element)
            return
        for _ in range(0 if place in self.errors.loses else 2 if place in self.errors.repeats else 1):
            self._give(to.group(1), element)
        if self._late is not None and place - 20 in self.errors.delays:
            late, self._late = self._late, None
            self._give(*late)

    def _give(self, account: str, element: str) -> None:
        session = self.sessions[account]
        session.given.append(element)
        if session.writer is not None and not session.writer.is_closing():
            session.writer.write(element.encode() + f"<r {SM}/>".encode())

    @staticmethod
    def _h(element: str) -> int:
        h = re.search(r"\bh='(\d+)'", element)
        assert h is not None
        return int(h.group(1))
