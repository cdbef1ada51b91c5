"""What happens to stanzas between a client and its shard, and how streams end (RFC 6120 §4.9, §8, §10.3)."""

import asyncio
from pathlib import Path

import pytest

from aldis.core.contracts.base import Origin
from aldis.core.contracts.envelope import Envelope, Flag, Kind
from aldis.core.seal import context as seal_context
from aldis.core.xmpp.errors.stanza import Conflict
from tests.integration.gateway_kit import House, eventually, make_settings


def message(to: str, body: str = "Art thou not Romeo?", **attributes: str) -> str:
    more = "".join(f" {key}='{value}'" for key, value in attributes.items())
    return f"<message to='{to}' type='chat'{more}><body>{body}</body></message>"


@pytest.mark.parametrize("tls", [False, True])
async def test_a_message_reaches_another_client(tmp_path: Path, tls: bool) -> None:
    async with (
        House(make_settings(tmp_path, clear=not tls)) as house,
        house.session("juliet", "balcony", tls=tls) as juliet,
        house.session("romeo", "orchard", tls=tls) as romeo,
    ):
        juliet.send(message("ROMEO@localhost/orchard", id="m1"))
        assert await romeo.until("</message>") == (
            "<message from='juliet@localhost/balcony' to='romeo@localhost/orchard' type='chat' id='m1'>"
            "<body>Art thou not Romeo?</body></message>"
        )
        assert house.metric("aldis_stanzas_total", kind="message", direction="in") == 1
        assert house.metric("aldis_stanzas_total", kind="message", direction="out") == 1
        assert house.metric("aldis_sessions") == 2


async def test_many_messages_keep_their_order(tmp_path: Path) -> None:
    async with (
        House(make_settings(tmp_path)) as house,
        house.session("juliet", "balcony") as juliet,
        house.session("romeo", "orchard") as romeo,
    ):
        juliet.send("".join(message("romeo@localhost/orchard", str(n)) for n in range(1500)) + "<presence/>")
        got = await romeo.until("<body>1499</body></message>", 10)
        assert [part.partition("<")[0] for part in got.split("<body>")[1:]] == [str(n) for n in range(1500)]


async def test_stanzas_in_one_packet_with_bind_follow_it_in_order(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path)) as house, house.client(direct=True) as client:
        await client.log_in()
        bind = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
        client.send(bind + "<presence/>" + message("romeo@localhost", "1") + "<iq type='get' id='2'><query xmlns='x'/></iq>")
        await client.until("</iq>")
        await eventually(lambda: len(house.shard.stanzas) == 3)
        presence, chat, iq = house.shard.stanzas
        assert (presence.kind, presence.to, presence.flags) == (Kind.PRESENCE, "", Flag.INITIAL)
        assert (chat.kind, chat.to, chat.type, chat.flags) == (Kind.MESSAGE, "romeo@localhost", "chat", Flag.BODY)
        assert (iq.kind, iq.to, iq.type, iq.id, iq.flags) == (Kind.IQ, "juliet@localhost", "get", "2", Flag.UNADDRESSED)
        assert {stanza.sender for stanza in house.shard.stanzas} == {"juliet@localhost/made-up"}
        assert [stanza.origin.n for stanza in house.shard.stanzas] == [2, 3, 4]


async def test_an_address_that_is_none_goes_on_as_it_came(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path)) as house, house.session() as juliet:
        juliet.send(message("@@") + message(""))
        await eventually(lambda: len(house.shard.stanzas) == 2)
        assert [(stanza.to, stanza.flags) for stanza in house.shard.stanzas] == [
            ("@@", Flag.BAD_TO | Flag.BODY),
            ("", Flag.BAD_TO | Flag.BODY),
        ]


async def test_a_session_that_becomes_available_again_says_so(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path)) as house, house.session() as juliet:
        juliet.send("<presence/><presence/><presence type='unavailable'/><presence/>")
        await eventually(lambda: len(house.shard.stanzas) == 4)
        assert [stanza.flags for stanza in house.shard.stanzas] == [Flag.INITIAL, 0, 0, Flag.INITIAL]


async def test_attributes_come_out_as_they_were_meant(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path)) as house, house.session() as juliet:
        odd = Envelope(Kind.MESSAGE, "", "a'b&<>\"\n", "x@localhost/<'&\">", "", b"", (), Origin("s", 1), 0, "de")
        house.shard.send("juliet@localhost/balcony", odd)
        assert await juliet.until("/>") == (
            "<message from='x@localhost/&lt;&apos;&amp;\"&gt;' to='juliet@localhost/balcony' "
            "id='a&apos;b&amp;&lt;&gt;\"&#10;' xml:lang='de'/>"
        )


async def test_what_is_on_the_socket_is_reported(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path)) as house, house.session() as juliet:
        for n in range(3):
            juliet.send(message("juliet@localhost/balcony", str(n)))
        await juliet.until("<body>2</body>")
        session = house.shard.sessions["juliet@localhost/balcony"][0]
        await eventually(lambda: house.shard.written.get(session) == 3)


async def test_a_refused_resource_leaves_the_stream_open_for_another_try(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path)) as house, house.client(direct=True) as client:
        await client.log_in()
        house.shard.refuse = Conflict().to_xml()
        assert "<conflict" in await client.bind()
        house.shard.refuse = b""
        assert "<jid>juliet@localhost/balcony</jid>" in await client.bind()


async def test_a_shard_that_closes_a_session_gets_its_error_to_the_client(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path)) as house, house.session() as juliet:
        house.shard.close("juliet@localhost/balcony", "conflict", "replaced")
        last = await juliet.until_closed()
        assert "<conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>" in last
        assert last.endswith("</stream:stream>")
        await eventually(lambda: len(house.shard.ended) == 1)
        assert house.metric("aldis_streams_closed_total", condition="conflict") == 1


@pytest.mark.parametrize("end", ["footer", "eof", "abort", "garbage", "forgery"])
async def test_a_session_ends_once_however_its_connection_ends(tmp_path: Path, end: str) -> None:
    async with House(make_settings(tmp_path, clear=True)) as house, house.session(tls=False) as juliet:
        juliet.send("<presence/>")
        await eventually(lambda: house.shard.stanzas)
        match end:
            case "footer":
                juliet.send("</stream:stream>")
                assert await juliet.until_closed() == "</stream:stream>"
            case "eof":
                juliet.writer.write_eof()
                await juliet.until_closed()
            case "abort":
                juliet.writer.transport.abort()
            case "garbage":
                juliet.send("<message><")
                juliet.send("!!")
                assert "<not-well-formed" in await juliet.until_closed()
            case "forgery":
                juliet.send(message("romeo@localhost", **{"from": "nurse@localhost"}))
                assert "<invalid-from" in await juliet.until_closed()
        await eventually(lambda: house.shard.ended)
        await asyncio.sleep(0.02)
        (ended,) = house.shard.ended
        assert ended.jid == "juliet@localhost/balcony"
        assert ended.origin.n == 3
        await eventually(lambda: house.metric("aldis_sessions") == 0)
    assert house.log.count("stream.closed") == 1


async def test_the_gateway_says_goodbye_when_it_stops(tmp_path: Path) -> None:
    house = House(make_settings(tmp_path))
    async with house, house.session() as juliet, house.client() as stranger:
        await stranger.features()
        assert house.rolls.queues
        stopping = asyncio.ensure_future(house.gateway.stop())
        assert "<system-shutdown" in await juliet.until_closed()
        assert "<system-shutdown" in await stranger.until_closed()
        juliet.writer.close()
        stranger.writer.close()
        await asyncio.wait_for(stopping, 5)
        assert len(house.shard.ended) == 1
        assert not house.rolls.queues
        with pytest.raises(OSError, match=r"refused|failed"):
            await asyncio.open_connection("127.0.0.1", house.gateway.ports().port)


async def test_a_log_line_tells_each_step_of_a_stream(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path)) as house:
        async with house.session() as juliet:
            juliet.send("</stream:stream>")
            await juliet.until_closed()
        await eventually(lambda: "stream.closed" in house.log)
    events = [line.split()[2] for line in house.log.splitlines() if " stream=c1" in line]
    assert events == ["stream.secured", "stream.opened", "stream.authenticated", "stream.bound", "stream.closed"]
    assert "r0m30" not in house.log


@pytest.mark.parametrize("to", ["localhost", "juliet@localhost"])
async def test_a_change_of_the_password_leaves_the_gateway_sealed(tmp_path: Path, to: str) -> None:  # XEP-0077 §3.3
    async with House(make_settings(tmp_path)) as house, house.session("juliet", "balcony") as juliet:
        query = "<query xmlns='jabber:iq:register'><username>juliet</username><password>T0ps3cret</password></query>"
        juliet.send(f"<iq type='set' id='p' to='{to}'>{query}</iq><iq type='get' id='g' to='{to}'><query xmlns='jabber:iq:register'/></iq>")
        await eventually(lambda: len(house.shard.stanzas) == 2)
        change, ask = house.shard.stanzas
        assert change.flags & Flag.SEALED
        assert b"T0ps3cret" not in change.children
        assert house.directory.key.open(change.children, seal_context("iq", "juliet@localhost")) == query.encode()
        assert not ask.flags & Flag.SEALED
        assert ask.children == b"<query xmlns='jabber:iq:register'/>"


@pytest.mark.parametrize("to", ["romeo@localhost/orchard", "romeo@localhost", "juliet@localhost/balcony", "elsewhere.example"])
async def test_the_same_payload_for_anybody_else_is_just_a_payload(tmp_path: Path, to: str) -> None:
    async with House(make_settings(tmp_path)) as house, house.session("juliet", "balcony") as juliet:
        query = "<query xmlns='jabber:iq:register'><username>x</username><password>y</password></query>"
        juliet.send(f"<iq type='set' id='p' to='{to}'>{query}</iq>")
        await eventually(lambda: house.shard.stanzas)
        assert house.shard.stanzas[0].children == query.encode()
        assert not house.shard.stanzas[0].flags & Flag.SEALED
