"""The kill test of services as processes over RabbitMQ and PostgreSQL: whatever dies, nothing acknowledged is lost."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kill.accounts import register
from tests.kill.deeds import (
    Pace,
    away_while_router_dies,
    broker_killed,
    broker_stopped,
    calm,
    cuts,
    database_stopped,
    held_and_killed,
    joins_and_leaves,
    kills,
    lost_connections,
    stops,
    too_late,
)
from tests.kill.link import State
from tests.kill.load import Load
from tests.kill.many_processes import Site
from tests.kill.one_process import DOMAIN
from tests.kill.play import Scene, play
from tests.kill.pressure import flooded
from tests.kill.sabotage import breaking

pytestmark = [pytest.mark.timeout(240, func_only=True), pytest.mark.needs("rabbitmq-server", "psql")]
CLIENTS, RATE = 200, 1000.0


def bounded(site: Site, pace: Pace) -> list[Scene]:
    """What every run of the tests can afford."""
    return [
        Scene("calm", calm(2)),
        Scene("a router killed", kills(site.routers[:1], 1, pace)),
        Scene("the directory killed", kills([site.directory], 1, pace)),
        Scene("a router cut off from the broker", cuts(site.links["router-1"], 2, pace)),
        Scene("PostgreSQL stopped", database_stopped(site.postgres, 2, pace)),
    ]


def soak(site: Site, pace: Pace) -> list[Scene]:
    """All that was promised."""
    return [
        Scene("calm", calm(10)),
        Scene("connections cut", lost_connections(100, 0.1)),
        Scene("gateways killed", kills(site.gateways, 6, pace)),
        Scene("routers killed", kills(site.routers, 10, pace)),
        Scene("the directory killed", kills([site.directory], 5, pace)),
        Scene("a gateway killed with much unconfirmed", held_and_killed(site.gateways[1], site.links["gateway-1"], State.HELD, 2, pace)),
        Scene("a router killed with much unconfirmed", held_and_killed(site.routers[1], site.links["router-1"], State.MUTE, 2, pace)),
        Scene("a router stopped for 20 s", stops(site.routers[0], pace)),
        Scene("a gateway stopped for 20 s", stops(site.gateways[0], pace)),
        Scene("a router cut off from the broker", cuts(site.links["router-1"], 15, pace)),
        Scene("a gateway cut off from the broker", cuts(site.links["gateway-1"], 5, pace)),
        Scene("a gateway killed, its sessions' routers 60 s later", away_while_router_dies(site.gateways[0], site.routers, 60, pace)),
        Scene("RabbitMQ killed", broker_killed(site.rabbit, pace)),
        Scene("RabbitMQ stopped for 10 s", broker_stopped(site.rabbit, 10, pace)),
        Scene("PostgreSQL stopped", database_stopped(site.postgres, 10, pace)),
        Scene("a third router joins and leaves", joins_and_leaves(site.processes["router-2"], pace)),
        Scene("clients come back too late", too_late(5)),
        Scene("a flood from 50 clients", flooded(list(site.processes.values()), 20, deaf=False)),
        Scene("a flood to one who never reads", flooded(list(site.processes.values()), 20, deaf=True)),
    ]


async def run(site: Site, scenes: Callable[[], list[Scene]], *, seed: int, settle: float) -> list[str]:
    async with site.running():
        load = Load(CLIENTS, rate=RATE, doors=site.doors, domain=DOMAIN, seed=seed)
        await register(load.clients, site.doors[0])
        async with load.running():
            return await play(load, scenes(), seed=seed, settle=settle)


async def test_any_process_is_killed(tmp_path: Path, pace: Pace, seed: int) -> None:
    site = Site(tmp_path)

    assert await run(site, lambda: bounded(site, pace) if pace.bounded else soak(site, pace), seed=seed, settle=pace.settle) == []


@pytest.mark.soak
@pytest.mark.parametrize(
    ("promise", "service", "state"), [("h-before-the-confirm", "gateway", State.HELD), ("acks-out-of-order", "router", State.MUTE)]
)
async def test_a_broken_promise_is_found(tmp_path: Path, seed: int, promise: str, service: str, state: State) -> None:
    site = Site(tmp_path, broken={service: breaking(promise)})
    pace = Pace()

    def scenes() -> list[Scene]:
        return [Scene(f"a {service} killed", held_and_killed(site.of(service)[0], site.links[f"{service}-0"], state, 3, pace))]

    assert any("lost" in fault for fault in await run(site, scenes, seed=seed, settle=20))
