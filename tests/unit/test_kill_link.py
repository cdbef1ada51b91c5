"""The proxy by which the kill test cuts a process off from its broker."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.kill.link import PUBLISH, Link, State


class Caller:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def echoes(self, data: bytes) -> bool:
        """Whether it comes back soon; False if nothing does."""
        self.writer.write(data)
        try:
            async with asyncio.timeout(0.3):
                return await self.reader.readexactly(len(data)) == data
        except TimeoutError:
            return False


Call = Callable[[], Awaitable[Caller]]


@pytest.fixture
async def link() -> AsyncIterator[Link]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1000):
                writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with Link(server.sockets[0].getsockname()[1]).serving() as made:
        yield made
    server.close()


@pytest.fixture
async def call(link: Link) -> AsyncIterator[Call]:
    callers: list[Caller] = []

    async def connect() -> Caller:
        callers.append(Caller(*await asyncio.open_connection("127.0.0.1", link.port)))
        return callers[-1]

    yield connect
    for caller in callers:
        caller.writer.close()


async def test_bytes_pass_both_ways(call: Call) -> None:
    caller = await call()
    assert await caller.echoes(b"x" * 100_000)


async def test_a_cut_link_ends_connections_and_takes_none_until_it_is_open_again(link: Link, call: Call) -> None:
    caller = await call()
    assert await caller.echoes(b"one")
    link.set(State.CUT)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await caller.echoes(b"two")
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await (await call()).echoes(b"three")
    link.set(State.OPEN)
    assert await (await call()).echoes(b"four")


async def test_a_held_link_keeps_what_comes_and_passes_it_on_later(link: Link, call: Call) -> None:
    caller = await call()
    assert await caller.echoes(b"one")
    link.set(State.HELD)
    assert not await caller.echoes(b"two")
    link.set(State.OPEN)
    assert await caller.reader.readexactly(3) == b"two"


async def test_a_mute_link_holds_what_publishes_only(link: Link, call: Call) -> None:
    consumer, publisher = await call(), await call()
    assert await consumer.echoes(b"ack")
    assert await publisher.echoes(PUBLISH)
    link.set(State.MUTE)
    assert await consumer.echoes(b"ack")
    assert not await publisher.echoes(b"lost")
