"""The router behind real gateways' hubs, with the bus's faults: no stanza lost, repeated or reordered."""

import asyncio
import re
from collections.abc import AsyncIterator
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
from aldis.core.policy import NoPolicy
from aldis.core.service.clock import SystemClock
from aldis.core.service.process import Process
from aldis.core.shards.hub import Hub, Link
from aldis.core.shards.means import Means
from aldis.core.shards.store import SqlRegistry
from aldis.core.shards.store import migrations as shards_migrations
from aldis.core.storage import Database
from aldis.core.storage.migrations import migrate
from aldis.router.app import Router, migrations
from aldis.router.settings import RouterSettings

SHARDS = 3
KINDS = {"message": Kind.MESSAGE, "presence": Kind.PRESENCE, "iq": Kind.IQ}


class Client:
    """A client without a stream: what it is sent, as a line each."""

    def __init__(self, hub: Hub, account: str) -> None:
        self.hub = hub
        self.link: Link = hub.open(account, self, "test")
        self.got: list[str] = []
        self.jid = ""
        self.closed = ""
        self.refused = b""
        self._came = asyncio.Event()

    def stanza(self, stanza: Envelope, to: str) -> None:
        kind = Kind(stanza.kind).name.lower()
        body = re.sub(rb" xmlns='[^']*'", b"", stanza.children).decode()
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

    def drained(self) -> bool:
        return True

    def sends(self, kind: str, type: str = "", to: str = "", children: str = "", id: str = "i") -> None:  # noqa: A002
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

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(20):
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


class Cluster:
    """Routers over one memory bus and one SQLite file; shards move among them when the faults say so."""

    def __init__(self, path: Path, seed: int | None) -> None:
        self.faults = None if seed is None else Faults(seed, on_move=self._move)
        self.broker = MemoryBroker(self.faults)
        self.database = Database(f"sqlite:///{path / 'aldis.db'}", durable=False)
        self.routers: list[Router] = []
        self.hubs: list[Hub] = []
        self._moves: set[asyncio.Task[None]] = set()
        self._moving: set[str] = set()
        self._dropped: list[str] = []
        self.process = Process(structlog.get_logger())

    async def start(self, routers: int, hubs: int) -> None:
        await self.database.open()
        await migrate(self.database, [shards_migrations(), migrations()])
        await self.broker.connect("d").respond(DIRECTORY, self._exists)
        registry = SqlRegistry(self.database)
        for n in range(hubs):
            bus = self.broker.connect(f"g{n}")
            queue = gateway_queue(bus.incarnation)
            await bus.declare(queue, exclusive=True)
            hub = Hub(Means(bus, SHARDS, SystemClock.now, self._dropped.append, structlog.get_logger()), queue)
            await bus.consume(queue, hub)
            await registry.register(queue)
            self.hubs.append(hub)
        for n in range(routers):
            settings = RouterSettings.model_validate({"domains": ("example.org",), "bus": {"shards": SHARDS}})
            router = Router(
                settings=settings,
                bus=self.broker.connect(f"r{n}"),
                database=self.database,
                clock=SystemClock(),
                registry=CollectorRegistry(),
                policy=NoPolicy(),
                process=self.process,
                log=structlog.get_logger(),
                owns=tuple(range(n, SHARDS, routers)),
            )
            await router.start()
            self.routers.append(router)

    async def _exists(self, message: Message) -> Message:
        assert isinstance(message, AccountExistsRequest)
        return AccountExists(exists=not message.account.startswith("nobody"))

    def _move(self, queue: str) -> None:
        if queue in self._moving or len(self.routers) < 2:
            return
        shard = int(queue.rpartition(".")[2])
        owner = next((n for n, r in enumerate(self.routers) if r.runner and shard in r.runner.running), None)
        if owner is None:
            return
        self._moving.add(queue)
        task = asyncio.get_running_loop().create_task(self._hand_over(queue, shard, owner))
        self._moves.add(task)
        task.add_done_callback(self._moves.discard)

    async def _hand_over(self, queue: str, shard: int, owner: int) -> None:
        source, target = self.routers[owner].runner, self.routers[(owner + 1) % len(self.routers)].runner
        assert source is not None
        assert target is not None
        await source.release(shard)
        target.want(shard)
        self._moving.discard(queue)

    async def client(self, account: str, resource: str, hub: int = 0) -> Client:
        client = Client(self.hubs[hub], f"{account}@example.org")
        self.hubs[hub].bind(client.link, resource, "b")
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
    ended = asyncio.Event()

    async def build() -> None:
        async with asyncio.TaskGroup() as cluster.process._group:
            await ended.wait()

    owner = asyncio.get_running_loop().create_task(build())
    await asyncio.sleep(0)
    try:
        await cluster.start(routers=2, hubs=2)
        yield cluster
    finally:
        await cluster.stop()
        ended.set()
        await owner


ROSTER = "<query xmlns='jabber:iq:roster'/>"


async def test_two_users_subscribe_and_see_each_other(cluster: Cluster) -> None:
    romeo = await cluster.client("romeo", "orchard", 0)
    juliet = await cluster.client("juliet", "balcony", 1)
    for user in (romeo, juliet):
        user.sends("iq", "get", children=ROSTER)
        await user.receives("iq result")
        user.sends("presence")
        await user.receives(f"presence - {user.jid}")
    romeo.sends("presence", "subscribe", "juliet@example.org")
    await romeo.receives("iq set romeo@example.org")
    await juliet.receives("presence subscribe romeo@example.org -> ")
    juliet.sends("presence", "subscribed", "romeo@example.org")
    await juliet.receives("iq set juliet@example.org")
    await romeo.receives("presence subscribed juliet@example.org", "iq set", f"presence - {juliet.jid} -> ")
    juliet.sends("presence", "subscribe", "romeo@example.org")
    await romeo.receives("presence subscribe juliet@example.org")
    romeo.sends("presence", "subscribed", "juliet@example.org")
    await juliet.receives(f"presence - {romeo.jid} -> {juliet.jid}")
    romeo.sends("presence", children="<show>away</show>")
    await juliet.receives(f"presence - {romeo.jid} -> {juliet.jid} <show>away</show>")
    cluster.hubs[0].end(romeo.link)
    await juliet.receives(f"presence unavailable {romeo.jid} -> {juliet.jid}")
    await asyncio.sleep(0.02)
    assert juliet.got == []


async def test_messages_arrive_once_and_in_order(cluster: Cluster) -> None:
    users = [await cluster.client(name, "r", n % 2) for n, name in enumerate(("a", "b", "c", "d"))]
    for user in users:
        user.sends("presence")
        await user.receives(f"presence - {user.jid}")
    for n in range(60):
        for user in users:
            for other in users:
                if other is not user:
                    user.sends("message", "chat", other.jid, f"<body>{n}</body>")
        await asyncio.sleep(0)
    for user in users:
        await user.until(lambda user=user: len(user.got) >= 60 * 3)
        await asyncio.sleep(0)
        for other in users:
            if other is not user:
                bodies = [line for line in user.got if f" {other.jid} ->" in line]
                assert bodies == [f"message chat {other.jid} -> {user.jid} <body>{n}</body>" for n in range(60)]
    await asyncio.sleep(0.02)
    assert all(len(user.got) == 180 for user in users)


async def test_a_message_to_nobody_comes_back_once(cluster: Cluster) -> None:
    romeo = await cluster.client("romeo", "orchard")
    romeo.sends("message", "chat", "nobody@example.org", "<body>?</body>")
    await romeo.receives("message error nobody@example.org -> ")
    romeo.sends("message", "chat", "x@elsewhere.example", "<body>?</body>")
    await romeo.receives("message error x@elsewhere.example -> ")
    await asyncio.sleep(0.02)
    assert romeo.got == []


async def test_a_second_client_takes_the_resource(cluster: Cluster) -> None:
    first = await cluster.client("romeo", "orchard", 0)
    second = await cluster.client("romeo", "orchard", 1)
    assert second.jid == first.jid == "romeo@example.org/orchard"
    await first.until(lambda: first.closed)
    assert first.closed == "conflict"
    second.sends("presence")
    await second.receives(f"presence - {second.jid}")


async def test_what_a_dead_session_did_not_get_goes_back(cluster: Cluster) -> None:
    romeo = await cluster.client("romeo", "orchard", 0)
    juliet = await cluster.client("juliet", "balcony", 1)
    juliet.drained = lambda: False  # type: ignore[method-assign]
    romeo.sends("message", "chat", juliet.jid, "<body>1</body>")
    await juliet.receives("message chat")
    cluster.hubs[1].end(juliet.link)
    await romeo.receives(f"message error {juliet.jid} -> {romeo.jid}")
    romeo.sends("iq", "get", juliet.jid, "<ping xmlns='urn:xmpp:ping'/>")
    await romeo.receives(f"iq error {juliet.jid}")
    await asyncio.sleep(0.02)
    assert romeo.got == []


async def test_roster_items_are_set_pushed_and_removed(cluster: Cluster) -> None:
    desk = await cluster.client("romeo", "desk", 0)
    phone = await cluster.client("romeo", "phone", 1)
    for session in (desk, phone):
        session.sends("iq", "get", children=ROSTER)
        await session.receives("iq result")
    desk.sends("iq", "set", children="<query xmlns='jabber:iq:roster'><item jid='juliet@example.org' name='J'/></query>")
    for session in (desk, phone):
        await session.receives("iq set romeo@example.org -> " + session.jid)
    desk.sends("iq", "set", children="<query xmlns='jabber:iq:roster'><item jid='juliet@example.org' subscription='remove'/></query>")
    await phone.receives("iq set romeo@example.org -> " + phone.jid + " <query><item jid='juliet@example.org' subscription='remove'/>")
    desk.sends("iq", "get", children=ROSTER, id="r3")
    await desk.until(lambda: any("<query></query>" in line for line in desk.got))
    desk.got.clear()
    await asyncio.sleep(0.02)
    assert desk.got == []


async def test_disco_names_what_is_there(cluster: Cluster) -> None:
    romeo = await cluster.client("romeo", "orchard")
    romeo.sends("iq", "get", "example.org", "<query xmlns='http://jabber.org/protocol/disco#info'/>")
    await romeo.until(lambda: romeo.got)
    assert "urn:xmpp:ping" in romeo.got[0]
    romeo.got.clear()
    romeo.sends("iq", "get", "example.org", "<query xmlns='urn:nothing'/>")
    await romeo.receives("iq error example.org -> " + romeo.jid)
    romeo.sends("iq", "get", "juliet@example.org", "<query xmlns='http://jabber.org/protocol/disco#info'/>")
    await romeo.receives("iq error juliet@example.org -> " + romeo.jid)
