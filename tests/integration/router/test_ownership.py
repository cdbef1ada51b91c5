"""Routers that join, leave, die and are cut off while people talk: nothing lost, repeated or reordered, and for how long it stalls."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from aldis.core.contracts.sessions import Handled
from aldis.core.shards.members import ROUTER
from tests.integration.router.fleet import QUICK, SETTLED, SHARDS, Fickle, Fleet
from tests.integration.router.talk import longest, talking


@pytest.fixture
async def fleet(tmp_path: Path, fault_seed: int | None) -> AsyncIterator[Fleet]:
    fleet = Fleet(tmp_path, fault_seed)
    async with fleet.running(routers=2, hubs=2):
        yield fleet


async def test_routers_that_start_share_the_shards_evenly(fleet: Fleet) -> None:
    await fleet.until(4, 4)
    owners = (await fleet.registry.view()).owners
    assert sorted(owners) == list(range(SHARDS))
    for router in fleet.routers:
        assert router.runner is not None
        assert {shard for shard, owned in owners.items() if owned.owner == router.runner.me} == set(router.runner.running)


async def test_a_router_joins_and_leaves_while_people_talk(fleet: Fleet, fault_seed: int | None) -> None:
    await fleet.until(4, 4)
    stalls = []
    async with talking(fleet) as talks:
        for _ in range(3):
            third = await fleet.add_router()
            await fleet.until(2, 3, 3)
            await asyncio.sleep(0.1)
            await fleet.leave(third)
            await fleet.until(4, 4)
            await asyncio.sleep(0.1)
            stalls.append(longest(talks))
    assert {member.id for member in (await fleet.registry.view()).of(ROUTER)} == {"r0", "r1"}
    if fault_seed is None:
        assert min(stalls) < 0.2  # the least of three: other work on the machine stalls as well


async def test_a_router_is_killed_while_people_talk(fleet: Fleet, fault_seed: int | None) -> None:
    await fleet.until(4, 4)
    async with talking(fleet) as talks:
        await asyncio.sleep(0.1)
        fleet.kill(fleet.routers[0])
        await fleet.until(8)
    if fault_seed is None:
        assert longest(talks) < QUICK.look + 0.5


async def test_a_killed_router_is_forgotten_when_its_lease_is_over(fleet: Fleet) -> None:
    await fleet.until(4, 4)
    fleet.kill(fleet.routers[0])
    await fleet.until(8)
    async with asyncio.timeout(SETTLED):
        while len((await fleet.registry.view()).of(ROUTER)) > 1:
            await asyncio.sleep(0.05)


async def test_all_routers_lose_their_connection_and_each_gets_back_what_it_had(fleet: Fleet) -> None:
    await fleet.until(4, 4)
    had = [set(router.runner.running) for router in fleet.routers if router.runner]
    for router in fleet.routers:
        router._bus.cut()  # type: ignore[attr-defined]
    await asyncio.sleep(0.1)
    assert fleet.shares() == [0, 0]
    for router in fleet.routers:
        router._bus.rejoin()  # type: ignore[attr-defined]
    await fleet.until(4, 4)
    assert [set(router.runner.running) for router in fleet.routers if router.runner] == had


async def test_a_router_that_cannot_reach_the_database_loses_its_shards(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, None)
    async with fleet.running(routers=1, hubs=2):
        own = Fickle(fleet.url, durable=False)
        await own.open()
        cut_off = await fleet.add_router(own)
        await fleet.until(4, 4)
        async with talking(fleet) as talks:
            own.away = True
            began = time.perf_counter()
            async with asyncio.timeout(SETTLED):
                while fleet.shares() != [8, 0]:
                    await asyncio.sleep(0.01)
            assert time.perf_counter() - began > QUICK.lease - QUICK.beat
            await asyncio.sleep(0.1)
            own.away = False
            await fleet.until(4, 4)
        assert longest(talks) < 1.0
        await fleet.leave(cut_off)
        await own.close()


async def test_while_the_database_is_away_nothing_changes_hands_and_people_talk(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, None)
    async with fleet.running(routers=2, hubs=2):
        await fleet.until(4, 4)
        before = (await fleet.registry.view()).owners
        async with talking(fleet) as talks:
            assert isinstance(fleet.database, Fickle)
            fleet.database.away = True
            await asyncio.sleep(3 * QUICK.lease)
            assert fleet.shares() == [4, 4]
            fleet.database.away = False
            await asyncio.sleep(2 * QUICK.lease)
        assert (await fleet.registry.view()).owners == before
        assert longest(talks) < 2.0


async def test_an_owner_that_is_fenced_gives_up_and_the_next_one_does_the_work(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, None)
    async with fleet.running(routers=1, hubs=1):
        romeo = await fleet.client("romeo", "orchard")
        for shard in range(SHARDS):
            assert await fleet.registry.claim(shard, "stranger", "r0")
        romeo.sends("iq", "set", children="<query xmlns='jabber:iq:roster'><item jid='juliet@example.org'/></query>")
        async with asyncio.timeout(SETTLED):
            while "fenced" not in fleet.dropped:
                await asyncio.sleep(0.01)
        await romeo.receives("iq result")  # from its next owner: the stranger is no member, so that the router takes it back
        await asyncio.sleep(0.05)
        assert sum("iq result" in line for line in romeo.got) == 0
        romeo.sends("iq", "get", children="<query xmlns='jabber:iq:roster'/>", id="r2")
        await romeo.until(lambda: any("juliet@example.org" in line and "iq result" in line for line in romeo.got))


async def test_what_a_late_owner_sends_is_refused_and_counted(tmp_path: Path) -> None:
    """It heard of nothing, and handles what it had: its gateways know a newer epoch."""
    fleet = Fleet(tmp_path, None)
    async with fleet.running(routers=1, hubs=1):
        romeo = await fleet.client("romeo", "orchard")
        runner: Any = fleet.routers[0].runner
        shard = romeo.link.shard
        late = runner.running[shard]
        await runner.release(shard, "r0")
        async with asyncio.timeout(SETTLED):
            while shard not in runner.running:
                await asyncio.sleep(0.01)
        late.output._bus.publish(fleet.hubs[0].queue, Handled(shard=shard, epoch=late.output.epoch, sessions=()))
        await asyncio.sleep(0.02)
        assert fleet.dropped.count("late-epoch") == 1
