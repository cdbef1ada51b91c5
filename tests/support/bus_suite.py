"""What every bus adapter promises, as tests; whoever imports them gives a fixture `world` with its adapter.

tests/unit/test_bus_contract.py runs them on the memory bus, tests/integration/bus/test_bus_contract.py on RabbitMQ.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import pytest

from aldis.core.bus import Batch, Bus, NoSuchQueue, RequestTimeout
from aldis.core.bus.batching import MOST_BYTES, MOST_MESSAGES
from aldis.core.bus.memory_queue import MOST_UNACKED
from aldis.core.bus.port import PREFETCH
from aldis.core.contracts.accounts import AccountExists, AccountExistsRequest
from aldis.core.contracts.base import Message, Origin
from aldis.core.contracts.envelope import Envelope, Kind
from aldis.core.contracts.services import Announce, WhoIsThere
from aldis.core.contracts.sessions import FromSession


class World(Protocol):
    """One broker, and what a test may do to it."""

    async def connect(self, incarnation: str) -> Bus:
        """A connection, closed after the test."""

    def broken(self, bus: Bus) -> AbstractAsyncContextManager[None]:
        """Without a connection between this bus and its broker; it is back, and the bus knows, at the end."""


def stanza(n: int, size: int = 10) -> FromSession:
    return FromSession(generation=1, stanza=Envelope(Kind.MESSAGE, "chat", str(n), "a@b/c", "d@e", b"x" * size, (), Origin("s.1", n)))


class Keeper:
    """A consumer that keeps what comes; it acknowledges at once, or when told."""

    def __init__(self, *, ack: bool = True) -> None:
        self.batches: list[Batch] = []
        self.losses = 0
        self._ack = ack

    def deliver(self, batch: Batch) -> None:
        self.batches.append(batch)
        if self._ack:
            batch.ack()

    def lost(self) -> None:
        self.losses += 1

    @property
    def ids(self) -> list[int]:
        return [int(m.stanza.id) for b in self.batches for m in b.messages if isinstance(m, FromSession)]


class Receipt:
    held = 0

    def hold(self) -> None:
        self.held += 1

    def release(self) -> None:
        self.held -= 1


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_what_one_connection_publishes_arrives_in_order(world: World) -> None:
    bus = await world.connect("p")
    await bus.declare("q")
    keeper = Keeper()
    await bus.consume("q", keeper)
    for n in range(1000):
        bus.publish("q", stanza(n))
        if n % 97 == 0:
            await asyncio.sleep(0)
    await until(lambda: len(keeper.ids) == 1000)
    assert keeper.ids == list(range(1000))


async def test_what_waits_travels_together_within_the_bounds(world: World) -> None:
    bus = await world.connect("p")
    await bus.declare("q")
    keeper = Keeper()
    await bus.consume("q", keeper)
    for n in range(1000):
        bus.publish("q", stanza(n))
    await until(lambda: len(keeper.ids) == 1000)
    assert len(keeper.batches) <= 8
    assert all(len(batch.messages) <= MOST_MESSAGES for batch in keeper.batches)


async def test_a_batch_of_large_stanzas_stays_within_its_bytes(world: World) -> None:
    bus = await world.connect("p")
    await bus.declare("q")
    keeper = Keeper()
    await bus.consume("q", keeper)
    sizes = [MOST_BYTES // 3, MOST_BYTES // 3, MOST_BYTES // 3, 2 * MOST_BYTES, 10]
    for n, size in enumerate(sizes):
        bus.publish("q", stanza(n, size))
    await until(lambda: len(keeper.ids) == len(sizes))
    assert keeper.ids == list(range(len(sizes)))
    assert [len(batch.messages) for batch in keeper.batches] == [2, 1, 1, 1]  # the one that is too large goes alone


async def test_no_more_is_delivered_than_the_prefetch(world: World) -> None:
    bus = await world.connect("p")
    await bus.declare("q")
    keeper = Keeper(ack=False)
    await bus.consume("q", keeper)
    most = PREFETCH if bus.repeats_for else MOST_UNACKED
    receipt = Receipt()
    for n in range(most + 5):
        bus.publish("q", stanza(n), receipt)
        await until(lambda: receipt.held == 0)
    await until(lambda: len(keeper.batches) == most)
    await asyncio.sleep(0.01)
    assert len(keeper.batches) == most
    keeper.batches[0].ack()
    await until(lambda: len(keeper.batches) == most + 1)


async def test_a_consumer_that_raises_stops_nobody_else(world: World) -> None:
    class Broken(Keeper):
        def deliver(self, batch: Batch) -> None:
            raise ValueError("a defect")

    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    bus = await world.connect("p")
    for queue in ("a", "b"):
        await bus.declare(queue)
    broken, keeper = Broken(), Keeper()
    await bus.consume("a", broken)
    await bus.consume("b", keeper)
    for n in range(3):
        bus.publish("a", stanza(n))
        bus.publish("b", stanza(n))
        await asyncio.sleep(0.001)
    await until(lambda: keeper.ids == [0, 1, 2])
    assert broken.losses == 1
    assert len(faults) == 1
    heir = Keeper()
    await bus.consume("a", heir)
    await until(lambda: heir.ids == [0, 1, 2])


async def test_acknowledging_out_of_order_is_a_defect_that_shows(world: World) -> None:
    bus = await world.connect("p")
    await bus.declare("q")
    keeper = Keeper(ack=False)
    await bus.consume("q", keeper)
    for n in range(2):
        bus.publish("q", stanza(n))
        await asyncio.sleep(0.001)
    await until(lambda: len(keeper.batches) == 2)
    with pytest.raises(RuntimeError, match="before an older one"):
        keeper.batches[1].ack()


async def test_one_consumer_at_a_time_and_the_next_takes_over_when_it_leaves(world: World) -> None:
    bus, other = await world.connect("p"), await world.connect("o")
    await bus.declare("q")
    first, second = Keeper(), Keeper()
    subscription = await bus.consume("q", first)
    await other.consume("q", second)
    bus.publish("q", stanza(1))
    await until(lambda: first.ids == [1])
    await subscription.cancel()
    bus.publish("q", stanza(2))
    await until(lambda: second.ids == [2])
    assert first.ids == [1]


async def test_cancelling_waits_until_what_was_delivered_is_acknowledged(world: World) -> None:
    bus = await world.connect("p")
    await bus.declare("q")
    keeper, heir = Keeper(ack=False), Keeper()
    subscription = await bus.consume("q", keeper)
    await bus.consume("q", heir)
    bus.publish("q", stanza(1))
    await until(lambda: keeper.ids == [1])
    leaving = asyncio.ensure_future(subscription.cancel())
    bus.publish("q", stanza(2))
    await asyncio.sleep(0.01)
    assert not leaving.done()
    assert heir.ids == []
    keeper.batches[0].ack()
    await leaving
    await until(lambda: heir.ids == [2])
    assert keeper.ids == [1]


async def test_an_abandoned_queue_goes_to_the_next_with_all_that_was_not_acknowledged(world: World) -> None:
    bus = await world.connect("p")
    await bus.declare("q")
    keeper, heir = Keeper(ack=False), Keeper()
    subscription = await bus.consume("q", keeper)
    for n in (1, 2, 3):
        bus.publish("q", stanza(n))
        await until(lambda: keeper.ids[-1:] == [n])  # noqa: B023  called at once
    keeper.batches[0].ack()
    await asyncio.sleep(0.05)
    leaving = asyncio.ensure_future(subscription.cancel())
    await asyncio.sleep(0.01)
    subscription.abandon()
    keeper.batches[1].ack()
    await asyncio.wait_for(leaving, 5)
    subscription.abandon()
    await bus.consume("q", heir)
    await until(lambda: heir.ids == [2, 3])
    assert keeper.ids == [1, 2, 3]
    assert keeper.losses == 0
    assert heir.batches[0].redelivered


async def test_a_publish_to_a_queue_that_is_gone_does_not_wait_or_fail(world: World) -> None:
    bus = await world.connect("p")
    bus.publish("nowhere", stanza(1))
    await asyncio.sleep(0.01)
    await bus.declare("nowhere")
    keeper = Keeper()
    await bus.consume("nowhere", keeper)
    bus.publish("nowhere", stanza(2))
    await until(lambda: keeper.ids == [2])


async def test_an_exclusive_queue_dies_with_its_connection(world: World) -> None:
    bus, other = await world.connect("p"), await world.connect("o")
    await bus.declare("mine", exclusive=True)
    await bus.close()
    with pytest.raises(NoSuchQueue):
        await other.consume("mine", Keeper())


async def test_a_receipt_is_held_until_the_publish_is_confirmed(world: World) -> None:
    bus = await world.connect("p")
    await bus.declare("q")
    receipt = Receipt()
    bus.publish("q", stanza(1), receipt)
    assert receipt.held == 1
    await until(lambda: receipt.held == 0)


async def exists(message: Message) -> Message:
    assert isinstance(message, AccountExistsRequest)
    return AccountExists(exists=message.account == "juliet@example.org")


async def test_a_request_is_answered(world: World) -> None:
    asking, answering = await world.connect("p"), await world.connect("o")
    await answering.respond("directory", exists)
    assert await asking.request("directory", AccountExistsRequest(account="juliet@example.org"), deadline=1) == AccountExists(exists=True)
    assert await asking.request("directory", AccountExistsRequest(account="x@example.org"), deadline=1) == AccountExists(exists=False)


async def test_a_request_that_nobody_answers_ends_at_its_deadline(world: World) -> None:
    bus = await world.connect("p")
    never = asyncio.Event()

    async def silent(message: Message) -> Message:
        await never.wait()
        return message

    await bus.respond("silent", silent)
    with pytest.raises(RequestTimeout):
        await bus.request("silent", AccountExistsRequest(account="x"), deadline=0.02)
    never.set()


async def test_a_request_to_nobody_fails_at_once(world: World) -> None:
    with pytest.raises(NoSuchQueue):
        await (await world.connect("p")).request("nobody", AccountExistsRequest(account="x"), deadline=5)


async def test_a_responder_handles_no_more_at_a_time_than_it_was_told(world: World) -> None:
    bus = await world.connect("p")
    running, most = 0, 0

    async def slow(message: Message) -> Message:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        return message

    await bus.respond("slow", slow, concurrency=3)
    await asyncio.gather(*(bus.request("slow", AccountExistsRequest(account=str(n)), deadline=5) for n in range(20)))
    assert most == 3


async def test_an_announcement_reaches_everybody_who_listens(world: World) -> None:
    bus, other = await world.connect("p"), await world.connect("o")
    heard: list[Message] = []
    await bus.listen("topic", heard.append)
    ear = await other.listen("topic", heard.append)
    bus.broadcast("topic", WhoIsThere())
    await until(lambda: len(heard) == 2)
    await ear.cancel()
    bus.broadcast("topic", Announce(service="s", queue="q"))
    await until(lambda: len(heard) == 3)


async def test_a_queue_that_nobody_empties_tells_the_edges_and_then_relieves_them(world: World) -> None:
    bus = await world.connect("p")
    await bus.declare("q")
    relieved: list[str] = []
    bus.on_relief(relieved.append)
    for n in range(12_000):
        bus.publish("q", stanza(n))
    await until(lambda: bus.congested("q"))
    assert relieved == []
    keeper = Keeper()
    await bus.consume("q", keeper)
    await until(lambda: len(keeper.ids) == 12_000)
    assert relieved == ["q"]
    assert not bus.congested("q")
