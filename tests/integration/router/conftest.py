"""Routers behind real gateways' hubs, over one memory bus and one SQLite file, with clients that have no stream."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry

from aldis.core.bus.faults import Faults
from aldis.core.bus.memory import MemoryBroker
from aldis.core.bus.names import DIRECTORY, gateway_queue
from aldis.core.contracts.accounts import AccountExists, AccountExistsRequest
from aldis.core.contracts.base import Message
from aldis.core.contracts.envelope import Envelope, Flag, Kind
from aldis.core.service.clock import SystemClock
from aldis.core.service.process import Process
from aldis.core.shards.hub import Hub
from aldis.core.shards.leases import Pace
from aldis.core.shards.link import Link, Uncounted
from aldis.core.shards.means import Means
from aldis.core.shards.members import GATEWAY
from aldis.core.shards.membership import Membership
from aldis.core.shards.registry import SqlRegistry
from aldis.core.shards.seat import Seat
from aldis.core.shards.store import migrations as shards_migrations
from aldis.core.storage import Database
from aldis.core.storage.migrations import migrate
from aldis.router.app import Router, migrations
from aldis.router.settings import RouterSettings

SHARDS = 3
KINDS = {"message": Kind.MESSAGE, "presence": Kind.PRESENCE, "iq": Kind.IQ}


class Client(Uncounted):
    """A client without a stream: what it is sent, as a line each."""

    def __init__(self, hub: Hub, account: str, since: float) -> None:
        self.hub = hub
        self.link: Link = hub.open(account, self, "test", since)
        self.got: list[str] = []
        self.before_bound: list[str] = []
        self.jid = ""
        self.closed = ""
        self.reads_nothing_after: int | None = None
        """How many stanzas get on its socket before it reads no more."""
        self.refused = b""
        self._came = asyncio.Event()

    def stanza(self, stanza: Envelope, to: str) -> None:
        kind = Kind(stanza.kind).name.lower()
        body = re.sub(rb" xmlns='[^']*'", b"", stanza.children).decode()
        if not self.jid:
            self.before_bound.append(kind)
        self.got.append(f"{kind} {stanza.type or '-'} {stanza.sender} -> {to} {body}")
        self._came.set()

    def bound(self, jid: str) -> None:
        assert not self.jid
        self.jid = jid
        self._came.set()

    def bind_refused(self, error: bytes) -> None:
        self.refused = error
        self._came.set()

    def close(self, condition: str, text: str) -> None:
        if not self.closed:
            self.closed = condition
            self.hub.end(self.link)
            self._came.set()

    def on_socket(self) -> int:
        return self.reads_nothing_after if self.reads_nothing_after is not None else self.link.given

    def sends(self, kind: str, type: str = "", to: str = "", children: str = "", id: str = "i") -> None:  # noqa: A002  the attributes' own names
        flags = int(Flag.BODY) if "<body" in children else 0
        if kind == "presence" and not to:
            flags |= self.hub.presence_flags(self.link, type)
        elif not to:
            to, flags = self.link.account, flags | Flag.UNADDRESSED
        names = tuple(f"{{{space or 'jabber:client'}}}{name}" for name, space in re.findall(r"^<(\w+)(?: xmlns='([^']*)')?", children))
        self.hub.publish(
            self.link,
            Envelope(KINDS[kind], type, id, self.jid, to, children.encode(), names, self.hub.origin(self.link), int(flags)),
        )

    async def until(self, condition: Any, seconds: float = 8) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                self._came.clear()
                await self._came.wait()

    async def receives(self, *wanted: str) -> None:
        """Wait until these have come, in this order, perhaps with others between; forget all up to the last."""

        def found() -> int | None:
            position = 0
            for want in wanted:
                places = [n for n, line in enumerate(self.got[position:], position) if line.startswith(want)]
                if not places:
                    return None
                position = places[0] + 1
            return position

        try:
            await self.until(lambda: found() is not None)
        except TimeoutError:
            pytest.fail(f"{self.jid} waited for {wanted} and has {self.got}")
        del self.got[: found()]


class Switch:
    """A security policy that a test can turn to refusing everything."""

    refuses = False

    def authorize(self, label: str, sender: str, recipient: str) -> bool:
        return not self.refuses


class Cluster:
    """Routers over one memory bus and one SQLite file; shards move among them when the faults say so."""

    def __init__(self, path: Path, seed: int | None, shards: int = SHARDS, pace: Pace | None = None) -> None:
        """`seed` is that of the faults, None for none; with a `pace` routers may come, go and die, so that things may repeat."""
        self.shards = shards
        self.pace = pace
        self.faults = None if seed is None else Faults(seed, on_move=self._move)
        if seed is None and pace is not None:
            self.faults = Faults(1, repeat=0, delay=0, die=0, move=0)
        self.broker = MemoryBroker(self.faults)
        self.database = Database(f"sqlite:///{path / 'aldis.db'}", durable=False)
        self.routers: list[Router] = []
        self.hubs: list[Hub] = []
        self.seats: list[Seat] = []
        self.policy = Switch()
        self.disabled: set[str] = set()
        self._moves: set[asyncio.Task[None]] = set()
        self._moving: set[str] = set()
        self.dropped: list[str] = []
        self.process = Process(structlog.get_logger())

    async def start(self, routers: int, hubs: int) -> None:
        await self.database.open()
        await migrate(self.database, [shards_migrations(), migrations()])
        await self.broker.connect("d").respond(DIRECTORY, self._exists)
        registry = SqlRegistry(self.database)
        for n in range(hubs):
            bus = self.broker.connect(f"g{n}")
            queue = gateway_queue(bus.incarnation, bus.connection)
            hub = Hub(Means(bus, self.shards, SystemClock.now, SystemClock.time, self.dropped.append, structlog.get_logger()), queue)
            seat = Seat(bus, hub, Membership(registry, bus, GATEWAY, structlog.get_logger()), structlog.get_logger())
            await seat.take()
            self.seats.append(seat)
            self.hubs.append(hub)
        if self.pace is not None:
            _ = self.process.spawn("leases", self._keep_leases(self.pace))
        for _ in range(routers):
            await self.add_router()

    async def _keep_leases(self, pace: Pace) -> None:
        while True:
            await asyncio.sleep(pace.beat)
            for seat in self.seats:
                await seat.keep()

    async def add_router(self, database: Database | None = None) -> Router:
        """One more router, which joins the others."""
        settings = RouterSettings.model_validate({"domains": ("example.org",), "bus": {"shards": self.shards}})
        router = Router(
            settings=settings,
            bus=self.broker.connect(f"r{len(self.routers)}"),
            database=database or self.database,
            clock=SystemClock(),
            registry=CollectorRegistry(),
            policy=self.policy,
            process=self.process,
            drop=self.dropped.append,
            log=structlog.get_logger(),
            pace=self.pace,
        )
        self.routers.append(router)
        await router.start()
        return router

    async def _exists(self, message: Message) -> Message:
        assert isinstance(message, AccountExistsRequest)
        return AccountExists(exists=not message.account.startswith("nobody"), disabled=message.account in self.disabled)

    def _move(self, queue: str) -> None:
        if queue in self._moving or len(self.routers) < 2:
            return
        shard = int(queue.rpartition(".")[2])
        owner = next((n for n, r in enumerate(self.routers) if r.runner and shard in r.runner.running), None)
        if owner is None:
            return
        self._moving.add(queue)
        source, target = self.routers[owner].runner, self.routers[(owner + 1) % len(self.routers)].runner
        assert source is not None
        assert target is not None
        task = source.release(shard, target.me)
        self._moves.add(task)
        task.add_done_callback(self._moves.discard)
        task.add_done_callback(lambda _: self._moving.discard(queue))

    @asynccontextmanager
    async def running(self, routers: int, hubs: int) -> AsyncIterator[None]:
        """The cluster, started and in the end stopped."""
        ended = asyncio.Event()

        async def own_tasks() -> None:
            async with asyncio.TaskGroup() as self.process._group:
                await ended.wait()

        owner = asyncio.get_running_loop().create_task(own_tasks())
        await asyncio.sleep(0)
        try:
            await self.start(routers, hubs)
            yield
        finally:
            await self.stop()
            for task in list(self.process._tasks):
                task.cancel()
            ended.set()
            await owner

    async def client(self, account: str, resource: str, hub: int = 0, since: float | None = None) -> Client:
        """A client that has asked for a resource and been answered; it authenticated just now, or at `since`."""
        client = Client(self.hubs[hub], f"{account}@example.org", SystemClock.time() if since is None else since)
        self.hubs[hub].bind(client.link, resource)
        await client.until(lambda: client.jid or client.refused)
        return client

    async def stop(self) -> None:
        if self._moves:
            await asyncio.wait(self._moves)
        for router in self.routers:
            await router.stop()
        await self.database.close()


@pytest.fixture
async def cluster(tmp_path: Path, fault_seed: int | None) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path, fault_seed)
    async with cluster.running(routers=2, hubs=2):
        yield cluster
