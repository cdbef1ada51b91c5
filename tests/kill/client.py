"""A client that chats, comes back and resumes its session wherever it can (XEP-0198): raw XMPP, so that 200 of them cost little."""

import asyncio
import base64
import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Final
from xml.parsers.expat import ExpatError

from tests.kill.acks import Acks, Disagreement, Sent
from tests.kill.ledger import Ledger
from tests.kill.stream import Element, Reader

SM: Final = "urn:xmpp:sm:3"
LOGIN_SECONDS: Final = 15.0
RESOURCE: Final = "kill"
STANZAS: Final = frozenset({"message", "presence", "iq"})

Talk = Generator[None, Element, None]


class Setback(Exception):
    """The server refuses for now: come again."""


@dataclass(frozen=True, slots=True)
class Habits:
    """How a client behaves."""

    most: int = 0
    """The longest time for which it asks its session to be kept; 0 leaves it to the server."""
    ask_every: int = 1
    """Ask for an acknowledgement after so many stanzas."""
    patience: float = 6.0
    """How long a server may be silent after it was asked."""


class Line(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self.transport: asyncio.Transport | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reader = self._new_reader()
        self._renewed = False
        self.heard = asyncio.get_running_loop().time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._client.connected(self)

    def data_received(self, data: bytes) -> None:
        self.heard = asyncio.get_running_loop().time()
        try:
            self._reader.feed(data)
        except ExpatError as error:
            self._client.complain(f"sent what is no XML: {error}")
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def write(self, data: bytes) -> None:
        """Send, if it is still open."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def restart(self) -> None:
        """Read a new stream from here on (RFC 6120 §6.4.6): nothing of it can have come before the client's own header."""
        self._reader = self._new_reader()

    def abort(self) -> None:
        """Cut it, as a lost network does: the server hears a reset or nothing, and no end of the stream."""
        if self.transport is not None:
            self.transport.abort()

    def _new_reader(self) -> Reader:
        return Reader(lambda: None, lambda element: self._client.heard(self, element), self._closed)

    def _closed(self) -> None:
        if self.transport is not None:
            self.transport.close()


class Client:
    """One account's only client. `run` keeps it connected until told to stop."""

    def __init__(  # what makes a client is many things
        self, number: int, account: str, password: str, doors: Sequence[int], ledger: Ledger, chance: random.Random, habits: Habits
    ) -> None:
        self.number, self.account, self.password = number, account, password
        self.doors = doors
        """Ports of the gateways, of which it takes any; the harness changes them."""
        self.habits = habits
        self.acks = Acks()
        self.online = asyncio.Event()
        self.allowed = asyncio.Event()
        """Cleared while it stays away."""
        self.allowed.set()
        self._ledger, self._chance = ledger, chance
        self._line: Line | None = None
        self._talk: Talk | None = None
        self._began = 0.0
        self._previous = ""
        """The id by which the session can be resumed; empty when there is none."""
        self._unasked = 0
        self._asked = 0.0
        """When the oldest unanswered request for an acknowledgement went out; 0 if none is open."""
        self._over = False
        self._port = 0

    @property
    def door(self) -> int:
        """The gateway's port that it is connected to, or 0."""
        return self._port if self.online.is_set() else 0

    # --- its life

    async def run(self) -> None:
        """Connect, and connect again, until told to stop."""
        loop = asyncio.get_running_loop()
        failures = 0
        while not self._over:
            await self.allowed.wait()
            self._port = self._chance.choice(self.doors)
            try:
                async with asyncio.timeout(LOGIN_SECONDS):
                    _, line = await loop.create_connection(lambda: Line(self), "127.0.0.1", self._port)
            except (OSError, TimeoutError):
                failures += 1
            else:
                await line.ended
                failures = 0 if self.online.is_set() else failures + 1
            self.online.clear()
            self._line = None
            if not self._over:
                await asyncio.sleep(self._chance.uniform(0.02, min(1.0, 0.15 * 2**failures)))

    def stop(self) -> None:
        """Close the stream for good."""
        self._over = True
        self.allowed.set()
        if self._line is not None:
            self._line.write(b"</stream:stream>")
            if self._line.transport is not None:
                self._line.transport.close()

    def cut(self) -> None:
        """Lose the connection, without a word to the server."""
        if self._line is not None:
            self._line.abort()

    def stay_away(self) -> None:
        """Lose the connection and do not come back before `come_back`."""
        self.allowed.clear()
        self.cut()

    def come_back(self) -> None:
        """Connect again."""
        self.allowed.set()

    def pause(self, *, reading: bool) -> None:
        """Stop or begin again to read what the server sends."""
        transport = None if self._line is None else self._line.transport
        if transport is not None and not transport.is_closing():
            (transport.resume_reading if reading else transport.pause_reading)()

    def tick(self, now: float) -> None:
        """See to what time brings: called a few times a second."""
        line = self._line
        if line is None:
            return
        if self._talk is not None:
            if now - self._began > LOGIN_SECONDS:
                self._note("login took too long")
                line.abort()
        elif self._asked and now - max(self._asked, line.heard) > self.habits.patience:
            self._note("server was silent")
            line.abort()
        elif self.acks.outstanding and not self._asked:
            line.write(self._ask(now))

    def complain(self, what: str) -> None:
        """Note what no server may do."""
        self._ledger.part.complaints.append(f"{self.account}: the server {what}")

    # --- what it sends

    def say(self, recipient: str, flow: int) -> None:
        """Send the next message of a flow, or keep it until there is a connection."""
        now = asyncio.get_running_loop().time()
        n = self._ledger.sent(flow, now)
        text = f"<message to='{recipient}' type='chat' id='{flow}.{n}'><body>{flow}.{n}</body></message>"
        self._send(Sent(text.encode(), (flow, n)))

    def raw(self, text: str) -> None:
        """Send a stanza that the ledger does not know."""
        self._send(Sent(text.encode()))

    def _send(self, item: Sent) -> None:
        self.acks.put(item)
        if self.online.is_set():
            self._flush()

    def _flush(self) -> None:
        items = self.acks.unwritten()
        if self._line is None or not items:
            return
        data = b"".join(item.data for item in items)
        self._unasked += len(items)
        if self._unasked >= self.habits.ask_every:
            data += self._ask(asyncio.get_running_loop().time())
        self._line.write(data)

    def _ask(self, now: float) -> bytes:
        self._unasked = 0
        self._asked = self._asked or now
        return f"<r xmlns='{SM}'/>".encode()

    # --- what it hears

    def connected(self, line: Line) -> None:
        """Begin to talk on a new connection."""
        self._line = line
        self._began = asyncio.get_running_loop().time()
        self._asked, self._unasked = 0.0, 0
        self._talk = self._negotiate(line)
        next(self._talk)

    def heard(self, line: Line, element: Element) -> None:
        """Take an element of the server's stream."""
        if line is not self._line:
            return
        if element.name == "error":
            self._note("stream: " + (element.names[0] if element.names else "?"))
            if "handled-count-too-high" in element.names:
                self.complain("says that it was told of more than it sent")
            return
        if self._talk is None:
            self._steady(element)
            return
        try:
            self._talk.send(element)
        except StopIteration:
            self._talk = None
            self.online.set()
            self._flush()
        except Setback as why:
            self._note(f"login: {why}")
            line.abort()

    def _steady(self, element: Element) -> None:
        line = self._line
        assert line is not None
        if element.name == "r":
            line.write(f"<a xmlns='{SM}' h='{self.acks.h}'/>".encode())
        elif element.name == "a":
            self._acknowledged(int(element.attributes.get("h", "-1")))
        elif element.name in STANZAS:
            self.acks.received += 1
            self._stanza(element)

    def _stanza(self, element: Element) -> None:
        kind = element.attributes.get("type", "")
        if element.name == "message":
            flow, _, n = (element.attributes.get("id", "") if kind == "error" else element.texts.get("body", "")).partition(".")
            if not n.isdecimal():
                return
            if kind == "error":
                self._ledger.bounced(int(flow), int(n), "bounce: " + next((x for x in element.names if x not in {"error", "body"}), "?"))
            else:
                self._ledger.received(int(flow), int(n), asyncio.get_running_loop().time(), self.number)
        elif element.name == "iq" and kind in {"get", "set"}:
            to, name = element.attributes.get("from", ""), element.attributes.get("id", "")
            self.raw(
                f"<iq type='error' id='{name}' to='{to}'><error type='cancel'>"
                "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
            )

    def _acknowledged(self, h: int) -> None:
        try:
            done = self.acks.acknowledge(h)
        except Disagreement as why:
            self.complain(f"sent a wrong count: {why}")
            return
        self._count(done)
        self._asked = 0.0

    def _count(self, done: list[Sent]) -> None:
        for item in done:
            if item.key is not None:
                self._ledger.acknowledged(*item.key)

    def _note(self, condition: str) -> None:
        self._ledger.part.conditions[condition] += 1

    # --- login, resumption, a new session

    def _negotiate(self, line: Line) -> Talk:
        domain = self.account.partition("@")[2]
        header = (
            f"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
            f"to='{domain}' version='1.0'>"
        ).encode()
        line.write(header)
        yield from self._expect("features")
        token = base64.b64encode(f"\0{self.account.partition('@')[0]}\0{self.password}".encode()).decode()
        line.write(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{token}</auth>".encode())
        yield from self._expect("success")
        line.restart()
        line.write(header)
        yield from self._expect("features")
        if self._previous and (yield from self._resume(line)):
            return
        yield from self._bind(line)

    def _expect(self, *names: str) -> Generator[None, Element, Element]:
        element = yield
        if element.name not in names:
            raise Setback(" ".join([element.name, *element.names[:1]]))
        return element

    def _resume(self, line: Line) -> Generator[None, Element, bool]:
        line.write(f"<resume xmlns='{SM}' previd='{self._previous}' h='{self.acks.h}'/>".encode())
        answer = yield from self._expect("resumed", "failed")
        if answer.name == "resumed":
            try:
                done, again = self.acks.resumed(int(answer.attributes["h"]))
            except Disagreement as why:
                self.complain(f"resumed with a wrong count: {why}")
                raise Setback("wrong count") from why
            self._count(done)
            self._ledger.part.resumptions += 1
            line.write(b"".join(item.data for item in again))
            self._unasked += len(again)
            return True
        self._note("not resumed: " + (answer.names[0] if answer.names else "?"))
        if "item-not-found" not in answer.names:
            raise Setback("resumption failed for now")
        if "h" in answer.attributes:
            self._acknowledged(int(answer.attributes["h"]))
        self._previous = ""
        return False

    def _bind(self, line: Line) -> Talk:
        if self.acks.written:
            self._ledger.unresumed(self.number)
        self.acks = self.acks.renewed()
        line.write(
            f"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{RESOURCE}</resource></bind></iq>".encode()
        )
        bound = yield from self._expect("iq")
        if bound.attributes.get("type") != "result":
            raise Setback("bind " + " ".join(bound.names[-1:]))
        most = f" max='{self.habits.most}'" if self.habits.most else ""
        line.write(f"<enable xmlns='{SM}' resume='true'{most}/>".encode())
        enabled = yield from self._expect("enabled")
        self._previous = enabled.attributes.get("id", "") if enabled.attributes.get("resume") in {"true", "1"} else ""
        self.acks.queue.appendleft(Sent(b"<presence/>"))
