"""Batches that kill the process: one that comes for the third time runs alone, each message marked before it is handled.

Whoever dies takes along what else it had unacknowledged, so a count of deliveries convicts the innocent. A mark in the
database stands before the message is handled and is removed when it is done: found again, it tells of whom the process
died. That one is bounced and put aside in `aldis.dead`; everything else is handled.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from aldis.core.bus.codec import Codec
from aldis.core.bus.names import DEAD
from aldis.core.bus.port import Batch, BusError
from aldis.core.contracts.base import Message
from aldis.core.contracts.bus import DeadLetter
from aldis.core.shards.means import Marks, Means
from aldis.core.storage.errors import StorageUnavailable

SUSPECT: Final = 2
"""Redeliveries from which a batch runs alone."""
LOOK: Final = 0.01
"""Seconds between two looks whether what runs alone is done; it happens next to never."""
RETRY: Final = 0.5


class Owner(Protocol):
    """The shard's owner, as far as it is seen here."""

    @property
    def idle(self) -> bool:
        """Has it begun, and nothing under way?"""

    @property
    def over(self) -> bool:
        """Is it an owner no more?"""

    def deliver(self, batch: Batch) -> None: ...

    def refuse(self, batch: Batch) -> None: ...

    def lost(self) -> None: ...

    def adopt(self, task: asyncio.Task[None]) -> None:
        """Wait for this as well when all that was begun is waited for."""


class Part:
    """One message of a batch, handled as a batch of its own; the whole is acknowledged after the last."""

    __slots__ = ("messages", "redelivered")

    def __init__(self, message: Message, redelivered: int) -> None:
        self.messages = (message,)
        self.redelivered = redelivered

    def ack(self) -> None:
        """Nothing: the owner is idle then, which is what is waited for."""


class _Confirmed:
    """A receipt to wait for."""

    done = False

    def hold(self) -> None:
        """It is on its way."""

    def release(self) -> None:
        self.done = True


class Careful:
    """Stands between a shard's queue and its owner; costs one call for each batch that is no suspect."""

    def __init__(self, owner: Owner, shard: int, queue: str, means: Means, marks: Marks) -> None:
        self._owner = owner
        self._shard = shard
        self._queue = queue
        self._means = means
        self._marks = marks
        self._codec = Codec()
        self._line: deque[Batch] | None = None
        """What waits behind a suspect; None while there is none."""

    def deliver(self, batch: Batch) -> None:
        """Hand a batch on, or let it wait for its turn to run alone."""
        if self._line is None:
            if batch.redelivered < SUSPECT:
                self._owner.deliver(batch)
                return
            self._line = deque()
            self._owner.adopt(asyncio.get_running_loop().create_task(self._work(self._line), name=f"suspects of shard {self._shard}"))
        self._line.append(batch)

    def lost(self) -> None:
        """The queue is somebody else's; what is being marked ends by itself."""
        self._owner.lost()

    async def _work(self, line: deque[Batch]) -> None:
        while line and not self._owner.over:
            batch = line.popleft()
            if batch.redelivered < SUSPECT:
                self._owner.deliver(batch)
            elif await self._idle():
                await self._alone(batch)
        self._line = None

    async def _until(self, condition: Callable[[], bool]) -> bool:
        """Wait for it; False if the owner is one no more."""
        while not self._owner.over:
            if condition():
                return True
            await asyncio.sleep(LOOK)
        return False

    async def _idle(self) -> bool:
        """Wait until nothing of the owner's is under way; False if it is one no more."""
        return await self._until(lambda: self._owner.idle)

    async def _alone(self, batch: Batch) -> None:
        convicted: list[bytes] = []
        self._means.log.warning("shard.suspect", shard=self._shard, redelivered=batch.redelivered, messages=len(batch.messages))
        for message in batch.messages:
            body = self._codec.encode([message])
            digest = hashlib.blake2b(body, digest_size=16).digest()
            fresh = await self._mark(digest)
            if self._owner.over:
                return
            part = Part(message, batch.redelivered)
            if fresh:
                self._owner.deliver(part)
            else:
                convicted.append(digest)
                if not await self._bury(body):
                    return
                self._owner.refuse(part)
            if not await self._idle():
                return
            if fresh:
                await self._clear([digest])
        if not self._owner.over:
            batch.ack()
            await self._clear(convicted)

    async def _mark(self, digest: bytes) -> bool:
        """Mark it, however long the database is away: unmarked it could kill the process again and again."""
        while not self._owner.over:
            try:
                return await self._marks.put(self._shard, digest)
            except StorageUnavailable:
                await asyncio.sleep(RETRY)
        return True

    async def _clear(self, digests: Sequence[bytes]) -> None:
        try:
            await self._marks.clear(self._shard, digests)
        except StorageUnavailable:
            return  # they are of no harm: nothing with the same origin comes again

    async def _bury(self, body: bytes) -> bool:
        """Put it aside, and wait until that is certain; False if the owner is one no more."""
        self._means.log.warning("shard.poison", shard=self._shard, queue=DEAD)
        letter = DeadLetter(queue=self._queue, at=self._means.wall(), reason="a process died of it", batch=body)
        while not self._owner.over:
            try:
                await self._means.bus.declare(DEAD)
                break
            except BusError:
                await asyncio.sleep(RETRY)
        confirmed = _Confirmed()
        self._means.bus.publish(DEAD, letter, confirmed)
        return await self._until(lambda: confirmed.done)
