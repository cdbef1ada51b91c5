"""Measure the gateway: microseconds a stanza in and out above the socket, and the memory of an idle session.

`python -m bench.micro_gateway` for the first, `… idle clear` and `… idle tls` for the second.
"""

import asyncio
import contextlib
import gc
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any, cast

from OpenSSL import SSL

from aldis.core.contracts.base import Message, Origin
from aldis.core.contracts.envelope import Envelope, Kind
from aldis.core.contracts.sessions import Deliver, FromSession, Recipient
from aldis.core.xmpp.jid import Jid
from aldis.gateway.net.c2s import C2s
from tests.integration.gateway_kit import House, RawClient, eventually, make_settings, trusting

HEADER = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>"
BIND = b"<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
PLAIN = b"<message to='romeo@localhost/orchard' id='abc12345' type='chat'><body>Wherefore art thou, Romeo?</body></message>"
STANZAS = 5_000
ROUNDS = 15


class Transport:
    """A transport that swallows everything."""

    def __init__(self) -> None:
        self.data: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.data.append(data)

    def get_extra_info(self, name: str) -> object:
        return ("127.0.0.1", 1) if name == "peername" else self

    def set_write_buffer_limits(self, high: int) -> None: ...
    def setsockopt(self, *_: int) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def write_eof(self) -> None: ...
    def abort(self) -> None: ...

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


class Batch:
    """A batch that nobody waits for."""

    redelivered = 0

    def __init__(self, messages: list[Message]) -> None:
        self.messages = messages

    def ack(self) -> None: ...


class Client:
    """The other end of TLS."""

    def __init__(self) -> None:
        self.tls = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
        self.tls.set_connect_state()

    def shake(self) -> None:
        with contextlib.suppress(SSL.WantReadError):
            self.tls.do_handshake()

    def output(self) -> bytes:
        try:
            return self.tls.bio_read(1 << 20)
        except SSL.WantReadError:
            return b""

    def encrypt(self, data: bytes) -> bytes:
        self.tls.send(data)
        return self.output()


def feed(wire: C2s, data: bytes) -> None:
    """Give the connection bytes, as the loop does."""
    wire.board.buffer[: len(data)] = data
    wire.buffer_updated(len(data))


async def session(house: House, *, tls: bool) -> tuple[C2s, Transport, Client | None]:
    """A bound session on a transport that swallows everything."""
    board = house.gateway._board  # noqa: SLF001  a benchmark looks inside
    assert board is not None
    wire, transport = C2s(board, direct=tls), Transport()
    wire.connection_made(cast(asyncio.Transport, transport))
    client = Client() if tls else None
    if client is not None:
        client.shake()
        while not (wire.tls and wire.tls.established):
            feed(wire, client.output())
            await asyncio.sleep(0.01)
            for data in transport.data:
                client.tls.bio_write(data)
            transport.data.clear()
            client.shake()
    say = client.encrypt if client is not None else bytes
    feed(wire, say(HEADER))
    stream = cast(Any, wire)._stream  # noqa: SLF001
    feed(wire, say(b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGp1bGlldAByMG0zMA==</auth>"))
    await eventually(lambda: stream.account == Jid.parse("juliet@localhost"))
    feed(wire, say(HEADER + BIND))
    await eventually(lambda: stream.jid is not None)
    return wire, transport, client


async def measure_in(wire: C2s, client: Client | None, at_once: int) -> float:
    """Microseconds a stanza from bytes to the bus, the best of some rounds."""
    hub = wire.board.hub
    taken: list[Message] = []
    bus = cast(Any, hub)._bus  # noqa: SLF001
    publish, bus.publish = bus.publish, lambda _queue, message: taken.append(message)
    best = float("inf")
    chunk = PLAIN * at_once
    for _ in range(ROUNDS):
        chunks = [client.encrypt(chunk) if client else chunk for _ in range(STANZAS // at_once)]
        taken.clear()
        gc.collect()
        began = perf_counter()
        for data in chunks:
            feed(wire, data)
        best = min(best, (perf_counter() - began) / STANZAS * 1e6)
        assert len(taken) == STANZAS
        assert isinstance(taken[0], FromSession)
    del bus.publish
    assert bus.publish == publish
    return best


async def measure_out(wire: C2s, transport: Transport, at_once: int) -> float:
    """Microseconds a stanza from the bus's batch to the transport, the best of some rounds."""
    hub = wire.board.hub
    link = cast(Any, wire)._link  # noqa: SLF001
    best = float("inf")
    for _ in range(ROUNDS):
        batches = []
        number = link.number
        for _ in range(STANZAS // at_once):
            messages: list[Message] = []
            for _ in range(at_once):
                number += 1
                stanza = Envelope(
                    Kind.MESSAGE.value, "chat", f"abc{number}", "romeo@localhost/orchard", "",
                    b"<body>Wherefore art thou, Romeo?</body>", (), Origin("s", number),
                )  # fmt: skip
                messages.append(
                    Deliver(
                        shard=0, epoch=1, mark=number, acked=number - 1, effect="m", stanza=stanza,
                        recipients=(Recipient(link.id, 1, number, link.jid),),
                    )
                )  # fmt: skip
            batches.append(Batch(messages))
        transport.data.clear()
        gc.collect()
        began = perf_counter()
        for batch in batches:
            hub.deliver(batch)
        best = min(best, (perf_counter() - began) / STANZAS * 1e6)
        assert len(transport.data) == len(batches)
        hub.report()
        await asyncio.sleep(0)
    return best


async def speed(path: Path) -> None:
    """Print microseconds."""
    limits = {"stanzas_per_second": 0, "bytes_per_second": 0}
    async with House(make_settings(path, clear=True, limits=limits), level="error") as house:
        for tls in (False, True):
            wire, transport, client = await session(house, tls=tls)
            for at_once in (1, 4, 20):
                taken = await measure_in(wire, client, at_once)
                given = await measure_out(wire, transport, at_once)
                print(f"{'tls' if tls else 'clear':6} {at_once:3} at once: in {taken:5.2f} µs, out {given:5.2f} µs a stanza")
            wire.connection_lost(None)


def resident() -> int:
    """Kilobytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


async def clients(port: int, count: int, *, tls: bool) -> None:
    """Log in so many, say so, and wait to be told to leave."""
    held = []
    for number in range(count):
        client = RawClient()
        await client.connect(port, trusting() if tls else None)
        await client.log_in()
        await client.bind(f"r{number}")
        client.send("<presence/>")
        held.append(client)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)


async def idle(path: Path, count: int, *, tls: bool) -> None:
    """Print kilobytes a session; in a process of its own, since freed memory is taken again."""
    limits = {"connections": 0, "connections_per_address": 0, "connections_per_address_per_minute": 0}
    async with House(make_settings(path, clear=True, limits=limits), level="error") as house:
        ports = house.gateway.ports()
        board = house.gateway._board  # noqa: SLF001  a benchmark looks inside
        assert board is not None
        before = 0
        for some in (50, count):  # the first ones pay for what all share
            arguments = ["-m", "bench.micro_gateway", "clients", str(ports.tls_port if tls else ports.port), str(some), str(int(tls))]
            child = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
            assert child.stdout is not None
            assert child.stdin is not None
            await child.stdout.readline()
            for connection in board.connections:
                connection.look_after(board.loop.time() + 20)
            await asyncio.sleep(0.2)
            house.shard.stanzas.clear()
            gc.collect()
            now = resident()
            if some == count:
                print(f"{'tls' if tls else 'clear':6} {(now - before) / count:.1f} kB a session of {count}")
            child.stdin.write(b"\n")
            await child.wait()
            await asyncio.wait_for(board.empty.wait(), 20)
            gc.collect()
            before = resident()


def main() -> None:
    """Do what the arguments say."""
    match sys.argv[1:]:
        case ["clients", port, count, tls]:
            asyncio.run(clients(int(port), int(count), tls=tls == "1"))
        case ["idle", kind]:
            with tempfile.TemporaryDirectory() as path:
                asyncio.run(idle(Path(path), 1000, tls=kind == "tls"))
        case _:
            with tempfile.TemporaryDirectory() as path:
                asyncio.run(speed(Path(path)))


if __name__ == "__main__":
    main()
