"""The load client: its figures count only if what a server loses, repeats or miscounts turns it red."""

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from bench.embedded import Embedded
from bench.load import PROGRAM, build, measure

pytestmark = pytest.mark.needs("cc")

Change = Callable[[int, bytes], list[bytes]]
"""What becomes of the n-th message."""


@dataclass
class Scripted:
    """Just enough of a server for two users, which does to messages what it is told."""

    change: Change
    h: Callable[[int], int] = lambda count: count
    users: dict[str, asyncio.StreamWriter] = field(default_factory=dict)
    messages: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client."""
        try:
            await self._converse(reader, writer)
        finally:
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        user, counted = "", -1
        with_features = b"<?xml version='1.0'?><stream:stream xmlns='jabber:client'><stream:features><x/></stream:features>"
        while token := await _token(reader):
            name = token[1:].split(b" ")[0].rstrip(b"/>")
            counted += counted >= 0 and name in (b"message", b"presence", b"iq")
            match name:
                case b"stream:stream":
                    writer.write(with_features)
                case b"auth":
                    writer.write(b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
                case b"enable":
                    counted = 0
                    writer.write(b"<enabled xmlns='urn:xmpp:sm:3'/>")
                case b"iq":
                    writer.write(b"<iq type='result' id='%b'/>" % re.findall(rb"id='(\w+)'", token)[0])
                case b"r":
                    writer.write(b"<a xmlns='urn:xmpp:sm:3' h='%d'/>" % self.h(counted))
                case b"message":
                    self.messages += 1
                    user = re.findall(rb"to='(u\d)@", token)[0].decode()
                    self.users["u1" if user == "u0" else "u0"] = writer
                    for copy in self.change(self.messages, token):
                        self.users[user].write(copy)
                case b"presence":
                    self.users.setdefault(f"u{len(self.users)}", writer)


async def _token(reader: asyncio.StreamReader) -> bytes:
    """The next first-level element, or the stream's tag; nothing at the end."""
    try:
        token = await reader.readuntil(b">")
        while token.startswith(b"<?"):
            token = await reader.readuntil(b">")
        name = token[1:].split(b" ")[0]
        if name in {b"stream:stream", b"</stream:stream"} or token.endswith(b"/>"):
            return token
        while not token.endswith(b"</" + name.rstrip(b">") + b">"):
            token += await reader.readuntil(b">")
    except asyncio.IncompleteReadError:
        return b""
    return token


@asynccontextmanager
async def scripted(server: Scripted) -> AsyncIterator[int]:
    """Its port."""
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, limit=1 << 20)
    async with listening:
        yield int(listening.sockets[0].getsockname()[1])


async def load(port: int, *words: str) -> tuple[int, dict[str, Any]]:
    """Let two clients chat for a moment, one after the other logged in; the exit code, and what was printed last."""
    build()
    command = [str(PROGRAM), "chat", "--clients", "2", "--conns", "1", "--window", "2", "--seconds", "0.3", "--warm", "0.1"]
    process = await asyncio.create_subprocess_exec(*command, "--port", str(port), *words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    lines = [json.loads(line) for line in output.splitlines()]
    assert [line.get("event") for line in lines] == ["begin", "end", None]
    return process.returncode or 0, lines[-1]


def faithful(_: int, message: bytes) -> list[bytes]:
    return [message]


async def test_a_faithful_server_is_green() -> None:
    async with scripted(Scripted(faithful)) as port:
        code, said = await load(port, "--sm", "3")
    assert (code, said["lost"], said["wrong"], said["unacknowledged"]) == (0, 0, 0, 0)
    assert said["received"] > 10


async def test_a_lost_message_is_red() -> None:
    async with scripted(Scripted(lambda n, message: [] if n == 20 else [message])) as port:
        code, said = await load(port)
    assert code == 1
    assert said["lost"] == 1


async def test_a_repeated_message_is_red() -> None:
    async with scripted(Scripted(lambda n, message: [message] * (1 + (n == 20)))) as port:
        code, said = await load(port)
    assert code == 1
    assert (said["lost"], said["wrong"]) == (0, 1)


async def test_an_error_is_red() -> None:
    error = b"<message type='error' id='m'><error type='cancel'/></message>"
    async with scripted(Scripted(lambda n, message: [message, error] if n == 20 else [message])) as port:
        code, said = await load(port)
    assert code == 1
    assert said["errors"] == 1


@pytest.mark.parametrize("more", [-1, 1])
async def test_a_count_of_xep_0198_that_is_wrong_is_red(more: int) -> None:
    async with scripted(Scripted(faithful, h=lambda count: count + more)) as port:
        code, said = await load(port, "--sm", "3")
    assert code == 1
    assert (said["unacknowledged"] if more < 0 else said["wrong"]) > 0


def test_aldis_takes_what_the_benchmark_does() -> None:
    build()
    server = Embedded()
    try:
        server.start()
        measure(server, "register", ("register", "--clients", "20"), number=0, limit=60)
        scram = measure(server, "login", ("login", "--clients", "20", "--mechanism", "SCRAM-SHA-256"), number=0, limit=60)
        words = ("chat", "--clients", "20", "--seconds", "1", "--warm", "0.2")
        closed = measure(server, "chat", (*words, "--sm", "3"), number=0, limit=60)
        paced = measure(server, "rate", (*words, "--rate", "100"), number=0, limit=60)
    finally:
        server.stop()
    assert scram.load["dead"] == 0
    assert closed.load["received"] > 100
    assert closed.cpu["aldis"] > 0
    assert 80 <= paced.rate <= 110
