"""A message that kills its process is found, bounced and put aside; what was beside it is handled."""

import asyncio
from collections.abc import Sequence

from aldis.core.bus.memory import MemoryBroker, MemoryBus
from aldis.core.bus.names import DEAD
from aldis.core.bus.port import Batch, Consumption
from aldis.core.contracts.base import Message, Origin
from aldis.core.contracts.bus import DeadLetter
from aldis.core.contracts.envelope import Envelope, Kind
from aldis.core.contracts.sessions import FromSession
from aldis.core.shards.means import Means
from aldis.core.shards.poison import Careful
from aldis.core.storage.errors import StorageUnavailable

POISON = 2


class Database:
    """Marks that outlive processes; `away` makes it fail so many times."""

    def __init__(self) -> None:
        self.marks: set[tuple[int, bytes]] = set()
        self.away = 0

    async def put(self, shard: int, digest: bytes) -> bool:
        if self.away:
            self.away -= 1
            raise StorageUnavailable("away")
        fresh = (shard, digest) not in self.marks
        self.marks.add((shard, digest))
        return fresh

    async def clear(self, shard: int, digests: Sequence[bytes]) -> None:
        self.marks -= {(shard, digest) for digest in digests}


class Log:
    def __init__(self) -> None:
        self.events: list[str] = []

    def info(self, event: str, **keys: object) -> None:
        self.events.append(event)

    def warning(self, event: str, **keys: object) -> None:
        self.events.append(event)


class World:
    """What processes leave behind: what was handled and refused, and how often one died."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.database = Database()
        self.handled: list[int] = []
        self.refused: list[int] = []
        self.together: list[int] = []
        self.deaths = 0
        self.log = Log()
        self.poison = {POISON}

    async def process(self) -> None:
        """Run one process until it dies or its queue is empty."""
        bus = self.broker.connect(f"r{self.deaths}")
        owner = Owner(self)
        means = Means(bus, 1, lambda: 0.0, lambda: 5.0, lambda _: None, self.log, self.database)
        owner.subscription = await bus.consume("q", Careful(owner, 0, "q", means, self.database))
        async with asyncio.timeout(10):
            while not owner.over and bus.broker.queues["q"].depth:
                await asyncio.sleep(0.001)
            await asyncio.gather(*owner.tasks)
        if not owner.over:
            await owner.subscription.cancel()


class Owner:
    """Handles a message a little later, or dies of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.over = False
        self.pending = 0
        self.subscription: Consumption
        self.tasks: list[asyncio.Task[None]] = []

    @property
    def idle(self) -> bool:
        return not self.pending

    def adopt(self, task: asyncio.Task[None]) -> None:
        self.tasks.append(task)

    def deliver(self, batch: Batch) -> None:
        self.pending += 1
        self.world.together.append(len(batch.messages))
        asyncio.get_running_loop().call_later(0.002, self.work, batch)

    def work(self, batch: Batch) -> None:
        if self.over:
            return
        for n in numbers(batch.messages):
            if n in self.world.poison:
                self.over = True
                self.world.deaths += 1
                self.subscription.abandon()
                return
            self.world.handled.append(n)
        self.pending -= 1
        batch.ack()

    def refuse(self, batch: Batch) -> None:
        self.world.refused += numbers(batch.messages)
        batch.ack()

    def lost(self) -> None:
        self.over = True


def numbers(messages: Sequence[Message]) -> list[int]:
    return [message.stanza.origin.n for message in messages if isinstance(message, FromSession)]


def stanza(n: int) -> FromSession:
    return FromSession(generation=1, stanza=Envelope(Kind.MESSAGE, "", "", "a@b/c", "d@e", b"", (), Origin("s.1", n)))


async def publish(bus: MemoryBus, *batches: tuple[int, ...]) -> None:
    for batch in batches:
        for n in batch:
            bus.publish("q", stanza(n))
        await asyncio.sleep(0)


async def run(world: World, *batches: tuple[int, ...]) -> list[DeadLetter]:
    bus = world.broker.connect("p")
    await bus.declare("q")
    await publish(bus, *batches)
    for _ in range(20):
        if not world.broker.queues["q"].depth:
            break
        await world.process()
    dead = world.broker.queues.get(DEAD)
    return [] if dead is None else [m for batch in dead.ready for m in batch.messages if isinstance(m, DeadLetter)]


async def test_what_kills_the_process_again_and_again_is_bounced_and_put_aside_alone() -> None:
    world = World()
    dead = await run(world, (1, 2, 3), (4, 5))
    assert world.deaths == 3  # together twice, then alone and marked
    assert world.refused == [POISON]
    assert [letter.queue for letter in dead] == ["q"]
    assert dead[0].at == 5.0
    firsts = list(dict.fromkeys(world.handled))
    assert firsts == [1, 3, 4, 5]
    assert world.database.marks == set()
    assert world.log.events.count("shard.poison") == 1


async def test_two_poisons_in_one_batch_are_both_found() -> None:
    world = World()
    world.poison = {1, 3}
    dead = await run(world, (1, 2, 3, 4))
    assert sorted(set(world.refused)) == [1, 3]
    assert len(dead) >= 2
    assert list(dict.fromkeys(world.handled)) == [2, 4]


async def test_innocent_batches_whose_process_died_twice_are_handled_and_convicted_of_nothing() -> None:
    world = World()
    bus = world.broker.connect("p")
    await bus.declare("q")
    await publish(bus, (1, 3), (4,), (5, 6))
    for _ in range(3):  # three processes that die without having done anything
        owner = Owner(world)
        owner.subscription = await bus.consume("q", owner)
        await asyncio.sleep(0)
        owner.over = True
        owner.subscription.abandon()
        await asyncio.sleep(0)
    world.together.clear()
    await world.process()
    assert world.handled == [1, 3, 4, 5, 6]
    assert world.refused == []
    assert world.together == [1, 1, 1, 1, 1]
    assert world.database.marks == set()
    await publish(bus, (7, 8))
    await world.process()
    assert world.together[-1] == 2  # with no suspects everything goes together again


async def test_a_suspect_waits_for_the_database_rather_than_run_unmarked() -> None:
    world = World()
    world.database.away = 1
    dead = await run(world, (2,))
    assert (world.deaths, world.refused, len(dead)) == (3, [POISON], 1)
