"""Microseconds of CPU for publishing a stanza and consuming it, over a RabbitMQ of its own: `python -m bench.micro_bus`.

One process does both, so the figure is the sum of what a sender and a receiver pay; the broker's own CPU is beside it.
"""

import argparse
import asyncio
import os
import tempfile
import time
from pathlib import Path

from aldis.core.bus import Batch
from aldis.core.bus.amqp.bus import AmqpBus, connect
from aldis.core.bus.amqp.hooks import Hooks, NoLog
from aldis.core.contracts.base import Origin
from aldis.core.contracts.envelope import Envelope, Kind
from aldis.core.contracts.sessions import FromSession
from tests.support.rabbit import Rabbit

BODY = b"<body>But soft, what light through yonder window breaks? It is the east, and Juliet is the sun.</body>"
SIZES = (1, 20, 256)


class Counter:
    """Acknowledges at once and counts."""

    def __init__(self) -> None:
        self.count = 0
        self.batches = 0
        self.wanted = 0
        self.reached = asyncio.Event()

    def deliver(self, batch: Batch) -> None:
        self.count += len(batch.messages)
        self.batches += 1
        batch.ack()
        if self.count >= self.wanted:
            self.reached.set()

    def lost(self) -> None:
        self.reached.set()


def stanza(n: int) -> FromSession:
    """A short chat message."""
    names = ("{jabber:client}body",)
    return FromSession(
        generation=1,
        stanza=Envelope(
            Kind.MESSAGE, "chat", f"m{n}", "juliet@capulet.example/balcony", "romeo@montague.example", BODY, names, Origin("g1.1", n)
        ),
    )


def cpu(pid: int) -> float:
    """Seconds of CPU that the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(bus: AmqpBus, rabbit: Rabbit, queue: str, size: int, batches: int) -> str:
    """One line of the table: batches of this size, four of them under way."""
    counter = Counter()
    subscription = await bus.consume(queue, counter)
    messages = [stanza(n) for n in range(size)]
    before, broker, start = time.process_time(), cpu(rabbit.pid), time.perf_counter()
    sent = 0
    for _ in range(batches):
        for message in messages:
            bus.publish(queue, message)
        sent += size
        counter.wanted = sent
        counter.reached.clear()
        async with asyncio.timeout(30):
            await counter.reached.wait()
    used, wall, theirs = time.process_time() - before, time.perf_counter() - start, cpu(rabbit.pid) - broker
    await subscription.cancel()
    each = 1e6 / sent
    return (
        f"{size:5} {used * each:10.1f} {used * 1e6 / counter.batches:10.1f} {theirs * each:10.1f} {1000 * wall / counter.batches:10.2f}"
        f" {sent / counter.batches:8.1f}"
    )


async def main(batches: int) -> None:
    """Print the tables for a shard's queue and for a gateway's."""
    with tempfile.TemporaryDirectory() as folder:
        rabbit = Rabbit.made(Path(folder) / "rabbit")
        try:
            await asyncio.to_thread(rabbit.start, os.getpid())
            bus = await connect(rabbit.url, prefix="", incarnation="bench", hooks=Hooks(NoLog()))
            for queue, exclusive in (("aldis.router.0", False), ("aldis.gateway.bench-1", True)):
                await bus.declare(queue, exclusive=exclusive)
                print(f"{queue}\nbatch  us/stanza   us/batch  broker us   ms/batch    sizes")
                for size in SIZES:
                    print(await measure(bus, rabbit, queue, size, max(20, batches // (1 + size // 20))), flush=True)
            await bus.close()
        finally:
            await asyncio.to_thread(rabbit.end)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=2000)
    asyncio.run(main(parser.parse_args().batches))
