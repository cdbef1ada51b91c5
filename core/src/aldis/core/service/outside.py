"""What a process needs from outside, as parts: a bus to a broker and a database, waited for and watched."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from aldis.core.bus.names import echo_queue
from aldis.core.bus.port import Bus, BusError, Subscription
from aldis.core.contracts.base import Message
from aldis.core.contracts.operation import Echo
from aldis.core.service.metrics import Level
from aldis.core.service.run import Host
from aldis.core.storage import Database, StorageUnavailable
from aldis.core.storage.migrations import MigrationSet, pending

LOOK: Final = 1.0
"""Seconds between two looks at the broker and the database, and between two tries to reach them."""
ALIVE: Final = 2.0
"""Seconds that broker and database have to answer a question that costs them nothing."""
ECHO: Final = 3.0
UNHEARD: Final = 2
"""Questions without an answer after which the broker counts as hanging."""

Connect = Callable[[], Awaitable[Bus]]
"""Waits for the broker as long as it takes, and says so; the bus is connected."""


class BusLink:
    """The bus as a part: started when the broker answers, not ready while it is away or takes nothing."""

    name: Final = "bus"

    def __init__(self, host: Host[Any], connect: Connect) -> None:
        self._host = host
        self._connect = connect
        self._bus: Bus | None = None
        self._echo: Subscription | None = None
        self._unheard = 0
        Level(host.registry, "aldis_bus_up", "Whether there is a connection to the broker: 1 or 0.").read(self._up)
        Level(host.registry, "aldis_bus_blocked", "Whether the broker takes nothing, for want of memory or disk: 1 or 0.").read(
            self._blocked
        )

    @property
    def bus(self) -> Bus:
        """The bus, once this part has started."""
        if self._bus is None:
            raise RuntimeError("the bus has not started")
        return self._bus

    async def start(self) -> None:
        self._bus = await self._connect()
        _ = self._host.process.spawn("state of the bus", self._watch(self._bus))
        queue = echo_queue(self._bus.incarnation)
        self._echo = await self._bus.respond(queue, _same, concurrency=1)
        _ = self._host.process.spawn("echo of the bus", self._listen(self._bus, queue))

    async def stop(self) -> None:
        if self._echo is not None:
            await self._echo.cancel()
        if self._bus is not None:
            await self._bus.close()

    async def _watch(self, bus: Bus) -> None:
        while True:
            reason = None if bus.up else "no connection to the broker"
            if bus.up and self._unheard >= UNHEARD:
                reason = "the broker passes nothing on"
            if bus.blocked:
                reason = f"the broker takes nothing: {bus.blocked}"
            self._host.process.readiness.set(f"{self.name} connection", reason)
            await asyncio.sleep(LOOK)

    async def _listen(self, bus: Bus, queue: str) -> None:
        """Send something through the broker now and then: it tells of an alarm only who publishes, and a hanging one tells nothing."""
        while True:
            try:
                _ = await bus.request(queue, Echo(), deadline=ALIVE)
                self._unheard = 0
            except BusError:
                self._unheard += 1
            await asyncio.sleep(ECHO)

    def _up(self) -> float:
        return float(self._bus is not None and self._bus.up)

    def _blocked(self) -> float:
        return float(self._bus is not None and bool(self._bus.blocked))


async def _same(message: Message) -> Message:
    return message


class Stored:
    """The database as a part: started when it answers and has the tables that are needed, not ready while it is away.

    It changes no table: several processes start at once, and of several versions while one replaces the other. Who does is
    `aldis migrate`.
    """

    name: Final = "database"

    def __init__(self, host: Host[Any], database: Database, sets: Sequence[MigrationSet]) -> None:
        self._host = host
        self._sets = sets
        self._up = False
        self.database = database
        Level(host.registry, "aldis_database_up", "Whether the database answered when it was last looked at: 1 or 0.").read(
            lambda: float(self._up)
        )

    async def start(self) -> None:
        """Wait until it is there and in shape."""
        log = self._host.log
        await self._until(self._opened, lambda reason: log.warning("database.awaited", reason=reason))
        await self._until(self._in_shape, lambda reason: log.warning("database.outdated", reason=reason))
        _ = self._host.process.spawn("state of the database", self._watch())

    async def stop(self) -> None:
        await self.database.close()

    async def _until(self, step: Callable[[], Awaitable[str | None]], tell: Callable[[str], object]) -> None:
        """Try until it succeeds; each new reason is said once."""
        told = ""
        while reason := await step():
            if reason != told:
                told = reason
                _ = tell(reason)
                self._host.process.readiness.set(self.name, reason)
            await asyncio.sleep(LOOK)

    async def _opened(self) -> str | None:
        try:
            await self.database.open()
        except StorageUnavailable as error:
            return str(error)
        return None

    async def _in_shape(self) -> str | None:
        try:
            files = await pending(self.database, self._sets)
        except StorageUnavailable as error:
            return str(error)
        return f"`aldis migrate` is still to be run: {', '.join(files)}" if files else None

    async def _watch(self) -> None:
        while True:
            reason = None
            try:
                async with self.database.reading(limit=ALIVE) as connection:
                    await connection.exec_driver_sql("SELECT 1")
            except StorageUnavailable as error:
                reason = str(error)
            self._up = reason is None
            self._host.process.readiness.set(f"{self.name} connection", reason)
            await asyncio.sleep(LOOK)
