"""Routers as real processes over a real broker and PostgreSQL; the gateways' hubs, and clients without a stream, are in the test."""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import structlog

from aldis.core.bus import Bus
from aldis.core.bus.amqp.bus import connect
from aldis.core.bus.amqp.hooks import Hooks, NoLog
from aldis.core.bus.names import DIRECTORY, gateway_queue, router_queue
from aldis.core.contracts.accounts import AccountExists, AccountExistsRequest
from aldis.core.contracts.base import Message
from aldis.core.service.clock import SystemClock
from aldis.core.shards.hub import Hub
from aldis.core.shards.means import Means
from aldis.core.shards.members import GATEWAY, ROUTER
from aldis.core.shards.registry import SqlRegistry
from aldis.core.shards.store import migrations as shards_migrations
from aldis.core.storage import Database
from aldis.core.storage.migrations import migrate
from aldis.router.app import migrations
from tests.integration.router.conftest import Client
from tests.support import postgres

SHARDS = 8
STARTS = 30.0
SETTLES = 60.0


class BrokerFleet:
    """Routers that come and go; ids are as their processes choose them."""

    def __init__(self, folder: Path, broker: str, database: str) -> None:
        self.folder = folder
        self.broker = broker
        self.database_url = database
        self.prefix = f"o{secrets.token_hex(4)}."
        self.routers: list[asyncio.subprocess.Process] = []
        self.hubs: list[Hub] = []
        self.buses: list[Bus] = []
        self.dropped: list[str] = []
        self.database = Database(database)
        self.registry = SqlRegistry(self.database)

    async def start(self, routers: int, hubs: int) -> None:
        await self.database.open()
        await migrate(self.database, [shards_migrations(), migrations()])
        self.folder.mkdir(exist_ok=True)
        (self.folder / "aldis.toml").write_text(
            f'domains = ["example.org"]\ndata_dir = "{self.folder}"\n'
            f'[bus]\nurl = "{self.broker}"\nprefix = "{self.prefix}"\nshards = {SHARDS}\n'
            f'[database]\nurl = "{self.database_url}"\n[metrics]\nport = 0\n'
        )
        directory = await self.connect("d")
        await directory.respond(DIRECTORY, self._exists)
        for n in range(hubs):
            bus = await self.connect(f"g{n}")
            queue = gateway_queue(bus.incarnation, bus.connection)
            await bus.declare(queue, exclusive=True)
            hub = Hub(Means(bus, SHARDS, SystemClock.now, SystemClock.time, self.dropped.append, structlog.get_logger()), queue)
            await bus.consume(queue, hub)
            await self.registry.join(bus.incarnation, GATEWAY, queue)
            self.hubs.append(hub)
        for _ in range(routers):
            await self.add_router()
        await self.until_owned(routers)

    async def connect(self, incarnation: str) -> Bus:
        bus = await connect(self.broker, prefix=self.prefix, incarnation=incarnation, hooks=Hooks(NoLog()))
        self.buses.append(bus)
        return bus

    async def _exists(self, message: Message) -> Message:
        assert isinstance(message, AccountExistsRequest)
        return AccountExists(exists=True)

    async def add_router(self) -> asyncio.subprocess.Process:
        """One more router, which is still on its way when this returns."""
        n = len(self.routers)
        with (self.folder / f"router{n}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "aldis.router", "--config", str(self.folder / "aldis.toml"), "--parent", str(os.getpid())),
                stdout=log,
                stderr=log,
                env=os.environ | {"ALDIS_LOG__FORMAT": "json"},
            )
        self.routers.append(process)
        return process

    async def owners(self) -> dict[str, int]:
        """How many shards each router has that is there and whose queue is consumed."""
        view = await self.registry.view()
        there = {member.id for member in view.of(ROUTER)}
        found: dict[str, int] = {}
        for shard, owned in view.owners.items():
            state = await self.buses[0].look(router_queue(shard))
            if owned.owner in there and state is not None and state.consumers:
                found[owned.owner] = found.get(owned.owner, 0) + 1
        return found

    async def until_owned(self, routers: int) -> None:
        """Wait until so many routers consume all shards, in equal shares."""
        least, more = divmod(SHARDS, routers)
        wanted = sorted(least + (n < more) for n in range(routers))
        async with asyncio.timeout(STARTS + SETTLES):
            while sorted((await self.owners()).values()) != wanted:
                await asyncio.sleep(0.05)

    async def client(self, account: str, resource: str, hub: int = 0) -> Client:
        client = Client(self.hubs[hub], f"{account}@example.org", SystemClock.time())
        self.hubs[hub].bind(client.link, resource)
        await client.until(lambda: client.jid or client.refused)
        return client

    def log(self, n: int) -> str:
        """What a router logged."""
        return (self.folder / f"router{n}.log").read_text()

    async def stop(self) -> None:
        for process in self.routers:
            if process.returncode is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.routers:
            try:
                await asyncio.wait_for(process.wait(), 20)
            except TimeoutError:
                process.kill()
                await process.wait()
        for bus in self.buses:
            await bus.close()
        await self.database.close()


@asynccontextmanager
async def broker_fleet(folder: Path, broker: str, routers: int, hubs: int) -> AsyncIterator[BrokerFleet]:
    """The fleet on a database of its own, started and in the end stopped."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(postgres.shared().database())
        fleet = BrokerFleet(folder, broker, url)
        stack.push_async_callback(fleet.stop)
        await fleet.start(routers, hubs)
        yield fleet
