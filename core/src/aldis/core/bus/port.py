"""The bus as services see it: queues of batches, typed requests, announcements.

What is published to one queue by one bus connection arrives in the order it was published, at least once; what a
consumer has not acknowledged comes again, in order, to the next consumer. Two adapters pass the same contract suite.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from aldis.core.contracts.base import Message

PREFETCH = 8
"""Batches that may come again to a shard's next owner: no more are with a consumer unacknowledged where one can be lost."""


class BusError(Exception):
    """Base of what the bus raises."""


class RequestTimeout(BusError):
    """Nobody answered within the deadline."""


class NoSuchQueue(BusError):
    """The destination is gone, or never was."""


class BusClosed(BusError):
    """The connection was closed while the call was waiting."""


class Batch(Protocol):
    """Some messages that arrived together; acknowledged as one."""

    @property
    def messages(self) -> Sequence[Message]: ...

    @property
    def redelivered(self) -> int:
        """How often it was delivered before."""

    def ack(self) -> None:
        """Everything that it caused is done. Batches of one subscription are acknowledged in the order of delivery."""


class Consumer(Protocol):
    """Who takes a queue's batches. Both calls are synchronous: the bus never waits for a handler."""

    def deliver(self, batch: Batch) -> None:
        """Take one batch; a later one may come before this one is acknowledged, up to the prefetch."""

    def lost(self) -> None:
        """The subscription is over without being cancelled; what was not acknowledged goes to somebody else."""


class Receipt(Protocol):
    """What a publisher waits on: held once for each publish that is not yet confirmed."""

    def hold(self) -> None: ...

    def release(self) -> None: ...


class Subscription(Protocol):
    """A running consumer."""

    async def cancel(self) -> None:
        """Stop deliveries; what is not acknowledged by then goes to the next consumer."""


class Bus(Protocol):
    """One connection of one service to the bus."""

    @property
    def incarnation(self) -> str:
        """Unique to this connection's process run; origins begin with it."""

    @property
    def repeats_for(self) -> float:
        """Seconds for which something already acknowledged may come again; receivers remember keys that long."""

    def publish(self, queue: str, message: Message, receipt: Receipt | None = None) -> None:
        """Send in order, batched with what else goes there; never waits.

        To a queue that is gone it is dropped and counted.
        """

    async def declare(self, queue: str, *, exclusive: bool = False) -> None:
        """Make the queue if it is not there; an exclusive one dies with this connection."""

    async def consume(self, queue: str, consumer: Consumer) -> Subscription:
        """Become the queue's one consumer, or wait in line to be."""

    async def request(self, queue: str, message: Message, *, deadline: float) -> Message:
        """Ask and wait for the answer, `deadline` seconds at most.

        Raises `RequestTimeout`, `NoSuchQueue`, `BusClosed`.
        """

    async def respond(self, queue: str, handler: Callable[[Message], Awaitable[Message]], *, concurrency: int = 64) -> Subscription:
        """Answer requests, shared with every other responder of the queue, at most `concurrency` at a time.

        A repeated request gets the first answer again and is not handled twice.
        """

    def broadcast(self, topic: str, message: Message) -> None:
        """Tell everybody who listens now."""

    async def listen(self, topic: str, handler: Callable[[Message], None]) -> Subscription:
        """Hear what is broadcast on the topic from now on."""

    def congested(self, queue: str) -> bool:
        """Is so much under way to this queue that an edge should stop taking more for it?"""

    def on_relief(self, callback: Callable[[str], None]) -> None:
        """Call back with the queue's name when it is congested no longer."""

    async def close(self) -> None:
        """Flush, wait for confirmations, leave."""
