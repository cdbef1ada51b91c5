"""A gateway's place on the bus: its queue, its row in the registry, and how it comes back when the connection broke.

Its clients keep their sockets meanwhile, and are not read, since without a connection every queue is congested. After some
time it gives up: streams are closed, and those that can be resumed may be.
"""

import asyncio
from typing import Final

from aldis.core.bus.names import gateway_queue
from aldis.core.bus.port import Bus, BusError, Consumption
from aldis.core.shards.hub import Hub
from aldis.core.shards.means import Log
from aldis.core.shards.membership import Membership
from aldis.core.storage.errors import StorageUnavailable

PATIENCE: Final = 60.0
"""Seconds that clients wait for a bus that is away."""
AGAIN: Final = 0.5
"""Seconds between two tries to get a queue."""


class Seat:
    """One gateway's."""

    def __init__(self, bus: Bus, hub: Hub, membership: Membership, log: Log, patience: float = PATIENCE) -> None:
        self._bus = bus
        self._hub = hub
        self._membership = membership
        self._log = log
        self._patience = patience
        self._consumption: Consumption | None = None
        self._returning: asyncio.Task[None] | None = None
        self._giving_up: asyncio.TimerHandle | None = None
        self._left = False
        self._cut = False
        """The queue is gone, and there is no other yet."""
        hub.cut_off = self._cut_off

    async def take(self) -> None:
        """Make the queue, consume it, and have shards know of it."""
        self._consumption = await self._declare(self._hub.queue)
        await self._membership.join(self._hub.queue)
        self._bus.on_connection(self._connection)

    async def keep(self) -> None:
        """Renew the lease."""
        await self._membership.keep()

    async def leave(self) -> None:
        """Finish what came, and have shards know that there is nobody any more.

        With sessions that wait for their clients it stays in the registry: shards find that its queue is gone, and keep them.
        """
        self._left = True
        if self._giving_up is not None:
            self._giving_up.cancel()
        if self._returning is not None:
            await asyncio.wait({self._returning})
        if self._consumption is not None:
            await self._consumption.cancel()
        if self._hub.links:
            return
        try:
            await self._membership.leave()
        except StorageUnavailable as error:  # shards see that the queue is gone
            self._log.warning("lease.not-renewed", reason=str(error))

    async def _declare(self, queue: str) -> Consumption:
        await self._bus.declare(queue, exclusive=True)
        return await self._bus.consume(queue, self._hub)

    def _connection(self, up: bool) -> None:
        if up:
            self._return()

    def _cut_off(self) -> None:
        """The queue is gone."""
        if self._left:
            return
        self._cut = True
        if self._giving_up is None:
            self._log.warning("gateway.cut-off", sessions=len(self._hub.links))
            self._giving_up = asyncio.get_running_loop().call_later(self._patience, self._give_up)
        if self._bus.up:
            self._return()

    def _give_up(self) -> None:
        self._log.warning("gateway.gave-up", seconds=self._patience, sessions=len(self._hub.links))
        self._hub.give_up()

    def _return(self) -> None:
        if self._returning is None and self._cut and not self._left:
            self._returning = asyncio.get_running_loop().create_task(self._come_back(), name="gateway comes back")
            self._returning.add_done_callback(self._returned)

    def _returned(self, _: asyncio.Task[None]) -> None:
        self._returning = None
        if self._bus.up:
            self._return()  # it was cut off again, and came back, meanwhile

    async def _come_back(self) -> None:
        """Take a queue of another name, and tell shards and registry of it; again if that is lost before the registry knows."""
        while self._cut and self._bus.up and not self._left:
            queue = gateway_queue(self._bus.incarnation, self._bus.connection)
            self._cut = False
            try:
                self._consumption = await self._declare(queue)
            except BusError as error:
                self._cut = True
                self._log.warning("gateway.no-queue", reason=str(error) or type(error).__name__)
                await asyncio.sleep(AGAIN)
                continue
            if self._giving_up is not None:
                self._giving_up.cancel()
                self._giving_up = None
            self._hub.rejoin(queue)
            self._log.info("gateway.back", queue=queue, sessions=len(self._hub.links))
            await self._membership.keep(queue)
