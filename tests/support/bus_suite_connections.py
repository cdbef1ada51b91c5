"""What every bus adapter promises of connections that break and queues that are gone; `bus_suite` has the rest."""

import asyncio

import pytest

from aldis.core.bus import BusAway, QueueState, RequestTimeout
from aldis.core.bus.names import gateway_queue
from aldis.core.contracts.accounts import AccountExists, AccountExistsRequest
from aldis.core.contracts.base import Message
from aldis.core.contracts.services import WhoIsThere
from tests.support.bus_suite import Keeper, Receipt, World, exists, stanza, until


async def test_a_look_tells_what_waits_and_who_consumes(world: World) -> None:
    bus = await world.connect("p")
    assert await bus.look("q") is None
    await bus.declare("q")
    state = await bus.look("q")
    assert state is not None
    assert (state.messages, state.consumers) == (0, 0)
    receipt = Receipt()
    bus.publish("q", stanza(1), receipt)
    await until(lambda: receipt.held == 0)
    state = await bus.look("q")
    assert state is not None
    assert (state.messages, state.consumers) == (1, 0)
    subscription = await bus.consume("q", keeper := Keeper())
    await until(lambda: keeper.ids == [1])
    state = await bus.look("q")
    assert state is not None
    assert (state.messages, state.consumers) == (0, 1)
    await subscription.cancel()
    async with asyncio.timeout(5):  # a broker may tell a little later
        while (await bus.look("q")) != QueueState(0, 0):
            await asyncio.sleep(0.01)


async def test_a_publish_to_a_queue_that_is_gone_is_told_and_its_receipt_released(world: World) -> None:
    bus, other = await world.connect("p"), await world.connect("o")
    await other.declare("mine", exclusive=True)
    gone: list[str] = []
    bus.on_gone(gone.append)
    receipt = Receipt()
    bus.publish("mine", stanza(1), receipt)
    await until(lambda: receipt.held == 0)
    assert gone == []
    await other.close()
    bus.publish("mine", stanza(2), receipt)
    assert receipt.held == 1
    await until(lambda: receipt.held == 0)
    assert gone == ["mine"]


async def test_a_connection_that_breaks_is_told_and_counted_and_consumers_are_lost_first(world: World) -> None:
    bus = await world.connect("p")
    assert (bus.connection, bus.up, bus.blocked) == (1, True, "")
    await bus.declare("q")
    keeper = Keeper()
    await bus.consume("q", keeper)
    told: list[tuple[bool, int, int]] = []
    bus.on_connection(lambda up: told.append((up, bus.connection, keeper.losses)))
    async with world.broken(bus):
        await until(lambda: not bus.up)
        with pytest.raises(BusAway):
            await bus.consume("q", Keeper())
        with pytest.raises(BusAway):
            await bus.declare("other")
        with pytest.raises(BusAway):
            await bus.look("q")
    assert bus.up
    assert told == [(False, 1, 1), (True, bus.connection, 1)]
    assert bus.connection > 1


async def test_what_is_published_without_a_connection_arrives_in_order_when_it_is_back(world: World) -> None:
    bus, other = await world.connect("p"), await world.connect("o")
    await bus.declare("q")
    keeper = Keeper()
    await other.consume("q", keeper)
    for n in range(50):
        bus.publish("q", stanza(n))
    async with world.broken(bus):
        for n in range(50, 100):
            bus.publish("q", stanza(n))
            await asyncio.sleep(0)
    await until(lambda: len(keeper.ids) >= 100)
    assert keeper.ids == list(range(100))


async def test_what_was_not_acknowledged_when_the_connection_broke_comes_again_in_order(world: World) -> None:
    bus, other = await world.connect("p"), await world.connect("o")
    await bus.declare("q")
    keeper, heir = Keeper(ack=False), Keeper()
    await bus.consume("q", keeper)
    for n in range(3):
        other.publish("q", stanza(n))
        await until(lambda n=n: len(keeper.batches) == n + 1)  # type: ignore[misc]
    keeper.batches[0].ack()
    await asyncio.sleep(0.05)
    async with world.broken(bus):
        await until(lambda: keeper.losses == 1)
        keeper.batches[1].ack()  # too late, and ignored
        other.publish("q", stanza(3))
    await bus.consume("q", heir)
    await until(lambda: len(heir.ids) == 3)
    assert heir.ids == [1, 2, 3]
    assert [batch.redelivered for batch in heir.batches[:2]] == [1, 1]  # a broker may have sent the third into the dead connection too


async def test_an_exclusive_queue_is_gone_after_a_reconnect_and_its_successor_has_another_name(world: World) -> None:
    bus, other = await world.connect("p"), await world.connect("o")
    before = gateway_queue(bus.incarnation, bus.connection)
    await bus.declare(before, exclusive=True)
    async with world.broken(bus):
        pass
    after = gateway_queue(bus.incarnation, bus.connection)
    assert after != before
    await bus.declare(after, exclusive=True)
    await bus.consume(after, keeper := Keeper())
    other.publish(after, stanza(1))
    await until(lambda: keeper.ids == [1])
    gone: list[str] = []
    other.on_gone(gone.append)
    other.publish(before, stanza(2))
    await until(lambda: gone == [before])


async def test_responders_and_listeners_go_on_after_a_reconnect(world: World) -> None:
    bus, other = await world.connect("p"), await world.connect("o")
    heard: list[Message] = []
    await bus.respond("directory", exists)
    await bus.listen("topic", heard.append)
    async with world.broken(bus):
        pass
    other.broadcast("topic", WhoIsThere())
    await until(lambda: len(heard) == 1)
    answer = await other.request("directory", AccountExistsRequest(account="juliet@example.org"), deadline=5)
    assert answer == AccountExists(exists=True)


async def test_a_request_waits_for_the_connection_but_not_beyond_its_deadline(world: World) -> None:
    bus, other = await world.connect("p"), await world.connect("o")
    await other.respond("directory", exists)
    request = AccountExistsRequest(account="juliet@example.org")
    async with world.broken(bus):
        await until(lambda: not bus.up)
        with pytest.raises(RequestTimeout):
            await bus.request("directory", request, deadline=0.05)
        waiting = asyncio.ensure_future(bus.request("directory", request, deadline=10))
        await asyncio.sleep(0.01)
        assert not waiting.done()
    assert await waiting == AccountExists(exists=True)
