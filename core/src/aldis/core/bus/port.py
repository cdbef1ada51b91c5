"""The bus as services see it: queues of batches, typed requests, announcements.

What is published to one queue by one bus connection arrives in the order it was published, at least once; what a
consumer has not acknowledged comes again, in order, to the next consumer. Two adapters pass the same contract suite.

A bus outlives its connection to the broker: when that breaks, the adapter connects again by itself and counts
connections from 1. What becomes of what:

* `incarnation` stays, so origins and session ids go on.
* What was published without a confirmation is kept, bounded, and sent again in its order.
* Queues that are not exclusive are there again before `on_connection` says so; responders and listeners go on.
* Subscriptions are over: their consumers get `lost`, and whoever owned them consumes again when it may.
* Exclusive queues are gone with what was in them. A broker may take a while to notice that a connection is dead, and
  the name is taken until then; so each connection's exclusive queues have fresh names: `names.gateway_queue` and
  `names.reply_queue` take `incarnation` and `connection`. Who declared one declares its successor when `on_connection`
  calls, and tells those who send to it.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
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
    """The bus was closed while the call was waiting."""


class BusAway(BusError):
    """There is no connection to the broker just now."""


@dataclass(frozen=True, slots=True)
class QueueState:
    """A queue as the broker sees it just now."""

    messages: int
    """Batches that wait for a consumer; what is with one is not counted."""
    consumers: int
    """Who consumes it or stands in line."""


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


class Consumption(Subscription, Protocol):
    """A queue's running consumer."""

    def abandon(self) -> None:
        """Give the queue up at once, as a crash does: nothing more is delivered, acknowledgements are ignored.

        What was not acknowledged goes to the next consumer, in order. The consumer's `lost` is not called; a `cancel` that
        waits returns. Over already, it does nothing.
        """


class Bus(Protocol):
    """One connection of one service to the bus."""

    @property
    def incarnation(self) -> str:
        """Unique to this connection's process run; origins begin with it."""

    @property
    def repeats_for(self) -> float:
        """Seconds for which something already acknowledged may come again; receivers remember keys that long."""

    @property
    def connection(self) -> int:
        """How many connections to the broker there were, with the present one: part of an exclusive queue's name."""

    @property
    def up(self) -> bool:
        """Is there a connection just now?"""

    @property
    def blocked(self) -> str:
        """Why the broker takes nothing just now although it is there (memory, disk); empty if it does."""

    def publish(self, queue: str, message: Message, receipt: Receipt | None = None) -> None:
        """Send in order, batched with what else goes there; never waits.

        To a queue that is gone it is dropped and counted, and `on_gone` tells; the receipt is released all the same.
        """

    async def declare(self, queue: str, *, exclusive: bool = False) -> None:
        """Make the queue if it is not there; an exclusive one dies with this connection.

        Raises `BusAway` while there is no connection.
        """

    async def consume(self, queue: str, consumer: Consumer) -> Consumption:
        """Become the queue's one consumer, or wait in line to be.

        Raises `NoSuchQueue`, and `BusAway` while there is no connection.
        """

    async def look(self, queue: str) -> QueueState | None:
        """What is in the queue and who consumes it; None if there is no such queue.

        Raises `BusAway` while there is no connection: then nothing is known.
        """

    def on_gone(self, callback: Callable[[str], None]) -> None:
        """Call back with the name of a queue that something was published to and that does not exist."""

    def on_connection(self, callback: Callable[[bool], None]) -> None:
        """Call back with False when the connection is lost, after each consumer's `lost`, and with True when there is a new one.

        It is not called for the first connection: a bus is given to its service connected.
        """

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
