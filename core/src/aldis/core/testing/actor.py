"""Actors: the clients of scenarios, over real TCP on the loopback. They say what they are told and hear all that comes."""

import asyncio
import base64
from collections.abc import Callable, Mapping
from typing import Any, Final
from xml.parsers.expat import ExpatError
from xml.sax.saxutils import quoteattr

from aldis.core.testing.incoming import Incoming
from aldis.core.testing.login import Exchange, exchange
from aldis.core.testing.managing import Managing
from aldis.core.testing.patterns import Element, difference, expect, parse, show, stream_error
from aldis.core.testing.wire import Doors, Wire
from aldis.core.xmpp.namespaces import BIND, CLIENT, ROSTER, SASL, STREAMS, TLS
from aldis.core.xmpp.sm import NS as SM

PATIENCE: Final = 10.0
"""Seconds after which what did not come is taken for lost: much, since a busy machine is no failure of the server's."""
ACKNOWLEDGEMENT: Final = f"{{{SM}}}a"
PING: Final = "<ping xmlns='urn:xmpp:ping'/>"


class Actor(Managing):
    """One client of one account. Every wait ends after `PATIENCE`; what does not happen as told is an `AssertionError`."""

    def __init__(self, account: str, password: str, doors: Doors, wire: Callable[[], Wire]) -> None:
        super().__init__()
        self.account = account
        self.name, _, self.domain = account.partition("@")
        self.password = password
        self.doors = doors
        self.jid = ""
        """The full JID, once bound."""
        self.header: Mapping[str, str] = {}
        """The attributes of the server's last stream header."""
        self._make_wire = wire
        self.wire = wire()
        self._incoming = Incoming()
        self._ahead = b""
        """The beginning of the next stream, if it came in one piece with the end of this one."""
        self._eof = False
        self._barriers = 0

    def __repr__(self) -> str:
        return f"<{self.jid or self.account}>"

    # ── negotiation, step by step ──

    async def logs_in(self, resource: str = "", *, mechanism: str = "PLAIN", direct: bool = True) -> None:
        """Do all of it: connect, with TLS from the beginning or by STARTTLS, authenticate, bind."""
        await self.connects(direct=direct)
        if not direct:
            await self.opens()
            await self.starts_tls()
        await self.opens()
        await self.authenticates(mechanism)
        await self.opens()
        await self.binds(resource)

    async def arrives(self, doors: Doors | None, *, mechanism: str = "PLAIN") -> None:
        """Come again on a new connection, perhaps by another gateway's doors, and log in; nothing is bound."""
        self.doors = doors or self.doors
        self.wire = self._make_wire()
        self._ahead, self._eof = b"", False
        await self.connects()
        await self.opens()
        await self.authenticates(mechanism)
        await self.opens()

    async def connects(self, *, direct: bool = True) -> None:
        """Connect; `direct` begins with TLS."""
        await self.reaches(self.doors.tls_port if direct else self.doors.port)
        if direct:
            await self.shakes_hands()

    async def reaches(self, port: int) -> None:
        """Connect to a port, without more."""
        await self._in_time(self.wire.connect(port), "connecting")

    async def opens(self, to: str | None = None, **attributes: str) -> Element:
        """Open a stream, or open it anew; return the server's features."""
        await self.sends_header(to, **attributes)
        return await self.hears_features()

    async def sends_header(self, to: str | None = None, *, content: str = CLIENT, streams: str = STREAMS, **attributes: str) -> None:
        """Send a stream header; `to` is the account's domain unless given, and left out if empty. `lang` is xml:lang."""
        named = {"to": self.domain if to is None else to, "version": "1.0", **attributes}
        named["xml:lang"] = named.pop("lang", "")
        written = "".join(f" {key}={quoteattr(value)}" for key, value in named.items() if value)
        self.expects_new_stream()
        await self.sends(f"<?xml version='1.0'?><stream:stream xmlns='{content}' xmlns:stream='{streams}'{written}>")

    def expects_new_stream(self) -> None:
        """Take what comes from now on for a new stream; only for who sends headers by hand."""
        self._incoming = Incoming()
        self._incoming.feed(self._ahead)
        self._ahead = b""

    async def hears_header(self) -> Mapping[str, str]:
        """Wait for the server's header; return its attributes."""
        while self._incoming.header is None and await self._read():
            pass
        expect(self._incoming.header is not None, f"{self} got no stream header")
        if self._incoming.header is not None:
            expect(self._incoming.header.tag == f"{{{STREAMS}}}stream", f"{self} got the header {show(self._incoming.header)}")
            self.header = self._incoming.header.attrib
        return self.header

    async def hears_features(self) -> Element:
        """Wait for header and features."""
        await self.hears_header()
        return await self.receives("<stream:features>{any}</stream:features>")

    async def starts_tls(self) -> None:
        """Ask for TLS, and shake hands (RFC 6120 §5.4)."""
        await self.sends(f"<starttls xmlns='{TLS}'/>")
        await self.receives(f"<proceed xmlns='{TLS}'/>")
        await self.shakes_hands()

    async def shakes_hands(self) -> None:
        """Go on in TLS, trusting the server for one's own domain only."""
        await self._in_time(self.wire.start_tls(self.domain), "the TLS handshake")

    async def authenticates(self, mechanism: str = "PLAIN", *, authzid: str = "", binding: str = "") -> None:
        """Log in; a -PLUS mechanism binds to the channel by `binding`, or by whatever is at hand."""
        bindings = {name: data for name, data in self.bindings().items() if binding in ("", name)}
        await self.exchanges(mechanism, exchange(mechanism, self.name, self.password, authzid=authzid, bindings=bindings))

    async def exchanges(self, mechanism: str, login: Exchange) -> None:
        """Go through an exchange to its good end."""
        await self.sends_auth(mechanism, login.first())
        answer = await self.hears()
        while answer.tag == f"{{{SASL}}}challenge":
            await self.sends_response(login.answer(_decode(answer.text) or b""))
            answer = await self.hears()
        expect(answer.tag == f"{{{SASL}}}success", f"{self} can't log in: {show(answer)}")
        login.check(_decode(answer.text))

    async def is_refused(self, condition: str, mechanism: str, login: Exchange) -> None:
        """Go through an exchange that ends with this SASL failure."""
        await self.sends_auth(mechanism, login.first())
        answer = await self.hears()
        while answer.tag == f"{{{SASL}}}challenge":
            await self.sends_response(login.answer(_decode(answer.text) or b""))
            answer = await self.hears()
        self._compare(parse(failure(condition)), answer)

    async def sends_auth(self, mechanism: str, initial: bytes | None) -> None:
        """Begin SASL; None is no initial response, and an empty one is written `=` (RFC 6120 §6.4.2)."""
        data = "" if initial is None else base64.b64encode(initial).decode() or "="
        await self.sends(f"<auth xmlns='{SASL}' mechanism='{mechanism}'>{data}</auth>")

    async def hears_challenge(self) -> bytes:
        """Wait for a challenge of SASL; return its data."""
        return _decode((await self.receives(f"<challenge xmlns='{SASL}'>{{any}}</challenge>")).text) or b""

    async def sends_response(self, data: bytes) -> None:
        """Answer a challenge."""
        await self.sends(f"<response xmlns='{SASL}'>{base64.b64encode(data).decode()}</response>")

    async def binds(self, resource: str = "") -> str:
        """Bind a resource, or let the server make one; return the full JID."""
        wanted = f"<resource>{resource}</resource>" if resource else ""
        await self.sends(f"<iq type='set' id='bind'><bind xmlns='{BIND}'>{wanted}</bind></iq>")
        answer = await self.receives(f"<iq type='result' id='bind'><bind xmlns='{BIND}'><jid>{self.account}/{{any}}</jid></bind></iq>")
        self.jid = answer.findtext(f"{{{BIND}}}bind/{{{BIND}}}jid") or ""
        return self.jid

    def bindings(self) -> Mapping[str, bytes]:
        """The channel bindings of this connection, type → data."""
        return self.wire.bindings()

    # ── stanzas ──

    async def appears(self, children: str = "") -> None:
        """Ask for the roster and become available, as clients do (RFC 6121 §2.2, §4.2)."""
        await self.sends(f"<iq type='get' id='roster'><query xmlns='{ROSTER}'/></iq>")
        await self.receives(f"<iq type='result' id='roster' from='{self.account}'><query xmlns='{ROSTER}'>{{any}}</query></iq>")
        await self.sends(f"<presence>{children}</presence>")
        await self.receives(f"<presence from='{self.jid}'>{children}</presence>")

    async def sends(self, xml: str | bytes) -> None:
        """Send this, whatever it is."""
        if isinstance(xml, str):
            self.counting.sends(xml)
        self.wire.write(xml.encode() if isinstance(xml, str) else xml)

    async def hears(self) -> Element:
        """Wait for the next first-level element, whatever it is."""
        element = await self._next()
        if element is None:
            raise AssertionError(f"{self} got the end of the stream where something was expected")
        return element

    def heard(self) -> list[Element]:
        """Take everything that came and that nobody has looked at."""
        elements = self._incoming.elements
        came, elements[:] = list(elements), []
        return came

    async def receives(self, pattern: str) -> Element:
        """Wait for the next first-level element, and see that it fits the pattern; a `to` that is one's own need not be named."""
        wanted = parse(pattern)
        try:
            element = await self._next()
        except TimeoutError:
            raise AssertionError(f"{self} never got {pattern}") from None
        if element is None:
            raise AssertionError(f"{self} got the end of the stream instead of {pattern}")
        self._compare(wanted, element)
        return element

    async def receives_in_any_order(self, *patterns: str) -> None:
        """Wait for as many elements, each of which fits another one of the patterns."""
        wanted = [parse(pattern) for pattern in patterns]
        while wanted:
            try:
                element = await self.hears()
            except TimeoutError:
                raise AssertionError(f"{self} never got {[show(pattern) for pattern in wanted]}") from None
            fitting = next((pattern for pattern in wanted if difference(pattern, element, self._implied) is None), None)
            if fitting is None:
                raise AssertionError(f"{self} got {show(element)}, which is none of {[show(pattern) for pattern in wanted]}")
            wanted.remove(fitting)

    async def receives_nothing(self, *after: "Actor") -> None:
        """See that nothing is on its way, not even from what these others sent before: what they did is done when they are answered."""
        for actor in (*after, self):
            if actor is not self:
                await actor.passes_barrier(alone=False)
        await self.passes_barrier(alone=True)

    async def passes_barrier(self, *, alone: bool) -> int:
        """Ping the domain and wait for the answer; `alone` if nothing else may come before it. Return how much else there is."""
        self._barriers += 1
        barrier = f"barrier-{self._barriers}"
        await self.sends(f"<iq type='get' id='{barrier}' to='{self.domain}'>{PING}</iq>")
        kept: list[Element] = []
        while (element := await self.hears()).get("id") != barrier:
            expect(not alone, f"{self} got {show(element)} where nothing was expected")
            kept.append(element)
        self._compare(parse(f"<iq type='result' id='{barrier}' from='{self.domain}'/>"), element)
        self._incoming.elements[:0] = kept
        return len(kept)

    # ── the end ──

    async def is_told(self, condition: str, *, perhaps_after: str = "") -> None:
        """Wait for this stream error and the end of the stream and of the connection (RFC 6120 §4.9.1.1).

        `perhaps_after` is a pattern of what may come before, or may not.
        """
        element = await self.hears()
        if perhaps_after and difference(parse(perhaps_after), element, self._implied) is None:
            element = await self.hears()
        self._compare(parse(stream_error(condition)), element)
        await self.is_closed()

    async def is_closed(self) -> None:
        """Wait for the end of the stream, and then of the connection, without an error (RFC 6120 §4.4)."""
        element = await self._next()
        expect(element is None, f"{self} got {'' if element is None else show(element)} where the end was expected")
        expect(self._incoming.ended, f"{self} lost the connection without the end of the stream")
        await self.is_cut()

    async def is_cut(self) -> None:
        """Wait for the end of the connection, whatever is said before."""
        while not self._eof:
            try:
                await self._read()
            except ExpatError:  # an alert of TLS, to who speaks none
                continue

    async def closes(self) -> None:
        """Close the stream and wait until the server has closed its own (RFC 6120 §4.4)."""
        await self.sends("</stream:stream>")
        await self.is_closed()

    async def pours(self, text: str, *, megabytes: int) -> None:
        """Send this again and again, so much in all, whether the server listens or not, until it cuts the connection."""
        data = text.encode()
        for _ in range(megabytes * 1024 * 1024 // len(data) + 1):
            await self.sends(data)
            await asyncio.sleep(0)
            if self._eof or self.wire.broken:
                return
        await self.is_cut()

    async def vanishes(self) -> None:
        """Cut the connection without a word."""
        self._eof = True
        self.counting.stops()
        await self.wire.close()

    # ── inside ──

    @property
    def _implied(self) -> dict[str, set[str]]:
        return {"to": {self.jid}} if self.jid else {}

    def _compare(self, wanted: Element, element: Element) -> None:
        problem = difference(wanted, element, self._implied)
        expect(problem is None, f"{self} got {show(element)}\nwhere {show(wanted)} was expected:\n{problem}")

    async def _next(self) -> Element | None:
        while not self._incoming.elements:
            if self._incoming.ended or not await self._read():
                return None
        return self._incoming.elements.pop(0)

    async def reads_on(self) -> bool:
        """Read once, and keep what comes; False at the end."""
        return not self._incoming.ended and await self._read()

    async def _read(self) -> bool:
        """Read once; False at the end of the connection."""
        before = len(self._incoming.elements)
        more = await self._read_once()
        elements = self._incoming.elements
        new, elements[before:] = elements[before:], []
        for element in new:
            if not self.counting.hears(element):
                if element.tag != ACKNOWLEDGEMENT:
                    elements.append(element)
            elif not self.mute:
                await self.acknowledges()
        return more

    async def _read_once(self) -> bool:
        if self._eof:
            return False
        try:
            data = await self._in_time(self.wire.read(), "the server")
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            data = b""
        self._eof = not data
        more = bool(data)
        if self._ahead:
            self._ahead += data
        elif self._incoming.header is not None:
            data, begin, rest = data.partition(b"<?xml ")
            self._ahead = begin + rest
            self._incoming.feed(data)
        elif data:
            self._incoming.feed(data)
        return more

    async def _in_time(self, work: Any, what: str) -> Any:
        try:
            async with asyncio.timeout(PATIENCE):
                return await work
        except TimeoutError:
            raise TimeoutError(f"{self} waited {PATIENCE:g} s for {what}") from None


def failure(condition: str) -> str:
    """Write the pattern of a SASL failure, whatever its text (RFC 6120 §6.5)."""
    return f"<failure xmlns='{SASL}'><{condition}/>...</failure>"


def _decode(text: str | None) -> bytes | None:
    """Read SASL data: nothing is none, `=` is empty (RFC 6120 §6.4.6)."""
    return None if not text else b"" if text == "=" else base64.b64decode(text)
