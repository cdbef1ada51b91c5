"""Subscriptions: batches handed over as they come, acknowledged cumulatively and in order, repeats and gaps refused."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from msgspec import MsgspecError
from pamqp import commands

from aldis.core.bus.amqp.burial import Burial
from aldis.core.bus.amqp.channel import Channel
from aldis.core.bus.amqp.content import Content
from aldis.core.bus.amqp.hooks import Hooks
from aldis.core.bus.amqp.numbers import Receiver, Verdict
from aldis.core.bus.codec import Codec
from aldis.core.bus.port import PREFETCH, Consumer
from aldis.core.contracts.base import Message

DELIVERIES: Final = "x-delivery-count"
"""How often a quorum queue has delivered a message before."""


class AmqpBatch:
    """A batch with its consumer."""

    __slots__ = ("_subscription", "aside", "body", "done", "messages", "number", "producer", "redelivered", "tag")

    def __init__(self, subscription: "AmqpSubscription", tag: int, producer: str, number: int, redelivered: int, body: bytes) -> None:
        self._subscription = subscription
        self.tag = tag
        self.producer = producer
        self.number = number
        self.redelivered = redelivered
        self.body = body
        self.messages: Sequence[Message] = ()
        self.aside = False
        self.done = False

    def ack(self) -> None:
        """Acknowledge it, together with what else is due in this turn of the loop; ignored if the subscription is over."""
        self._subscription.acknowledge(self)


class Pulse(Protocol):
    """Who counts the batches that come, to tell producers how much time to leave between them."""

    def came(self, queue: str, producer: str) -> None: ...


class AmqpSubscription:
    """A consumer of one queue, on a channel of its own."""

    def __init__(
        self,
        queue: str,
        channel: Channel,
        consumer: Consumer,
        receiver: Receiver,
        codec: Codec,
        hooks: Hooks,
        pulse: Pulse,
        burial: Burial,
        forget: Callable[["AmqpSubscription"], None],
    ) -> None:
        self.queue = queue
        self._channel = channel
        self._consumer = consumer
        self._receiver = receiver
        self._codec = codec
        self._hooks = hooks
        self._pulse = pulse
        self._burial = burial
        self._forget = forget
        self._loop = asyncio.get_running_loop()
        self._unacked: deque[AmqpBatch] = deque()
        self._due = 0
        """The tag up to which an acknowledgement is to be sent; 0 when none is."""
        self._leaving: asyncio.Future[None] | None = None
        self.over = False
        channel.content = self._came
        channel.over = self._broken

    async def start(self, name: str) -> None:
        """Begin to consume."""
        self._receiver.begin()
        await self._channel.ask(commands.Basic.Qos(prefetch_count=PREFETCH), commands.Basic.QosOk)
        await self._channel.consume(name)

    # --- in

    def _came(self, content: Content) -> None:
        if self.over or self._leaving is not None:
            return  # not taken: it goes back when the channel closes
        producer, _, number = content.properties.message_id.rpartition("/")
        batch = AmqpBatch(self, content.tag, producer, int(number or 0), deliveries(content), content.body)
        self._pulse.came(self.queue, producer)
        self._unacked.append(batch)
        if producer and self._receiver.take(producer, batch.number) is not Verdict.NEXT:
            self._hooks.refused(1)
            batch.done = True
            self._settle()
            return
        name = content.properties.message_id
        if self._burial.condemned(name):
            self._put_aside(batch, "its consumer fails again and again")
            return
        try:
            batch.messages = self._codec.decode(content.body)
        except MsgspecError as error:
            self._put_aside(batch, f"can't be read: {error}")
            return
        try:
            self._consumer.deliver(batch)
        except Exception as error:  # noqa: BLE001  a consumer's defect must not stop what else is on the bus
            self._loop.call_exception_handler({"message": f"the consumer of {self.queue} failed", "exception": error})
            self._burial.failed(name)
            self._lose()

    def _put_aside(self, batch: AmqpBatch, reason: str) -> None:
        """Have it kept elsewhere, then acknowledge it."""
        batch.aside = True
        self._burial.bury(self.queue, batch.body, reason, lambda: self._done(batch))

    def acknowledge(self, batch: AmqpBatch) -> None:
        """Everything that the batch caused is done; it must be the oldest that is not."""
        if self.over or batch.done:
            return
        oldest = next(each for each in self._unacked if not each.done and not each.aside)
        if oldest is not batch:
            msg = f"{self.queue}: a batch was acknowledged before an older one"
            raise RuntimeError(msg)
        self._done(batch)

    def _done(self, batch: AmqpBatch) -> None:
        if self.over:
            return
        batch.done = True
        self._receiver.acknowledge(batch.producer, batch.number)
        self._settle()

    def _settle(self) -> None:
        """Note up to where everything is done, and say so once in this turn of the loop."""
        unacked = self._unacked
        before = self._due
        while unacked and unacked[0].done:
            self._due = unacked.popleft().tag
        if self._due and not before:
            self._loop.call_soon(self._flush)
        if self._leaving is not None and not unacked and not self._leaving.done():
            self._leaving.set_result(None)

    def _flush(self) -> None:
        if self._due and not self.over:
            self._channel.ack(self._due, multiple=True)
        self._due = 0

    # --- the end

    async def cancel(self) -> None:
        """Take no more, wait until what was taken is acknowledged, and leave.

        The consumer is not cancelled first: the broker would give the queue to the next one at once, although batches
        are unacknowledged here. What came meanwhile goes back to the queue, in its order, with the channel.
        """
        if self.over:
            return
        if self._leaving is None:
            self._leaving = self._loop.create_future()
            if not self._unacked:
                self._leaving.set_result(None)
        await asyncio.shield(self._leaving)
        if self.over:
            return
        self._flush()
        self.over = True
        self._forget(self)
        await self._channel.close()

    def abandon(self) -> None:
        """Give the queue up at once; nothing that was taken is acknowledged any more."""
        if not self.over:
            self._end()

    def forget(self) -> None:
        """The bus is closed: nobody is told of what happens to the queue any more, and nothing more is acknowledged."""
        self._flush()
        self.over = True

    def _broken(self, why: Exception) -> None:
        """The broker closed the channel, cancelled the consumer, or is away."""
        if not self.over:
            self._hooks.log.warning("bus.consumer-lost", queue=self.queue, error=str(why))
            self._lose()

    def _lose(self) -> None:
        """End at once; what was not acknowledged goes to somebody else."""
        self._end()
        self._consumer.lost()

    def _end(self) -> None:
        self.over = True
        self._forget(self)
        self._unacked.clear()
        if self._leaving is not None and not self._leaving.done():
            self._leaving.set_result(None)
        if self._channel.closed is None:
            self._channel.leave()


def deliveries(content: Content) -> int:
    """How often it was delivered before; classic queues tell only whether it was."""
    headers = content.properties.headers
    count = headers.get(DELIVERIES) if headers else None
    if isinstance(count, int):
        return count
    return 1 if content.redelivered else 0
