"""Routers as processes over RabbitMQ and PostgreSQL: started, ended, killed and stopped while people talk."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.router.broker_fleet import SETTLES, BrokerFleet, broker_fleet
from tests.integration.router.talk import Talk, longest, talking
from tests.support.rabbit import Rabbit

pytestmark = [pytest.mark.needs("initdb", "postgres"), pytest.mark.timeout(240)]
STALL = "stall"
"""The property of a test's report that says for how long a message took at most."""


@pytest.fixture
async def fleet(tmp_path: Path, rabbit: Rabbit) -> AsyncIterator[BrokerFleet]:
    async with broker_fleet(tmp_path / "site", rabbit.url, routers=2, hubs=2) as fleet:
        yield fleet


class Stall:
    """For how long messages stall, beside how long they take on this machine when nothing happens."""

    def __init__(self, request: pytest.FixtureRequest, talks: list[Talk]) -> None:
        self._properties = request.node.user_properties
        self._talks = talks
        self.usual = 0.0

    async def begin(self) -> None:
        """Take the measure of the machine."""
        longest(self._talks)
        await asyncio.sleep(1.0)
        self.usual = self.of("usually")

    async def over(self, what: str) -> float:
        """Wait until everybody has heard what was said last, and something since; the seconds that it took at most."""
        before = [talk.sent for talk in self._talks]
        async with asyncio.timeout(SETTLES):
            while any(talk.sent < sent + 2 for talk, sent in zip(self._talks, before, strict=True)):
                await asyncio.sleep(0.01)
        return self.of(what)

    def of(self, what: str) -> float:
        """Seconds that a message took at most since it was asked last; part of the test's report."""
        seconds = longest(self._talks)
        self._properties.append((STALL, f"{what}: {seconds * 1000:.0f} ms"))
        return seconds

    def limit(self, seconds: float) -> float:
        """What is promised, on a machine that does other work as well."""
        return seconds + 5 * self.usual


async def test_a_router_joins_and_leaves_under_load(fleet: BrokerFleet, request: pytest.FixtureRequest) -> None:
    async with talking(fleet) as talks:
        stall = Stall(request, talks)
        await stall.begin()
        stalls = []
        for _ in range(2):
            third = await fleet.add_router()
            await fleet.until_owned(3)
            joins = await stall.over("joins")
            third.terminate()
            assert await third.wait() == 0
            await fleet.until_owned(2)
            stalls.append(max(joins, await stall.over("leaves")))
        assert min(stalls) < stall.limit(0.2)


async def test_a_router_is_killed_under_load(fleet: BrokerFleet, request: pytest.FixtureRequest) -> None:
    async with talking(fleet) as talks:
        stall = Stall(request, talks)
        await stall.begin()
        fleet.routers[0].kill()
        await fleet.until_owned(1)
        assert await stall.over("killed") < stall.limit(2.0)


async def test_a_router_that_stands_still_loses_its_shards_and_does_no_harm_when_it_goes_on(
    fleet: BrokerFleet, request: pytest.FixtureRequest
) -> None:
    async with talking(fleet, patience=60) as talks:
        stall = Stall(request, talks)
        await stall.begin()
        fleet.routers[0].send_signal(signal.SIGSTOP)
        await fleet.until_owned(1)
        await stall.over("stopped")
        fleet.routers[0].send_signal(signal.SIGCONT)
        await fleet.until_owned(2)
        await asyncio.sleep(1.0)
        assert await stall.over("goes on") < stall.limit(2.0)
    assert "shard.lost" in fleet.log(0)
