"""The bus when its broker dies, refuses, freezes, runs short, or is cut off: nothing is lost, repeated or reordered."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from aldis.core.bus import Batch, Bus, BusError
from aldis.core.bus.amqp import depth
from aldis.core.bus.amqp.bus import AmqpBus
from aldis.core.bus.amqp.lane import CONGESTED
from tests.integration.bus.conftest import AmqpWorld
from tests.kill.link import State
from tests.support.bus_suite import Keeper, Receipt, stanza
from tests.support.rabbit import Rabbit

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def world(own_rabbit: Rabbit) -> AsyncIterator[AmqpWorld]:
    """On a broker that these tests may harm."""
    async with AsyncExitStack() as stack:
        yield AmqpWorld(own_rabbit, stack)


class Owner(Keeper):
    """A consumer that consumes again whenever it was lost, as an owner of a shard does."""

    def __init__(self, bus: Bus, queue: str) -> None:
        super().__init__()
        self.bus = bus
        self.queue = queue
        self._wanted = asyncio.Event()
        self._wanted.set()

    def lost(self) -> None:
        super().lost()
        self._wanted.set()

    async def run(self) -> None:
        while True:
            await self._wanted.wait()
            with contextlib.suppress(BusError):
                self._wanted.clear()
                await self.bus.consume(self.queue, self)
                continue
            self._wanted.set()
            await asyncio.sleep(0.05)


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


class Load:
    """A producer and an owner under load: 400 stanzas a second, some alone and some together."""

    def __init__(self, producer: AmqpBus, consumer: AmqpBus) -> None:
        self.producer = producer
        self.owner = Owner(consumer, "aldis.router.0")
        self.receipt = Receipt()
        self.published = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Load"]:
        await self.owner.bus.declare(self.owner.queue)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.owner.run()), group.create_task(self._publish())]
            yield self
            tasks[1].cancel()
            await until(lambda: self.receipt.held == 0 and len(self.owner.ids) >= self.published)
            await asyncio.sleep(0.3)  # for what may come twice
            tasks[0].cancel()
        assert self.owner.ids == list(range(self.published))

    async def _publish(self) -> None:
        while True:
            for _ in range(1 + self.published % 7):
                self.producer.publish(self.owner.queue, stanza(self.published), self.receipt)
                self.published += 1
            await asyncio.sleep(0.01)

    async def goes_on(self) -> None:
        """Wait until something that is published from now on has arrived."""
        target = self.published + 1
        await until(lambda: len(self.owner.ids) > target)


async def test_a_killed_broker_loses_repeats_and_reorders_nothing(world: AmqpWorld) -> None:
    async with Load(await world.connect("p"), await world.connect("o")).running() as load:
        await asyncio.sleep(6)  # RabbitMQ 3.10 may not start a quorum queue again that is younger than some seconds when it is killed
        for _ in range(2):
            await load.goes_on()
            await asyncio.to_thread(world.rabbit.kill)
            await asyncio.sleep(0.2)
            assert load.producer.congested(load.owner.queue)
            await asyncio.to_thread(world.rabbit.start, world.rabbit.watched)
            await load.goes_on()
    assert load.owner.losses == 2


async def test_links_that_are_cut_again_and_again_lose_repeat_and_reorder_nothing(world: AmqpWorld) -> None:
    producer, consumer = await world.connect("p"), await world.connect("o")
    async with Load(producer, consumer).running() as load:
        for cut in range(12):
            await load.goes_on()
            link = world.links[(producer, consumer)[cut % 2]]
            link.set(State.CUT)
            await asyncio.sleep(0.01 * cut)
            link.set(State.OPEN)
    assert load.owner.losses >= 6


async def test_what_a_full_queue_refuses_goes_again_in_its_order(world: AmqpWorld) -> None:
    producer, consumer = await world.connect("p"), await world.connect("o")
    await consumer.declare("aldis.router.0")
    policy = '{"max-length":3,"overflow":"reject-publish"}'
    await asyncio.to_thread(world.rabbit.ctl, "set_policy", "--apply-to", "queues", "few", f"^{world.prefix}", policy)
    refused: list[str] = []
    world.log.heard = lambda event: refused.append(event) if event == "bus.refused" else None
    receipt = Receipt()
    for n in range(60):
        producer.publish("aldis.router.0", stanza(n), receipt)
        await asyncio.sleep(0.002)
    await until(lambda: bool(refused))
    assert receipt.held > 0
    keeper = Keeper()
    await consumer.consume("aldis.router.0", keeper)
    await until(lambda: receipt.held == 0)
    await until(lambda: len(keeper.ids) >= 60)
    await asyncio.sleep(0.2)
    assert keeper.ids == list(range(60))
    await asyncio.to_thread(world.rabbit.ctl, "clear_policy", "few")


async def test_a_broker_that_freezes_is_noticed_by_its_silence(world: AmqpWorld) -> None:
    async with Load(await world.connect("p"), await world.connect("o")).running() as load:
        await load.goes_on()
        world.rabbit.freeze()
        await until(lambda: not load.producer.up, 20)
        world.rabbit.thaw()
        await load.goes_on()


async def test_an_alarm_stops_publishers_and_not_the_acknowledgements(world: AmqpWorld) -> None:
    producer, consumer = await world.connect("p"), await world.connect("o")
    await consumer.declare("aldis.router.0")
    receipt = Receipt()
    for n in range(30):
        producer.publish("aldis.router.0", stanza(n), receipt)
        await until(lambda: receipt.held == 0)
    keeper = Keeper(ack=False)
    await consumer.consume("aldis.router.0", keeper)
    await until(lambda: len(keeper.batches) == 8)
    relieved: list[str] = []
    producer.on_relief(relieved.append)
    assert not producer.congested("aldis.router.0")
    await asyncio.to_thread(world.rabbit.ctl, "set_vm_memory_high_watermark", "absolute", "1MB")
    producer.publish("aldis.router.0", stanza(30), receipt)
    await until(lambda: bool(producer.blocked))
    assert producer.congested("aldis.router.0")
    acked = 0
    while acked < 30:  # by prefetch after prefetch: each acknowledgement must have got through for the next to come
        await until(lambda: len(keeper.batches) > acked)  # noqa: B023  awaited at once
        keeper.batches[acked].ack()
        acked += 1
    assert receipt.held == 1
    assert producer.up
    assert relieved == []
    await asyncio.to_thread(world.rabbit.ctl, "set_vm_memory_high_watermark", "0.4")
    await until(lambda: receipt.held == 0)
    await until(lambda: relieved == ["aldis.router.0"])
    assert producer.blocked == ""
    await until(lambda: keeper.ids == list(range(31)))


async def test_an_edge_that_heeds_congestion_holds_little_while_the_broker_is_away(world: AmqpWorld) -> None:
    producer = await world.connect("p")
    await producer.declare("aldis.router.0")
    relieved: list[str] = []
    producer.on_relief(relieved.append)
    async with world.broken(producer):
        await until(lambda: not producer.up)
        assert producer.congested("aldis.router.0")
    await until(lambda: relieved == ["aldis.router.0"])
    assert not producer.congested("aldis.router.0")


async def test_a_queue_that_nobody_empties_is_noticed_in_the_broker_too(world: AmqpWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depth, "DEEP", 40)
    monkeypatch.setattr(depth, "SHALLOW", 10)
    producer, consumer = await world.connect("p"), await world.connect("o")
    await producer.declare("aldis.router.0")
    relieved: list[str] = []
    producer.on_relief(relieved.append)
    published = 0
    receipt = Receipt()
    while not producer.congested("aldis.router.0"):
        producer.publish("aldis.router.0", stanza(published), receipt)
        published += 1
        await until(lambda: receipt.held == 0)
    assert 40 < published < CONGESTED
    keeper = Keeper()
    await consumer.consume("aldis.router.0", keeper)
    await until(lambda: relieved == ["aldis.router.0"])
    await until(lambda: keeper.ids == list(range(published)))


async def test_a_slow_consumer_holds_no_more_than_its_prefetch(world: AmqpWorld) -> None:
    class Slow(Keeper):
        most = 0

        def deliver(self, batch: Batch) -> None:
            self.batches.append(batch)
            self.most = max(self.most, len(self.batches) - self.acked)
            asyncio.get_running_loop().call_later(0.002, self.finish)

        acked = 0

        def finish(self) -> None:
            self.batches[self.acked].ack()
            self.acked += 1

    producer, consumer = await world.connect("p"), await world.connect("o")
    await producer.declare("aldis.router.0")
    slow = Slow(ack=False)
    await consumer.consume("aldis.router.0", slow)
    for n in range(20_000):
        producer.publish("aldis.router.0", stanza(n))
        if n % 100 == 0:
            await asyncio.sleep(0)
    await until(lambda: len(slow.ids) == 20_000)
    assert slow.ids == list(range(20_000))
    assert slow.most <= 8
