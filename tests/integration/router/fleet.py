"""Routers in one process that come, go, die and are cut off, with gateways that may lose the bus."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aldis.core.shards.leases import Pace
from aldis.core.shards.registry import SqlRegistry
from aldis.core.storage import Database, StorageUnavailable, Transaction
from aldis.router.app import Router
from tests.integration.router.conftest import Cluster

SHARDS = 8
QUICK = Pace(beat=0.2, look=0.05, lease=1.0)
"""Ten times as fast as it is in earnest."""
SETTLED = 20.0
"""Seconds in which a cluster must come to rest on a busy machine."""


class Fickle(Database):
    """A way to the database that can be cut."""

    away = False

    def _check(self) -> None:
        if self.away:
            raise StorageUnavailable("the database is away")

    @asynccontextmanager
    async def transaction(self, limit: float | None = None) -> AsyncIterator[Transaction]:
        self._check()
        async with super().transaction(limit) as tx:
            yield tx

    @asynccontextmanager
    async def reading(self, limit: float | None = None) -> AsyncIterator[Transaction]:
        self._check()
        async with super().reading(limit) as tx:
            yield tx


class Fleet(Cluster):
    """A cluster whose routers come and go."""

    def __init__(self, path: Path, seed: int | None, pace: Pace = QUICK) -> None:
        super().__init__(path, seed, SHARDS, pace)
        if self.faults is not None:
            self.faults.move = 0.0  # shares are what is tested here, and a move by chance spoils them
        self.url = f"sqlite:///{path / 'aldis.db'}"
        self.database = Fickle(self.url, durable=False)
        self.registry = SqlRegistry(self.database)
        self.dead: set[Router] = set()

    def shares(self) -> list[int]:
        """How many shards each router runs, but those that are dead."""
        return [len(router.runner.running) for router in self.routers if router not in self.dead and router.runner]

    async def until(self, *shares: int) -> None:
        """Wait until every shard is run by one router, so many by each, in any order."""
        async with asyncio.timeout(SETTLED):
            while sorted(self.shares()) != sorted(shares):
                await asyncio.sleep(0.01)

    def kill(self, router: Router) -> None:
        """What `kill -9` means to the others: it is off the bus, and does nothing more."""
        self.dead.add(router)
        router._bus.cut()  # type: ignore[attr-defined]

    async def leave(self, router: Router) -> None:
        self.dead.add(router)
        await router.stop()
