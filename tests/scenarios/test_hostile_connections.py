"""RFC 6120 §13.12: connections made to exhaust the real server, while others chat undisturbed."""

import asyncio
import contextlib
import random
import socket
import ssl

import pytest

from aldis.core.testing.actor import Actor
from aldis.core.testing.cites import rfc
from aldis.core.testing.patterns import ANY, error
from tests.support.cases import case
from tests.support.siege import Fortress, Pair

STARTTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
PROCEED = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
HEADER = "<stream:stream to='capulet.lit' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
TCP_REPAIR = 19
"""Linux: a socket that is closed in this state says nothing to its peer."""


async def trickles(actor: Actor, text: str | bytes) -> None:
    """Send a byte now and then until the server has had enough."""
    data = text.encode() if isinstance(text, str) else text
    trickle = asyncio.ensure_future(_trickle(actor, data))
    try:
        await actor.is_cut()
    finally:
        trickle.cancel()


async def _trickle(actor: Actor, data: bytes) -> None:
    for at in range(len(data)):
        await actor.sends(data[at : at + 1])
        await asyncio.sleep(0.1)


@rfc("6120", "13.12", "4.9.3.4")
async def test_a_client_that_takes_its_time_is_not_waited_for(fortress: Fortress, peace: Pair) -> None:
    """Slow-loris, and connections on which nothing is said: all at the same time."""

    async def silent(*, direct: bool) -> None:
        actor = fortress.actor()
        await actor.reaches(fortress.doors.tls_port if direct else fortress.doors.port)
        await actor.is_cut()
        await actor.vanishes()

    async def slow_header() -> None:
        actor = fortress.actor()
        await actor.connects(direct=False)
        await trickles(actor, "<?xml version='1.0'?>" + HEADER)
        await actor.vanishes()

    async def slow_hello() -> None:
        actor = fortress.actor()
        await actor.reaches(fortress.doors.tls_port)
        await trickles(actor, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40))
        await actor.vanishes()

    async def slow_hello_after_starttls() -> None:
        actor = fortress.actor()
        await actor.connects(direct=False)
        await actor.opens()
        await actor.sends(STARTTLS)
        await actor.receives(PROCEED)
        await trickles(actor, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40))
        await actor.vanishes()

    async def slow_auth() -> None:
        actor = fortress.actor()
        await actor.connects()
        await actor.opens()
        await trickles(actor, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + "A" * 100)
        await actor.vanishes()

    async def slow_bind() -> None:
        actor = fortress.actor()
        await actor.connects()
        await actor.opens()
        await actor.authenticates()
        await actor.opens()
        await trickles(actor, "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>" + " " * 100)
        await actor.vanishes()

    slow = (slow_header, slow_hello, slow_hello_after_starttls, slow_auth, slow_bind)
    await asyncio.gather(
        *(attack() for _ in range(10) for attack in slow), *(silent(direct=direct) for _ in range(10) for direct in (True, False))
    )


@rfc("6120", "13.12")
async def test_stanzas_that_never_end_hold_no_more_than_one_each(fortress: Fortress, peace: Pair) -> None:
    actors = [fortress.actor("mercutio@montague.lit") for _ in range(15)]
    before = fortress.rss
    for actor in actors:
        await actor.logs_in()
        await actor.sends(f"<message to='{peace.one.jid}'><body>{'x' * 200_000}")
    await asyncio.sleep(0.2)
    assert fortress.rss - before < 30  # 15 unfinished stanzas are 3 MB, perhaps held twice
    for actor in actors:
        await actor.sends(" " * 100_000)
        await actor.is_told("policy-violation")
        await actor.vanishes()


@rfc("6120", "4.6.1", "4.6.2")
async def test_a_client_that_is_gone_without_a_word_is_found_out(fortress: Fortress, peace: Pair) -> None:
    actor = fortress.actor("tybalt@capulet.lit")
    await actor.logs_in("street")
    with contextlib.suppress(AttributeError):
        try:
            actor.wire.socket.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)  # type: ignore[attr-defined]
        except PermissionError:
            pytest.skip("to fall silent without closing takes CAP_NET_ADMIN")
    await actor.vanishes()
    await fortress.is_rid_of(2)  # the server's white space finds nobody
    mercutio = fortress.actor("mercutio@montague.lit")
    await mercutio.logs_in()
    await mercutio.sends("<iq type='get' id='p' to='tybalt@capulet.lit/street'><ping xmlns='urn:xmpp:ping'/></iq>")
    await mercutio.receives(f"<iq type='error' id='p' from='{ANY}'>{error('service-unavailable', 'cancel')}</iq>")
    await mercutio.vanishes()


@rfc("6120", "4.4")
async def test_a_client_that_closes_one_direction_is_gone(fortress: Fortress, peace: Pair) -> None:
    bound, opened = fortress.actor(), fortress.actor()
    await bound.logs_in()
    await opened.connects(direct=False)
    await opened.opens()
    for actor in (bound, opened):
        actor.wire.socket.shutdown(socket.SHUT_WR)  # type: ignore[attr-defined]
        await actor.is_cut()
        await actor.vanishes()


@rfc("6120", "13.12", "10.1")
async def test_a_client_that_never_reads_is_ended_and_its_messages_come_back(fortress: Fortress, peace: Pair) -> None:
    deaf = fortress.actor("tybalt@capulet.lit", receive_buffer=4096)
    await deaf.logs_in("deaf")
    mercutio = fortress.actor("mercutio@montague.lit")
    await mercutio.logs_in("street")
    body = "x" * 50_000
    sent = bounced = 0
    while not bounced:
        assert sent < 600, "30 MB wait for a client that does not read"
        for _ in range(10):
            await mercutio.sends(f"<message to='{deaf.jid}' type='chat' id='m{sent}'><body>{body}</body></message>")
            sent += 1
        bounced = await mercutio.passes_barrier(alone=False)
        await asyncio.sleep(0.01)
    await mercutio.receives(f"<message type='error' id='{ANY}' from='{ANY}'>{error('service-unavailable', 'cancel')}</message>")
    for actor in (deaf, mercutio):
        await actor.vanishes()


@rfc("6120", "13.12")
async def test_a_client_that_asks_and_never_listens_is_ended(fortress: Fortress, peace: Pair) -> None:
    deaf = fortress.actor("tybalt@capulet.lit", receive_buffer=4096)
    await deaf.logs_in("deaf")
    asks = "<iq type='get' id='p' to='capulet.lit'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>" * 200
    for _ in range(300):
        if deaf.wire.broken:
            break
        await deaf.sends(asks)
        await asyncio.sleep(0.01)
    assert deaf.wire.broken, "answers to 60,000 questions wait for a client that does not read"
    await deaf.vanishes()


@rfc("6120", "13.12", "5.4.3.2")
async def test_what_is_no_handshake_is_cut_at_once(fortress: Fortress, peace: Pair) -> None:
    dice = random.Random(1)
    hello = b"\x01\x01\x00\x00" + bytes(16_000)  # announces 64 KiB
    record = b"\x16\x03\x01" + len(hello).to_bytes(2) + hello
    attacks = [
        dice.randbytes(50_000),
        bytes(50_000),
        b"\xff" * 50_000,
        HEADER.encode(),
        b"\x80" * 50_000,
        record * 10,
        b"\x15\x03\x03\0\2\2\x28",
    ]
    for attack in attacks:
        for direct in (True, False):
            actor = fortress.actor()
            await actor.reaches(fortress.doors.tls_port if direct else fortress.doors.port)
            if not direct:
                await actor.opens()
                await actor.sends(STARTTLS)
                await actor.receives(PROCEED)
            with case(attack, direct):
                await actor.sends(attack)
                async with asyncio.timeout(1.4):  # before its time to log in is over
                    await actor.is_cut()
            await actor.vanishes()


@rfc("6120", "13.12")
async def test_a_flood_from_one_address_ends_at_its_limit(fortress: Fortress, peace: Pair) -> None:
    loop = asyncio.get_running_loop()
    open_ones: list[socket.socket] = []
    cut = 0
    for _ in range(600):
        sock = socket.socket()
        sock.bind(("127.0.9.9", 0))
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", fortress.doors.port))
        open_ones.append(sock)
    await asyncio.sleep(0.3)
    for sock in open_ones:
        try:
            cut += sock.recv(1) == b""
        except BlockingIOError:
            continue
        except ConnectionError:
            cut += 1
    assert len(open_ones) - cut <= 150
    other = fortress.actor()  # from another address
    await other.logs_in()
    await other.vanishes()
    for sock in open_ones:
        sock.close()


@rfc("6120", "13.12", "3.3")
async def test_a_storm_of_reconnects_is_let_in_bit_by_bit(fortress: Fortress, peace: Pair) -> None:
    people = ("juliet@capulet.lit", "romeo@montague.lit", "mercutio@montague.lit", "tybalt@capulet.lit")

    async def comes_and_goes(number: int) -> None:
        for attempt in range(5):  # who had to wait longer than logging in may take comes again, as clients do
            actor = fortress.actor(people[number % 4])
            try:
                await actor.logs_in("", mechanism="SCRAM-SHA-1" if number % 3 else "PLAIN")
            except (AssertionError, OSError):
                if attempt == 4:
                    raise
            else:
                return
            finally:
                await actor.vanishes()

    await asyncio.gather(*(comes_and_goes(number) for number in range(120)))


@rfc("6120", "13.12")
async def test_handshakes_that_are_begun_and_dropped_leave_nothing(fortress: Fortress, peace: Pair) -> None:
    async def begins() -> None:
        actor = fortress.actor()
        await actor.reaches(fortress.doors.tls_port)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = fortress.context.wrap_bio(incoming, outgoing, server_hostname="capulet.lit")
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        await actor.sends(outgoing.read())
        await actor.vanishes()

    for _ in range(4):
        await asyncio.gather(*(begins() for _ in range(50)))
