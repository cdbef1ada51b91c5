"""What strangers and users can't do: too many, too much, too slow, too fast (RFC 6120 §13.12)."""

import asyncio
import socket
import time
from pathlib import Path

import pytest

from aldis.core.contracts.base import Origin
from aldis.core.contracts.envelope import Envelope, Kind
from aldis.gateway.net.c2s import C2s
from tests.integration.gateway_kit import PASSWORDS, House, eventually, make_settings, trusting

MESSAGE = "<message to='romeo@localhost/orchard'><body>x</body></message>"


def connection(house: House, number: int = 0) -> C2s:
    board = house.gateway._board
    assert board is not None
    found = sorted(board.connections, key=lambda each: each.port)[number]
    assert isinstance(found, C2s)
    return found


async def test_one_connection_too_many_is_closed_at_once(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path, limits={"connections": 2})) as house, house.client() as first, house.client():
        await first.features()
        async with house.client() as third:
            third.open()
            assert await third.until_closed() == ""
        assert house.metric("aldis_connections_refused_total", reason="connections") == 1
        assert "connection.refused" in house.log
        assert "stream=c3" not in house.log


async def test_an_address_has_its_share_of_connections(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path, limits={"connections_per_address": 1})) as house:
        async with house.client() as first:
            await first.features()
            async with house.client() as second:
                assert await second.until_closed() == ""
        await eventually(lambda: house.metric("aldis_connections") == 0)
        async with house.client() as third:
            await third.features()


async def test_an_address_comes_so_often_in_a_minute(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path, limits={"connections_per_address_per_minute": 2})) as house:
        for _ in range(2):
            async with house.client() as client:
                await client.features()
        async with house.client() as client:
            assert await client.until_closed() == ""


@pytest.mark.parametrize("direct", [False, True])
async def test_who_does_not_log_in_in_time_is_sent_away(tmp_path: Path, direct: bool) -> None:
    async with House(make_settings(tmp_path, limits={"unauthenticated_seconds": 0.3})) as house, house.client(direct=direct) as client:
        await client.features()
        assert "<connection-timeout" in await client.until_closed()


async def test_one_byte_at_a_time_does_not_make_it_longer(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path, limits={"unauthenticated_seconds": 0.4})) as house, house.client() as client:
        for byte in b"<?xml version='1.0'?><stream:stream to='localhost' ":
            client.send(bytes((byte,)))
            await asyncio.sleep(0.01)
        assert "<connection-timeout" in await client.until_closed()


async def test_a_tls_handshake_that_does_not_go_on_is_cut_off(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path, limits={"unauthenticated_seconds": 0.3})) as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.gateway.ports().tls_port)
        writer.write(b"\x16\x03\x01\x02\x00\x01")
        assert await reader.read() == b""
        writer.close()
        await eventually(lambda: "the TLS handshake took too long" in house.log)


async def test_a_resource_has_to_be_bound_in_time(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path, limits={"bind_seconds": 0.2})) as house, house.client(direct=True) as client:
        await client.log_in()
        assert "<connection-timeout" in await client.until_closed()


async def test_a_bound_session_may_be_silent_for_longer(tmp_path: Path) -> None:
    limits = {"bind_seconds": 0.2, "unauthenticated_seconds": 0.2}
    async with House(make_settings(tmp_path, limits=limits)) as house, house.session() as juliet:
        await asyncio.sleep(0.5)
        juliet.send("<presence/>")
        await eventually(lambda: house.shard.stanzas)


async def test_a_stanza_that_is_too_long_closes_its_stream_alone(tmp_path: Path) -> None:
    async with (
        House(make_settings(tmp_path, limits={"stanza_bytes": 20_000})) as house,
        house.session("juliet") as juliet,
        house.session("romeo", "orchard") as romeo,
    ):
        juliet.send("<message to='romeo@localhost/orchard'><body>" + "x" * 30_000 + "</body></message>")
        assert "<policy-violation" in await juliet.until_closed()
        romeo.send(MESSAGE)
        await romeo.until("</message>")


async def test_a_session_that_sends_too_fast_is_read_more_slowly(tmp_path: Path) -> None:
    async with (
        House(make_settings(tmp_path, limits={"stanzas_per_second": 100})) as house,
        house.session("romeo", "orchard") as romeo,
        house.session("juliet") as juliet,
    ):
        juliet.send(MESSAGE * 300)
        await eventually(lambda: len(house.shard.stanzas) == 300)
        began = time.monotonic()
        juliet.send("<message to='romeo@localhost/orchard'><body>last</body></message>")
        await romeo.until("<body>last", 8)
        assert time.monotonic() - began > 0.5


async def test_a_session_whose_shard_has_enough_is_not_read(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path, limits={"stanzas_per_second": 0, "bytes_per_second": 0})) as house, house.session() as juliet:
        house.shard.hold = True
        text = (MESSAGE * 1000).encode()
        writing = asyncio.ensure_future(flood(juliet.writer, text, 40))
        board = house.gateway._board
        assert board is not None
        await eventually(lambda: board.waiting)
        taken = house.metric("aldis_stanzas_total", kind="message", direction="in")
        await asyncio.sleep(0.1)
        assert house.metric("aldis_stanzas_total", kind="message", direction="in") == taken < 40_000
        house.shard.release()
        await writing
        await eventually(lambda: house.metric("aldis_stanzas_total", kind="message", direction="in") == 40_000, 20)


async def flood(writer: asyncio.StreamWriter, data: bytes, times: int) -> None:
    for _ in range(times):
        writer.write(data)
        await writer.drain()


@pytest.mark.parametrize("tls", [False, True])
async def test_a_client_that_never_reads_is_disconnected_and_the_others_go_on(tmp_path: Path, tls: bool) -> None:
    settings = make_settings(tmp_path, clear=not tls, limits={"write_buffer_bytes": 100_000})
    async with House(settings) as house, house.session("juliet", tls=tls) as juliet, house.session("romeo", "orchard", tls=tls) as romeo:
        juliet.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a stream's transport reads
        board = house.gateway._board
        assert board is not None
        stanza = Envelope(Kind.MESSAGE, "", "", "x@localhost", "", b"<body>" + b"x" * 50_000 + b"</body>", (), Origin("s", 1))
        for _ in range(400):
            if "juliet@localhost/balcony" not in house.shard.sessions:
                break
            house.shard.send("juliet@localhost/balcony", stanza)
            await asyncio.sleep(0)
        await eventually(lambda: house.shard.ended)
        assert "client does not read" in house.log
        assert len(house.shard.ended[0].unwritten) >= 2
        romeo.send(MESSAGE)
        await romeo.until("</message>")


async def test_a_silent_session_holds_no_parser_and_hears_a_white_space(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path, limits={"idle_seconds": 60})) as house, house.session() as juliet:
        wire = connection(house)
        assert wire._stream is not None
        now = asyncio.get_running_loop().time()
        wire.look_after(now + 20)
        assert wire._stream._framer.idle
        assert juliet.seen == ""
        wire.look_after(now + 61)
        wire.look_after(now + 62)
        await juliet.until("^ $")
        juliet.send("<message to='juliet@localhost/balcony'/>")
        assert (await juliet.until("/>")).startswith("<message")


async def test_the_kernel_watches_for_dead_peers(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path, limits={"half_open_seconds": 12})) as house, house.client() as client:
        await client.features()
        transport = connection(house)._transport
        assert transport is not None
        sock = transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 12_000
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


async def test_a_connection_that_timed_out_below_ends_its_session(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path)) as house, house.session():
        wire = connection(house)
        assert wire._transport is not None
        wire._transport._force_close(TimeoutError("as the kernel reports it"))  # type: ignore[attr-defined]
        await eventually(lambda: house.shard.ended)
        assert "connection timed out" in house.log


GARBAGE = [
    b"\x00" * 100,
    b"GET / HTTP/1.1\r\n\r\n",
    b"\xff\xfe<\x00",
    b"<!DOCTYPE x [<!ENTITY a 'b'>]><stream:stream>",
    b"<stream:stream to='localhost'>",
    b"<a>" * 10_000,
    b"<?xml version='1.0' encoding='latin-1'?>",
    bytes(range(256)) * 200,
    b"<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:client' to='" + b"x" * 100_000,
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
@pytest.mark.parametrize("port", ["port", "tls_port"])
async def test_garbage_is_answered_by_an_error_or_a_clean_close(tmp_path: Path, garbage: bytes, port: str) -> None:
    async with House(make_settings(tmp_path)) as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", getattr(house.gateway.ports(), port))
        writer.write(garbage)
        writer.write_eof()
        try:
            answer = await asyncio.wait_for(reader.read(), 8)
        except ConnectionError:
            answer = b""
        writer.close()
        assert port == "tls_port" or answer.endswith(b"</stream:stream>") or not answer
        assert "stream.failed" not in house.log


async def test_stanzas_before_binding_are_refused(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path)) as house, house.client(direct=True) as client:
        await client.features()
        client.send("<message to='romeo@localhost'><body>early</body></message>")
        assert "<not-authorized" in await client.until_closed()
        assert house.shard.stanzas == []


async def test_a_fault_of_ours_ends_its_stream_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with House(make_settings(tmp_path)) as house, house.session("juliet") as juliet, house.session("romeo", "orchard") as romeo:
        with monkeypatch.context() as patch:
            patch.setattr("aldis.gateway.net.session.inbound", lambda *_: 1 / 0)
            juliet.send(MESSAGE)
            assert "<internal-server-error" in await juliet.until_closed()
        assert "ZeroDivisionError" in house.log
        romeo.send(MESSAGE)
        await romeo.until("</message>")
        await eventually(lambda: len(house.shard.ended) == 1)


async def test_a_storm_of_handshakes_lets_the_others_go_on(tmp_path: Path) -> None:
    async with House(make_settings(tmp_path)) as house, house.session("romeo", "orchard") as romeo:

        async def come_and_log_in() -> None:
            async with house.client(direct=True, context=trusting()) as client:
                await client.features()
                assert "<success" in await client.plain("juliet", PASSWORDS["juliet"])

        storm = asyncio.gather(*(come_and_log_in() for _ in range(30)))
        for _ in range(20):
            romeo.send(MESSAGE)
            await romeo.until("</message>")
        await storm
