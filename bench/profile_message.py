"""Follow one message through the process: microseconds for framing, envelope, bus, routing, encoding and the sockets.

`python -m bench.profile_message` runs the real parts of `aldis serve` in one loop turn after the other, with the clock read between
the stages, for one message a read and for twenty. The sum is what a message costs a process that does nothing else.
"""

import asyncio
import socket
import statistics
import tempfile
from itertools import pairwise
from pathlib import Path
from time import perf_counter

from aldis.core.bus.memory import MemoryBus
from aldis.core.contracts.envelope import Envelope
from aldis.core.shards.hub import Hub
from aldis.core.shards.link import Link, Uncounted
from aldis.core.xmpp.stream.framer import Framer
from aldis.core.xmpp.stream.frames import Frame, FramerLimits
from aldis.gateway.domain.stanzas import inbound, outbound
from tests.integration.router.conftest import Cluster

HEADER = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.org' version='1.0'>"
MESSAGE = b"<message to='juliet@example.org/balcony' id='abc12345' type='chat'><body>But soft, what light through yonder</body></message>"
ROUNDS = 2_000
STAGES = ("read", "framing", "envelope", "bus and routing", "bus and encoding", "write")


class Sink(Uncounted):
    """A client whose stanzas are encoded and kept for one write."""

    def __init__(self) -> None:
        self.out: list[bytes] = []
        self.given = 0
        self.bound_now = asyncio.Event()

    def stanza(self, stanza: Envelope, to: str) -> None:
        self.given += 1
        self.out.append(outbound(stanza, to))

    def bound(self, jid: str) -> None:
        self.bound_now.set()

    def bind_refused(self, error: bytes) -> None:
        raise AssertionError(error)

    def close(self, condition: str, text: str) -> None:
        raise AssertionError(condition, text)

    def on_socket(self) -> int:
        return self.given


def bus_of(hub: Hub) -> MemoryBus:
    """The hub's own connection, whose flush is called by hand here."""
    bus = hub._bus  # noqa: SLF001  the stages are what is measured
    assert isinstance(bus, MemoryBus)
    return bus


async def session(hub: Hub, account: str, resource: str) -> tuple[Link, Sink]:
    """A bound session."""
    sink = Sink()
    link = hub.open(account, sink, "bench", 0.0)
    hub.bind(link, resource)
    async with asyncio.timeout(5):
        await sink.bound_now.wait()
    return link, sink


def measure(size: int, cluster: Cluster, hub: Hub, romeo: Link, juliet: Sink) -> list[float]:
    """Microseconds a message of each stage, the median over the rounds, with `size` messages a read."""
    framer = Framer(FramerLimits())
    framer.feed(HEADER)
    client, server = socket.socketpair()
    buffer = memoryview(bytearray(65536))
    chunk = MESSAGE * size
    gateway, router = bus_of(hub), next(bus for bus in cluster.broker.buses if bus.incarnation == "r0")
    taken: list[list[float]] = []
    for _ in range(ROUNDS):
        client.send(chunk)
        times = [perf_counter()]
        data = bytes(buffer[: server.recv_into(buffer)])
        times.append(perf_counter())
        frames = framer.feed(data)
        times.append(perf_counter())
        for frame in frames:
            assert isinstance(frame, Frame)
            hub.publish(romeo, inbound(frame, romeo.jid, romeo.account, hub.origin(romeo)))
        times.append(perf_counter())
        gateway._flush()  # noqa: SLF001
        times.append(perf_counter())
        router._flush()  # noqa: SLF001
        times.append(perf_counter())
        server.send(b"".join(juliet.out))
        times.append(perf_counter())
        assert len(juliet.out) == size
        juliet.out.clear()
        client.recv(1 << 20)
        hub.report()
        gateway._flush()  # noqa: SLF001
        taken.append([(after - before) * 1e6 / size for before, after in pairwise(times)])
    client.close()
    server.close()
    return [statistics.median(stage) for stage in zip(*taken, strict=True)]


async def main() -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder), None, shards=1)
        async with cluster.running(routers=1, hubs=1):
            hub = cluster.hubs[0]
            romeo, _ = await session(hub, "romeo@example.org", "orchard")
            _, juliet = await session(hub, "juliet@example.org", "balcony")
            columns = [measure(size, cluster, hub, romeo, juliet) for size in (1, 4, 20)]
    print(f"{'microseconds a message':24}{'1 a read':>10}{'4 a read':>10}{'20 a read':>10}")
    for name, *row in zip(STAGES, *columns, strict=True):
        print(f"{name:24}" + "".join(f"{value:10.2f}" for value in row))
    sums = [sum(column) for column in columns]
    print(f"{'sum':24}" + "".join(f"{value:10.2f}" for value in sums))
    print(f"{'a second, at most':24}" + "".join(f"{1e6 / value:10,.0f}" for value in sums))


if __name__ == "__main__":
    asyncio.run(main())
