"""A server in this process, of several routers, gateways and shards, with the bus's faults if there is a seed.

Which services it is made of is handed in: the composition is the launcher's, which core knows nothing of.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from aldis.core.bus.faults import Faults
from aldis.core.bus.memory import MemoryBroker
from aldis.core.bus.names import router_queue
from aldis.core.bus.port import Bus
from aldis.core.service.logging import Logger
from aldis.core.service.process import Part, Process
from aldis.core.shards.runner import ShardRunner
from aldis.core.shards.slots import shard_of
from aldis.core.testing.actor import Actor
from aldis.core.testing.wire import Doors, Wire

START_SECONDS: Final = 20.0
NOTICED_SECONDS: Final = 0.5
"""Within which somebody has noticed that a gateway died."""
REST_SECONDS: Final = 0.25
"""Longer than a router waits before it gives a shard back whose rightful owner is there."""
ROUTERS: Final = router_queue(0)[:-1]
"""How the names of the shards' queues begin."""


class Router(Protocol):
    """What owns shards."""

    @property
    def runner(self) -> ShardRunner[Any] | None: ...


class Gateway(Protocol):
    """What clients connect to."""

    async def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Composition:
    """A server put together, not started."""

    parts: Sequence[Part]
    routers: Sequence[Router]
    doors: Callable[[], Sequence[Doors]]
    """Each gateway's, once it has started."""
    connect: Callable[[], Awaitable[Bus]]
    """Gives one more connection to the server's bus, closed with it."""
    gateways: Sequence[Gateway] = ()
    kill: Callable[[Any], None] = lambda _: None
    """Ends a gateway as SIGKILL does."""


Compose = Callable[[Process, MemoryBroker], Composition]


class Cluster:
    """The server. Shards move from router to router when the faults ask for it."""

    def __init__(self, compose: Compose, wire: Callable[[], Wire], seed: int | None, log: Logger, *, deaths: bool = False) -> None:
        """`seed` is that of the faults, None for none; they are frequent, since a scenario is short.

        With `deaths` the bus is one that may repeat even so, since the scenario itself kills who uses it.
        """
        quiet = Faults(0, repeat=0, delay=0, die=0, move=0) if deaths else None
        self.faults = quiet if seed is None else Faults(seed, on_move=self._move, repeat=0.15, delay=0.1, die=0.1, move=0.1)
        self.broker = MemoryBroker(self.faults)
        self.actors: list[Actor] = []
        self.doors: Sequence[Doors] = ()
        self._compose = compose
        self._wire = wire
        self._process = Process(log)
        self._routers: Sequence[Router] = ()
        self._gateways: Sequence[Gateway] = ()
        self._kill: Callable[[Any], None] = lambda _: None
        self._connect: Callable[[], Awaitable[Bus]] | None = None
        self._running: asyncio.Task[int] | None = None
        self._moves: set[asyncio.Task[None]] = set()
        self._moving: set[str] = set()

    async def start(self) -> None:
        """Start it; returns when clients can connect."""
        self._running = asyncio.get_running_loop().create_task(self._process.run(self._build))
        async with asyncio.timeout(START_SECONDS):
            while not self.doors:
                if self._running.done():
                    raise AssertionError(f"the server ended at once, with code {self._running.result()}")
                await asyncio.sleep(0.001)

    async def shuts_down(self) -> None:
        """Stop the server with whoever is connected; raises `AssertionError` if it failed."""
        if self._moves:
            await asyncio.wait(self._moves)
        self._process.stop("the scenario is over")
        if self._running is not None and await self._running:
            raise AssertionError("the server failed; its log says why")

    async def stop(self) -> None:
        """End all actors, then the server."""
        for actor in self.actors:
            await actor.vanishes()
        await self.shuts_down()

    def actor(self, account: str, password: str, *, gateway: int = 0, wire: Callable[[], Wire] | None = None) -> Actor:
        """Make a client that has not connected yet, for one of the gateways."""
        actor = Actor(account, password, self.doors[gateway % len(self.doors)], wire or self._wire)
        self.actors.append(actor)
        return actor

    async def connects(self) -> Bus:
        """Connect somebody to the server's bus, an operator for example."""
        assert self._connect is not None  # noqa: S101  it has been started
        return await self._connect()

    def _build(self, process: Process) -> Sequence[Part]:
        composition = self._compose(process, self.broker)
        self._routers = composition.routers
        self._gateways = composition.gateways
        self._kill = composition.kill
        self._connect = composition.connect
        return [*composition.parts, Opened(self, composition.doors)]

    # ── deaths ──

    async def kills_gateway(self, gateway: int, *, alone: bool = True) -> None:
        """End a gateway without a word to anybody: its connections break, its queue is gone, what it was about to say is not said.

        `alone` keeps the faults from killing others before what only they have is in the database.
        """
        if not alone or self.faults is None:
            self._kill(self._gateways[gateway])
            return
        faults, self.faults.die, self.faults.move = (self.faults.die, self.faults.move), 0.0, 0.0
        await self._come_to_rest()
        self._kill(self._gateways[gateway])
        await asyncio.sleep(NOTICED_SECONDS)
        await self._until(self._all_stored)
        self.faults.die, self.faults.move = faults

    async def stops_gateway(self, gateway: int) -> None:
        """End a gateway in order, as SIGTERM does; returns when the others have noticed."""
        await self._gateways[gateway].stop()
        self._kill(self._gateways[gateway])
        await asyncio.sleep(NOTICED_SECONDS)
        await self._until(self._all_stored)

    async def kills_owner(self, account: str) -> None:
        """Have an account's shard taken from its owner, which forgets everything; returns when another owns it."""
        shard = shard_of(account, len(self._shards()))
        await self._until(self._all_owned)
        before = self._owner(shard)
        self.broker.queues[router_queue(shard)].line[0].lose()
        await self._until(lambda: self._owner(shard) not in (None, before))

    async def _come_to_rest(self) -> None:
        """Wait until shards that the faults have moved are back with whose they are."""
        owners: list[object] = []
        while not self._all_owned() or owners != (owners := [self._owner(shard) for shard in self._shards()]):  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(REST_SECONDS)

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(START_SECONDS):
            while not condition():  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.01)

    def _shards(self) -> list[int]:
        return [int(name.removeprefix(ROUTERS)) for name in self.broker.queues if name.startswith(ROUTERS)]

    def _all_owned(self) -> bool:
        return not self._moves and all(self._owner(shard) is not None for shard in self._shards())

    def _all_stored(self) -> bool:
        runners = [router.runner for router in self._routers]
        return not any(running.owner.storing for runner in runners if runner is not None for running in runner.running.values())

    def _owner(self, shard: int) -> object:
        for router in self._routers:
            running = router.runner.running.get(shard) if router.runner is not None else None
            if running is not None:
                return running
        return None

    # ── shards on the move ──

    def _move(self, queue: str) -> None:
        if queue in self._moving or len(self._routers) < 2:
            return
        shard = int(queue.rpartition(".")[2])
        runners = [router.runner for router in self._routers]
        at = next((n for n, runner in enumerate(runners) if runner is not None and shard in runner.running), None)
        if at is None:
            return
        source, target = runners[at], runners[(at + 1) % len(runners)]
        if source is None or target is None:
            return
        self._moving.add(queue)
        task = source.release(shard, target.me)
        self._moves.add(task)
        task.add_done_callback(self._moves.discard)
        task.add_done_callback(lambda _: self._moving.discard(queue))


class Opened:
    """The last part: the gateways' ports are known when it starts."""

    name: Final = "scenario"

    def __init__(self, cluster: Cluster, doors: Callable[[], Sequence[Doors]]) -> None:
        self._cluster = cluster
        self._doors = doors

    async def start(self) -> None:
        self._cluster.doors = self._doors()

    async def stop(self) -> None:
        """There is nothing to stop."""
