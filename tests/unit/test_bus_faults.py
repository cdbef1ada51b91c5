"""The memory bus's fault mode: it does what a broker may do, the same for the same seed, and loses nothing."""

import asyncio

import pytest

from aldis.core.bus import Batch
from aldis.core.bus.faults import Faults
from aldis.core.bus.memory import MemoryBroker, MemoryBus
from aldis.core.contracts.base import Message, Origin
from aldis.core.contracts.envelope import Envelope, Kind
from aldis.core.contracts.sessions import FromSession


class Mortal:
    """A consumer that comes back after each death; `seen` survives it, as the world does."""

    def __init__(self, bus: MemoryBus, seen: list[int]) -> None:
        self._bus = bus
        self._seen = seen
        self.deaths = 0
        self._again: set[asyncio.Task[object]] = set()

    def deliver(self, batch: Batch) -> None:
        self._seen += [m.stanza.origin.n for m in batch.messages if isinstance(m, FromSession)]
        batch.ack()

    def lost(self) -> None:
        self.deaths += 1
        task: asyncio.Task[object] = asyncio.get_running_loop().create_task(self._bus.consume("q", self))
        self._again.add(task)


def stanza(n: int) -> Message:
    return FromSession(generation=1, stanza=Envelope(Kind.MESSAGE, "", "", "a@b/c", "d@e", b"", (), Origin("s.1", n)))


async def play(seed: int) -> tuple[list[int], dict[str, int], int]:
    faults = Faults(seed, repeat=0.2, delay=0.2, die=0.2, move=0)
    bus = MemoryBroker(faults).connect("p")
    await bus.declare("q")
    seen: list[int] = []
    mortal = Mortal(bus, seen)
    await bus.consume("q", mortal)
    for n in range(1, 101):
        bus.publish("q", stanza(n))
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        while set(seen) != set(range(1, 101)):
            await asyncio.sleep(0.001)
    return seen, faults.counts, mortal.deaths


@pytest.mark.parametrize("seed", range(5))
async def test_everything_arrives_and_first_arrivals_keep_their_order(seed: int) -> None:
    seen, counts, deaths = await play(seed)
    firsts = list(dict.fromkeys(seen))
    assert firsts == list(range(1, 101))
    assert len(seen) > 100
    assert counts.keys() >= {"repeat", "delay", "die"}
    assert deaths > 0


async def test_a_death_within_lets_only_some_of_the_output_out() -> None:
    """With a consumer that answers each of its inputs three times, some deaths leave one or two answers."""

    class Answering(Mortal):
        def deliver(self, batch: Batch) -> None:
            for message in batch.messages:
                for _ in range(3):
                    self._bus.publish("answers", message)
            super().deliver(batch)

    partial = False
    for seed in range(100):
        bus = MemoryBroker(Faults(seed, repeat=0, delay=0, die=0.5, move=0)).connect("p")
        await bus.declare("q")
        await bus.declare("answers", exclusive=True)
        answers: list[int] = []
        await bus.consume("answers", Mortal(bus, answers))
        inputs: list[int] = []
        await bus.consume("q", Answering(bus, inputs))
        bus.publish("q", stanza(1))
        async with asyncio.timeout(5):
            while bus.broker.queues["q"].depth:
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.002)
        partial = partial or len(answers) % 3 != 0
        assert len(answers) >= 3
    assert partial
