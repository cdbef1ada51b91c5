"""Dead letters over RabbitMQ: what no consumer can take is put aside, and an operator sees, replays and drops it."""

import asyncio
from collections.abc import Callable

import pytest
from pamqp import commands

from aldis.core.bus import Batch, BusError, NoSuchQueue
from aldis.core.bus.amqp.address import parse
from aldis.core.bus.amqp.bus import AmqpBus
from aldis.core.bus.amqp.connection import open_connection
from aldis.core.bus.amqp.content import Content, Properties
from aldis.core.bus.amqp.dead import dead_letters
from aldis.core.contracts.bus import DeadLetter
from tests.integration.bus.conftest import AmqpWorld
from tests.support.bus_suite import Keeper, stanza

QUEUE = "aldis.router.0"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


class Allergic(Keeper):
    """Raises over one stanza."""

    def deliver(self, batch: Batch) -> None:
        if any(getattr(message, "stanza", None) and message.stanza.id == "13" for message in batch.messages):  # type: ignore[attr-defined]
            raise ValueError("a defect")
        super().deliver(batch)


async def raw(world: AmqpWorld, body: bytes) -> None:
    """Put bytes into the queue that are no batch of ours."""
    connection = await open_connection(parse(world.rabbit.url), "raw")
    channel = await connection.channel()
    channel.publish(world.prefix + QUEUE, Properties(persistent=True), body)
    await channel.close()
    await connection.close()


async def waiting(bus: AmqpBus, count: int) -> None:
    """Wait until so many dead letters lie there."""
    async with asyncio.timeout(20):
        while (state := await bus.look("aldis.dead")) is None or state.messages != count:
            await asyncio.sleep(0.02)


async def test_a_batch_over_which_consumers_raise_is_put_aside_seen_and_replayed(world: AmqpWorld) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    dead: list[int] = []
    world.hooks.dead = dead.append
    bus = await world.connect("p")
    await bus.declare(QUEUE)
    for n in (12, 13, 14):
        bus.publish(QUEUE, stanza(n))
        await asyncio.sleep(0.05)
    allergic = Allergic()
    for losses in range(1, 4):
        await bus.consume(QUEUE, allergic)
        await until(lambda: allergic.losses == losses)  # noqa: B023  awaited at once
    subscription = await bus.consume(QUEUE, allergic)
    await until(lambda: allergic.ids == [12, 14])
    await waiting(bus, 1)
    assert dead == [1]
    await subscription.cancel()
    healthy = Keeper()
    await bus.consume(QUEUE, healthy)
    async with dead_letters(world.rabbit.url, world.prefix) as letters:
        (letter,) = await letters.look()
        assert letter.queue == QUEUE
        assert letter.at > 1_600_000_000
        assert "fails again and again" in letter.reason
        assert letter.contents == (letter.contents[0],)
        assert letter.contents[0].startswith("from from a@b/c to d@e, 10 bytes, trace 00-")
        await letters.replay(letter.id)
        with pytest.raises(KeyError):
            await letters.replay(letter.id)
    await until(lambda: healthy.ids == [13])
    await waiting(bus, 0)


async def test_what_can_not_be_read_is_put_aside_and_stops_nobody(world: AmqpWorld) -> None:
    bus = await world.connect("p")
    await bus.declare(QUEUE)
    await raw(world, b"\xc1 from another world")
    bus.publish(QUEUE, stanza(1))
    keeper = Keeper()
    await bus.consume(QUEUE, keeper)
    await until(lambda: keeper.ids == [1])
    await waiting(bus, 1)
    async with dead_letters(world.rabbit.url, world.prefix) as letters:
        (letter,) = await letters.look()
        assert "can't be read" in letter.reason
        assert letter.contents[0].startswith("20 bytes that can't be read")
        letters.drop(letter.id)
    await waiting(bus, 0)


async def test_letters_that_were_only_looked_at_stay_in_their_order(world: AmqpWorld) -> None:
    bus = await world.connect("p")
    for n in range(3):
        bus.publish("aldis.dead", DeadLetter(queue="aldis.router.gone", at=float(n), reason="a test", batch=b""))
        await waiting(bus, n + 1)
    names = []
    for _ in range(2):
        async with dead_letters(world.rabbit.url, world.prefix) as letters:
            found = await letters.look()
            assert [letter.at for letter in found] == [0.0, 1.0, 2.0]
            names.append([letter.id for letter in found])
            with pytest.raises(NoSuchQueue):
                await letters.replay(found[1].id)
        await waiting(bus, 3)
    assert names[0] == names[1]


async def test_what_the_broker_put_aside_by_itself_is_shown_too(world: AmqpWorld) -> None:
    bus = await world.connect("p")
    await bus.declare(QUEUE)
    bus.publish(QUEUE, stanza(7))
    connection = await open_connection(parse(world.rabbit.url), "raw")
    channel = await connection.channel()
    got: list[Content] = []
    channel.content = got.append
    await channel.consume(world.prefix + QUEUE)
    await until(lambda: bool(got))
    channel.tell(commands.Basic.Reject(delivery_tag=got[0].tag, requeue=False))
    await connection.close()
    await waiting(bus, 1)
    async with dead_letters(world.rabbit.url, world.prefix) as letters:
        (letter,) = await letters.look()
        assert (letter.queue, letter.at, letter.reason) == (QUEUE, 0.0, "the broker: rejected")
        await letters.replay(letter.id)
    keeper = Keeper()
    await bus.consume(QUEUE, keeper)
    await until(lambda: keeper.ids == [7])


async def test_a_letter_from_nowhere_can_only_be_dropped(world: AmqpWorld) -> None:
    bus = await world.connect("p")
    bus.publish("aldis.dead", DeadLetter(queue="", at=1.0, reason="a test", batch=b""))
    await waiting(bus, 1)
    async with dead_letters(world.rabbit.url, world.prefix) as letters:
        (letter,) = await letters.look()
        with pytest.raises(BusError, match="only be dropped"):
            await letters.replay(letter.id)
