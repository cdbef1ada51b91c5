"""The memory bus's queues: what waits, what is with the consumer, and who stands in line."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from aldis.core.bus.faults import Death, Faults
from aldis.core.bus.port import PREFETCH, Consumer
from aldis.core.contracts.base import Message

CONGESTED = 10_000
"""Messages in a queue at which edges stop taking more."""
RELIEVED = 5_000
CONGESTED_BYTES = 64 * 1024 * 1024
"""Bytes likewise."""
RELIEVED_BYTES = 32 * 1024 * 1024
MOST_UNACKED = 4_096
"""Batches with a consumer that can't be lost: acknowledgements go in order, and one handler that waits must not stop all others."""
MOST_FAILURES = 3
"""Times that a consumer may raise over one batch before the batch is dropped."""


class Connection(Protocol):
    """Whose process dies in a fault."""

    survivors: int | None


class MemoryBatch:
    """A batch in a queue, or with its consumer."""

    __slots__ = ("messages", "queue", "redelivered", "weight")

    def __init__(self, queue: "MemoryQueue", messages: Sequence[Message], weight: int, redelivered: int = 0) -> None:
        self.queue = queue
        self.messages = messages
        self.weight = weight
        self.redelivered = redelivered

    def ack(self) -> None:
        """Take the batch off the queue; ignored if the consumer has been declared lost since."""
        self.queue.acknowledge(self)


class MemoryQueue:
    """One queue: what waits, what is with the consumer, and who stands in line."""

    __slots__ = (
        "bytes",
        "depth",
        "exclusive",
        "faults",
        "line",
        "most_unacked",
        "name",
        "paused",
        "pumping",
        "ready",
        "relieved",
        "stressed",
        "unacked",
    )

    def __init__(self, faults: Faults | None, relieved: Callable[[str], None], name: str, *, exclusive: bool) -> None:
        self.faults = faults
        self.relieved = relieved
        self.name = name
        self.exclusive = exclusive
        self.ready: deque[MemoryBatch] = deque()
        self.unacked: deque[MemoryBatch] = deque()
        self.line: list[MemorySubscription] = []
        self.depth = 0
        self.bytes = 0
        self.most_unacked = MOST_UNACKED if faults is None else PREFETCH
        self.paused = False
        self.pumping = False
        self.stressed = False

    def push(self, messages: list[Message], weight: int) -> None:
        """Put a batch at the end and deliver what may be delivered."""
        self.depth += len(messages)
        self.bytes += weight
        self.ready.append(MemoryBatch(self, messages, weight))
        if self.depth > CONGESTED or self.bytes > CONGESTED_BYTES:
            self.stressed = True
        self.pump()

    def pump(self) -> None:
        """Deliver to the first in line until it holds its prefetch."""
        if self.pumping:
            return
        self.pumping = True
        try:
            while self.ready and self.line and not self.paused and len(self.unacked) < self.most_unacked and not self.line[0].leaving:
                self._deliver(self.line[0])
        finally:
            self.pumping = False

    def _deliver(self, subscription: "MemorySubscription") -> None:
        faults = self.faults
        if faults is not None:
            pause = faults.pause()
            if pause:
                self.paused = True
                asyncio.get_running_loop().call_later(pause, self._resume)
                return
        batch = self.ready.popleft()
        self.unacked.append(batch)
        try:
            if faults is None:
                subscription.consumer.deliver(batch)
            else:
                self._deliver_faultily(subscription, batch, faults)
        except Exception as error:  # noqa: BLE001  a consumer's defect must not stop what else is on the bus
            self._consumer_failed(subscription, batch, error)

    def _consumer_failed(self, subscription: "MemorySubscription", batch: MemoryBatch, error: Exception) -> None:
        """Take the consumer for lost; a batch that fails again and again is dropped."""
        message = f"the consumer of {self.name} failed"
        asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})
        if batch.redelivered + 1 >= MOST_FAILURES and self.unacked and self.unacked[-1] is batch:
            self.unacked.pop()
            self.depth -= len(batch.messages)
            self.bytes -= batch.weight
        subscription.lose()

    def _deliver_faultily(self, subscription: "MemorySubscription", batch: MemoryBatch, faults: Faults) -> None:
        death = None if self.exclusive else faults.death(batch.redelivered)
        bus = subscription.bus
        if death is Death.WITHIN:
            bus.survivors = faults.survivors()
        subscription.doomed = death is not None
        if death is not Death.BEFORE:
            subscription.consumer.deliver(batch)
        bus.survivors = None
        if death is not None:
            subscription.lose()
        elif not self.exclusive:
            faults.moves(self.name)

    def _resume(self) -> None:
        self.paused = False
        self.pump()

    def acknowledge(self, batch: MemoryBatch) -> None:
        """Drop the batch, which is the oldest that is unacknowledged."""
        if self.line and self.line[0].doomed:
            return
        if not self.unacked or self.unacked[0] is not batch:
            if batch in self.unacked:
                msg = f"{self.name}: a batch was acknowledged before an older one"
                raise RuntimeError(msg)
            return
        self.unacked.popleft()
        self.depth -= len(batch.messages)
        self.bytes -= batch.weight
        if self.stressed and self.depth < RELIEVED and self.bytes < RELIEVED_BYTES:
            self.stressed = False
            self.relieved(self.name)
        if self.line and self.line[0].leaving and not self.unacked:
            self.line[0].left.set()
        if self.ready:
            self.pump()

    def requeue(self) -> None:
        """Put what was not acknowledged back in front, in its order."""
        while self.unacked:
            batch = self.unacked.pop()
            self.ready.appendleft(MemoryBatch(self, batch.messages, batch.weight, batch.redelivered + 1))


class MemorySubscription:
    """A consumer in a queue's line."""

    __slots__ = ("bus", "consumer", "doomed", "leaving", "left", "queue")

    def __init__(self, bus: Connection, queue: MemoryQueue, consumer: Consumer) -> None:
        self.bus = bus
        self.queue = queue
        self.consumer = consumer
        self.leaving = False
        self.doomed = False
        self.left = asyncio.Event()

    async def cancel(self) -> None:
        """Stop deliveries, wait until what was delivered is acknowledged, and leave the line."""
        if self not in self.queue.line:
            return
        self.leaving = True
        if self.queue.line[0] is self and self.queue.unacked:
            await self.left.wait()
        self._leave()

    def lose(self) -> None:
        """End at once, as a crash does, and tell the consumer."""
        if self._drop():
            self.consumer.lost()

    def abandon(self) -> None:
        """End at once; what was not acknowledged is for the next in line."""
        self._drop()

    def _drop(self) -> bool:
        if self not in self.queue.line:
            return False
        first = self.queue.line[0] is self
        self.queue.line.remove(self)
        if first:
            self.queue.requeue()
        self.left.set()
        asyncio.get_running_loop().call_soon(self.queue.pump)
        return True

    def _leave(self) -> None:
        if self in self.queue.line:
            self.queue.line.remove(self)
            self.queue.pump()
