"""A process's own row in the registry: entered under its present queue, renewed while it runs, removed when it ends."""

from aldis.core.bus.names import SHARDS
from aldis.core.bus.port import Bus
from aldis.core.contracts.shards import MembersChanged
from aldis.core.shards.means import Log
from aldis.core.shards.members import Rolls
from aldis.core.storage.errors import StorageUnavailable


class Membership:
    """One process in the registry."""

    def __init__(self, rolls: Rolls, bus: Bus, kind: str, log: Log) -> None:
        self._rolls = rolls
        self._bus = bus
        self._kind = kind
        self._log = log
        self._queue = ""
        self._stale = False
        """The row does not name the present queue yet."""
        self._failing = False
        self.id = bus.incarnation

    async def join(self, queue: str, kind: str | None = None) -> None:
        """Enter it, or its new queue or kind."""
        self._kind = kind or self._kind
        self._queue, self._stale = queue, True
        await self._rolls.join(self.id, self._kind, queue)
        self._stale = False
        self._bus.broadcast(SHARDS, MembersChanged())

    async def renew(self) -> None:
        """Renew the lease; entered again if somebody took it for dead."""
        if self._queue and (self._stale or not await self._rolls.renew(self.id)):
            await self.join(self._queue)

    async def keep(self, queue: str = "") -> None:
        """Renew it, or enter it under another queue, if the database is there; while it is not, nobody's lease lapses."""
        if queue:
            self._queue, self._stale = queue, True
        try:
            await self.renew()
        except StorageUnavailable as error:
            if not self._failing:
                self._log.warning("lease.not-renewed", reason=str(error))
            self._failing = True
        else:
            self._failing = False

    async def leave(self) -> None:
        """Remove it."""
        self._queue = ""
        await self._rolls.leave(self.id)
        self._bus.broadcast(SHARDS, MembersChanged())
