"""Make the clients' accounts by in-band registration (XEP-0077), as any client would."""

import asyncio
from collections.abc import Sequence
from typing import Final

from tests.kill.client import Client

TOGETHER: Final = 10


async def register(clients: Sequence[Client], port: int) -> None:
    """Make an account for each client."""
    turns = asyncio.Semaphore(TOGETHER)
    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(_register(client, port, turns))


async def _register(client: Client, port: int, turns: asyncio.Semaphore) -> None:
    name, _, domain = client.account.partition("@")
    async with turns, asyncio.timeout(30):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
            f"to='{domain}' version='1.0'>".encode()
        )
        await reader.readuntil(b"</stream:features>")
        writer.write(
            f"<iq type='set' id='r'><query xmlns='jabber:iq:register'><username>{name}</username>"
            f"<password>{client.password}</password></query></iq>".encode()
        )
        answer = await reader.readuntil(b">")
        assert b"result" in answer, f"{client.account} could not be registered: {answer!r} {await reader.read(1000)!r}"
        writer.close()
