"""Gateways and routers that lose the bus and come back: clients notice nothing, or are told the truth."""

import asyncio
from pathlib import Path

import pytest

from aldis.core.contracts.rejoin import Rejoin
from aldis.core.contracts.sessions import Handled
from aldis.core.shards.hub import Hub
from aldis.core.shards.leases import Pace
from aldis.core.shards.session_rejoin import Rejoining
from aldis.core.shards.sessions import Session
from aldis.core.shards.turn import Turn
from aldis.router.features.presence import Presences
from tests.integration.router.conftest import Client
from tests.integration.router.fleet import SETTLED, Fleet
from tests.integration.router.talk import longest, talking

PATIENT = Pace(beat=0.2, look=0.5, lease=2.0)
"""A gateway is gone after half a second."""
SLOW = Pace(beat=0.2, look=2.0, lease=6.0)
"""Nobody is gone because a busy machine stands still for a moment."""


def cut(fleet: Fleet, *hubs: Hub) -> None:
    for hub in hubs:
        hub._bus.cut()  # type: ignore[attr-defined]


def back(fleet: Fleet, *hubs: Hub) -> None:
    for hub in hubs:
        hub._bus.rejoin()  # type: ignore[attr-defined]


async def test_a_gateway_that_loses_the_bus_for_a_moment_keeps_its_clients(tmp_path: Path, fault_seed: int | None) -> None:
    fleet = Fleet(tmp_path, fault_seed, SLOW)
    async with fleet.running(routers=2, hubs=2):
        async with talking(fleet) as talks:
            for _ in range(3):
                await asyncio.sleep(0.05)
                cut(fleet, fleet.hubs[0])
                await asyncio.sleep(0.05)
                back(fleet, fleet.hubs[0])
            await asyncio.sleep(0.2)
        assert not any(client.closed for talk in talks for client in talk.pair)
        rows = {member.queue for member in await fleet.registry.gateways()}
        assert rows == {hub.queue for hub in fleet.hubs}
        assert any(queue.endswith("-4") for queue in rows)


async def test_a_bus_that_restarts_takes_nothing_with_it(tmp_path: Path, fault_seed: int | None) -> None:
    """Everybody is cut off, and what was in the gateways' queues is gone."""
    fleet = Fleet(tmp_path, fault_seed, SLOW)
    async with fleet.running(routers=2, hubs=2):
        await fleet.until(4, 4)
        async with talking(fleet) as talks:
            for order in (1, -1):
                await asyncio.sleep(0.05)
                buses = [hub._bus for hub in fleet.hubs] + [router._bus for router in fleet.routers]
                for bus in buses:
                    bus.cut()  # type: ignore[attr-defined]
                await asyncio.sleep(0.1)
                for bus in buses[::order]:
                    bus.rejoin()  # type: ignore[attr-defined]
                    await asyncio.sleep(0.03)
                await fleet.until(4, 4)
            await asyncio.sleep(0.2)
        assert not any(client.closed for talk in talks for client in talk.pair)
        if fault_seed is None:
            assert longest(talks) < SLOW.lease + 1


async def test_a_gateway_that_loses_the_bus_again_before_the_registry_knows_it_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is slow, and the broker comes and goes meanwhile."""
    fleet = Fleet(tmp_path, None, PATIENT)
    async with fleet.running(routers=1, hubs=2):
        romeo = await fleet.client("romeo", "orchard", 0)
        juliet = await fleet.client("juliet", "balcony", 1)
        renew, asked, answer = fleet.seats[0]._membership.keep, asyncio.Event(), asyncio.Event()

        async def slow(queue: str = "") -> None:
            if queue:
                asked.set()
                await answer.wait()
            await renew(queue)

        monkeypatch.setattr(fleet.seats[0]._membership, "keep", slow)
        for _ in range(2):
            cut(fleet, fleet.hubs[0])
            back(fleet, fleet.hubs[0])
            await asyncio.wait_for(asked.wait(), SETTLED)
        answer.set()
        juliet.sends("message", "chat", romeo.jid, "<body>1</body>")
        await romeo.receives("message chat")


async def test_a_gateway_loses_the_bus_during_a_take_over(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, None, PATIENT)
    async with fleet.running(routers=2, hubs=2):
        await fleet.until(4, 4)
        async with talking(fleet) as talks:
            await asyncio.sleep(0.05)
            fleet.kill(fleet.routers[0])
            await asyncio.sleep(PATIENT.look - 0.1)
            cut(fleet, fleet.hubs[0])
            await asyncio.sleep(0.15)
            back(fleet, fleet.hubs[0])
            await fleet.until(8)
            await asyncio.sleep(0.2)
        assert not any(client.closed for talk in talks for client in talk.pair)


async def test_sessions_of_a_gateway_that_stays_away_end_and_their_clients_are_told(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, None, PATIENT)
    async with fleet.running(routers=2, hubs=2):
        await fleet.until(4, 4)
        romeo = await fleet.client("romeo", "orchard", 0)
        juliet = await fleet.client("juliet", "balcony", 1)
        cut(fleet, fleet.hubs[1])
        romeo.sends("message", "chat", juliet.jid, "<body>1</body>")
        await romeo.receives(f"message error {juliet.jid}")
        await asyncio.sleep(0.05)
        back(fleet, fleet.hubs[1])
        await juliet.until(lambda: juliet.closed)
        assert juliet.closed == "internal-server-error"
        await asyncio.sleep(0.1)
        assert romeo.got == []  # what could not reach her came back once
        again = await fleet.client("juliet", "balcony", 1)
        assert again.jid == juliet.jid


async def done(client: Client) -> None:
    """All that the client sent is done, as far as its gateway knows."""
    async with asyncio.timeout(SETTLED):
        while client.link.handled < client.link.n:
            await asyncio.sleep(0.005)


async def test_a_message_whose_sender_heard_that_it_is_done_is_not_lost_with_the_receivers_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shard's owner loses its queue before it has acknowledged, and nobody does that work again."""
    fleet = Fleet(tmp_path, None, PATIENT)
    async with fleet.running(routers=1, hubs=2):
        romeo = await fleet.client("romeo3", "orchard", 0)
        juliet = await fleet.client("juliet3", "balcony", 1)
        assert romeo.link.shard == juliet.link.shard
        hub, handled = fleet.hubs[0], fleet.hubs[0]._handled
        fleet.broker.queues[fleet.hubs[1].queue].paused = True

        def hear(message: Handled) -> None:
            monkeypatch.setattr(hub, "_handled", handled)
            handled(message)
            cut(fleet, fleet.hubs[1])
            fleet.broker.queues[romeo.link.queue].line[0].lose()

        monkeypatch.setattr(hub, "_handled", hear)
        romeo.sends("message", "chat", juliet.jid, "<body>1</body>")
        await done(romeo)
        back(fleet, fleet.hubs[1])
        await juliet.receives("message chat")
        romeo.sends("message", "chat", juliet.jid, "<body>2</body>")
        await juliet.receives("message chat")
        assert juliet.got == []


async def test_an_owner_that_dies_over_the_return_of_a_gateway_does_not_lose_what_that_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Fleet(tmp_path, None, PATIENT)
    async with fleet.running(routers=1, hubs=2):
        romeo = await fleet.client("romeo", "orchard", 0)
        juliet = await fleet.client("juliet", "balcony", 1)
        cut(fleet, fleet.hubs[1])
        romeo.sends("message", "chat", juliet.jid, "<body>1</body>")
        await done(romeo)
        rejoin, bus = Rejoining.rejoin, fleet.routers[0]._bus

        def die(self: Rejoining[Session], message: Rejoin, turn: Turn) -> None:
            monkeypatch.setattr(Rejoining, "rejoin", rejoin)
            bus.survivors = 0  # type: ignore[attr-defined]
            rejoin(self, message, turn)
            fleet.broker.queues[juliet.link.queue].line[0].lose()
            bus.survivors = None  # type: ignore[attr-defined]

        monkeypatch.setattr(Rejoining, "rejoin", die)
        back(fleet, fleet.hubs[1])
        await juliet.receives("message chat")
        assert juliet.got == []


async def half_heard(fleet: Fleet) -> tuple[Client, Client]:
    """Romeo and Juliet on a gateway each, and something that he said and that is not on her socket."""
    romeo = await fleet.client("romeo", "orchard", 0)
    juliet = await fleet.client("juliet", "balcony", 1)
    romeo.sends("message", "chat", juliet.jid, "<body>1</body>")
    await juliet.receives("message chat")
    juliet.got.clear()
    juliet.reads_nothing_after = juliet.link.given
    romeo.sends("message", "chat", juliet.jid, "<body>2</body>")
    await juliet.receives("message chat")
    return romeo, juliet


async def test_a_gateway_that_is_killed_while_a_shard_is_handed_over_loses_nothing(tmp_path: Path) -> None:
    """The next owner can't ask it what it had, and the owner before has forgotten."""
    fleet = Fleet(tmp_path, None, Pace(beat=0.2, look=0.2, lease=5.0))
    async with fleet.running(routers=2, hubs=2):
        await fleet.until(4, 4)
        romeo, juliet = await half_heard(fleet)
        shard = juliet.link.shard
        owner, heir = sorted(fleet.routers, key=lambda router: router.runner is None or shard not in router.runner.running)
        assert owner.runner is not None
        release = owner.runner.release(shard, heir._bus.incarnation)
        cut(fleet, fleet.hubs[1])
        await release
        await romeo.receives(f"message error {juliet.jid}")


async def test_a_gateway_that_is_killed_is_noticed_within_a_second(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, None, Pace())
    async with fleet.running(routers=2, hubs=2):
        await fleet.until(4, 4)
        romeo, juliet = await half_heard(fleet)
        cut(fleet, fleet.hubs[1])
        began = asyncio.get_running_loop().time()
        await romeo.receives(f"message error {juliet.jid}")
        assert asyncio.get_running_loop().time() - began < 1.5


async def test_a_stream_that_waits_for_its_resource_is_closed_since_the_answer_is_lost(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, None, PATIENT)
    async with fleet.running(routers=1, hubs=1):
        hub = fleet.hubs[0]
        for shard in range(8):
            fleet.broker.queues[f"aldis.router.{shard}"].paused = True
        waiting = asyncio.ensure_future(fleet.client("romeo", "orchard"))
        await asyncio.sleep(0.02)
        link = next(iter(hub.links.values()))
        cut(fleet, hub)
        back(fleet, hub)
        async with asyncio.timeout(SETTLED):
            while hub.links:
                await asyncio.sleep(0.01)
        assert link.binding
        waiting.cancel()
        for shard in range(8):
            fleet.broker.queues[f"aldis.router.{shard}"]._resume()
        await asyncio.sleep(0.05)
        assert (await fleet.client("romeo", "orchard")).jid == "romeo@example.org/orchard"


@pytest.mark.parametrize("seconds", [0.2])
async def test_after_a_while_without_a_bus_clients_are_sent_away(tmp_path: Path, seconds: float) -> None:
    fleet = Fleet(tmp_path, None, PATIENT)
    async with fleet.running(routers=1, hubs=1):
        romeo = await fleet.client("romeo", "orchard")
        fleet.seats[0]._patience = seconds
        cut(fleet, fleet.hubs[0])
        await asyncio.sleep(seconds / 2)
        assert romeo.jid
        assert fleet.hubs[0].links
        await romeo.until(lambda: romeo.closed)
        assert str(romeo.closed) == "internal-server-error"
        queue = fleet.hubs[0].queue
        back(fleet, fleet.hubs[0])
        async with asyncio.timeout(SETTLED):
            while fleet.hubs[0].queue == queue:
                await asyncio.sleep(0.01)
        again = await fleet.client("romeo", "orchard")
        assert again.jid == romeo.jid


async def test_an_owner_that_dies_over_a_first_presence_has_told_the_next_one_that_it_was_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway takes it for a later one, since one before was refused."""
    fleet = Fleet(tmp_path, None, PATIENT)
    async with fleet.running(routers=1, hubs=1):
        romeo = await fleet.client("romeo", "orchard")
        romeo.sends("presence")
        await romeo.receives(f"presence - {romeo.jid}")
        second = await fleet.client("romeo", "garden")
        second.sends("presence", children="<priority>200</priority>")
        await second.receives("presence error")
        arrive, bus = Presences._arrive, fleet.routers[0]._bus

        def die(*_: object) -> None:
            monkeypatch.setattr(Presences, "_arrive", arrive)
            bus.survivors = 0  # type: ignore[attr-defined]
            fleet.broker.queues[second.link.queue].line[0].lose()
            asyncio.get_running_loop().call_soon(setattr, bus, "survivors", None)

        monkeypatch.setattr(Presences, "_arrive", die)
        second.sends("presence")
        await second.receives(f"presence - {romeo.jid}")
