"""The bus within one process: batches by loop turn, handed over as they are, without a copy."""

import asyncio
from collections.abc import Callable
from functools import partial

from aldis.core.bus.batching import Lane, split
from aldis.core.bus.codec import Codec
from aldis.core.bus.faults import Faults
from aldis.core.bus.memory_ears import Ear, Handler, Listener, Responder
from aldis.core.bus.memory_queue import MemoryQueue, MemorySubscription
from aldis.core.bus.port import BusAway, BusClosed, Consumer, Consumption, NoSuchQueue, QueueState, Receipt, RequestTimeout, Subscription
from aldis.core.contracts.base import Message

FAULTY_REPEATS = 5.0
"""Seconds; far more than the fault mode delays a batch."""


def _ignore(_: int) -> None:
    """Count nothing."""


class MemoryBroker:
    """What the connections of one process share."""

    def __init__(self, faults: Faults | None = None) -> None:
        self.faults = faults
        self.queues: dict[str, MemoryQueue] = {}
        self.responders: dict[str, list[Responder]] = {}
        self.topics: dict[str, list[Listener]] = {}
        self.buses: list[MemoryBus] = []
        self.dropped: Callable[[int], None] = _ignore
        """Told how many messages went to a queue that is gone."""
        self.sent: Callable[[int], None] = _ignore
        """Told the size of each batch, in messages."""

    def connect(self, incarnation: str) -> "MemoryBus":
        """A connection; `incarnation` is unique to this run of its service."""
        bus = MemoryBus(self, incarnation)
        self.buses.append(bus)
        return bus

    def relieved(self, queue: str) -> None:
        """Tell every edge that the queue takes more again."""
        for bus in self.buses:
            for callback in bus.relief:
                callback(queue)


class MemoryBus:
    """One service's connection."""

    def __init__(self, broker: MemoryBroker, incarnation: str) -> None:
        self.broker = broker
        self._incarnation = incarnation
        self._lanes: dict[str, Lane] = {}
        self._dirty: list[Lane] = []
        self._codec = Codec() if broker.faults is not None else None
        self._requests = 0
        self._closed = False
        self._own: list[str] = []
        self._connection = 1
        self._up = asyncio.Event()
        self._up.set()
        self._gone: list[Callable[[str], None]] = []
        self._connected: list[Callable[[bool], None]] = []
        self.ears: list[Ear] = []
        """What hears again when the connection is back."""
        self.relief: list[Callable[[str], None]] = []
        self.survivors: int | None = None
        """In a fault: how many more publishes get out before this connection's process is dead."""

    @property
    def incarnation(self) -> str:
        """Unique to this run."""
        return self._incarnation

    @property
    def repeats_for(self) -> float:
        """Nothing comes again in one process, unless the fault mode makes it."""
        return 0.0 if self.broker.faults is None else FAULTY_REPEATS

    @property
    def connection(self) -> int:
        """Counts what `rejoin` made."""
        return self._connection

    @property
    def up(self) -> bool:
        """Always, but between `cut` and `rejoin`."""
        return self._up.is_set()

    @property
    def blocked(self) -> str:
        """Memory takes whatever there is."""
        return ""

    def publish(self, queue: str, message: Message, receipt: Receipt | None = None) -> None:
        """Put it with what else goes to the queue in this loop turn."""
        if self.survivors is not None:
            if self.survivors == 0:
                if receipt is not None:
                    receipt.hold()  # what does not get out is never confirmed
                return
            self.survivors -= 1
        lane = self._lanes.get(queue)
        if lane is None:
            lane = self._lanes[queue] = Lane(queue)
        if not lane.messages:
            if not self._dirty:
                asyncio.get_running_loop().call_soon(self._flush)
            self._dirty.append(lane)
        lane.messages.append(message)
        if receipt is not None:
            receipts = lane.receipts
            if not receipts or receipts[-1] is not receipt:  # one hold is enough for all that goes at once
                receipt.hold()
                receipts.append(receipt)

    def _flush(self) -> None:
        if not self._up.is_set():
            return  # kept for when the connection is back
        dirty, self._dirty = self._dirty, []
        for lane in dirty:
            messages, receipts = lane.take()
            target = self.broker.queues.get(lane.queue)
            if target is None:
                self.broker.dropped(len(messages))
                del self._lanes[lane.queue]
                for callback in self._gone:
                    callback(lane.queue)
            else:
                split(messages, partial(self._send, target))
            for receipt in receipts:
                receipt.release()

    def _send(self, target: MemoryQueue, messages: list[Message], weight: int) -> None:
        broker = self.broker
        broker.sent(len(messages))
        if broker.faults is None:
            target.push(messages, weight)
            return
        copies = 2 if broker.faults.repeats() else 1
        for _ in range(copies):
            target.push(self._copy(messages), weight)

    def _copy(self, messages: list[Message]) -> list[Message]:
        """What arrives when it has been bytes in between."""
        codec = self._codec
        return messages if codec is None else codec.decode(codec.encode(messages))

    async def declare(self, queue: str, *, exclusive: bool = False) -> None:
        """Make the queue if it is not there."""
        self._must_be_up(queue)
        if queue not in self.broker.queues:
            self.broker.queues[queue] = MemoryQueue(self.broker.faults, self.broker.relieved, queue, exclusive=exclusive)
            if exclusive:
                self._own.append(queue)

    async def consume(self, queue: str, consumer: Consumer) -> Consumption:
        """Stand in the queue's line; the first in it gets the batches."""
        self._must_be_up(queue)
        target = self._queue(queue)
        subscription = MemorySubscription(self, target, consumer)
        target.line.append(subscription)
        asyncio.get_running_loop().call_soon(target.pump)
        return subscription

    async def look(self, queue: str) -> QueueState | None:
        """Count what waits and who consumes."""
        self._must_be_up(queue)
        target = self.broker.queues.get(queue)
        return None if target is None else QueueState(len(target.ready), len(target.line))

    def on_gone(self, callback: Callable[[str], None]) -> None:
        """Call back with a queue that something was published to and that does not exist."""
        self._gone.append(callback)

    def on_connection(self, callback: Callable[[bool], None]) -> None:
        """Call back when `cut` and `rejoin` have done their work."""
        self._connected.append(callback)

    async def request(self, queue: str, message: Message, *, deadline: float) -> Message:
        """Ask the queue's responders in turn."""
        if not self._up.is_set():
            started = asyncio.get_running_loop().time()
            try:
                await asyncio.wait_for(self._up.wait(), deadline)
            except TimeoutError:
                raise RequestTimeout(queue) from None
            deadline -= asyncio.get_running_loop().time() - started
        responders = self.broker.responders.get(queue)
        if self._closed:
            raise BusClosed(queue)
        if not responders:
            raise NoSuchQueue(queue)
        responders.append(responders.pop(0))
        self._requests += 1
        name = f"{self._incarnation}/{self._requests}"
        faults = self.broker.faults
        try:
            async with asyncio.timeout(deadline):
                if faults is None:
                    return await asyncio.shield(responders[0].answer(name, message))
                await asyncio.sleep(faults.pause())
                answer = await asyncio.shield(responders[0].answer(name, self._copy([message])[0]))
                if faults.repeats():
                    answer = await asyncio.shield(responders[0].answer(name, self._copy([message])[0]))
                await asyncio.sleep(faults.pause())
                return self._copy([answer])[0]
        except TimeoutError:
            raise RequestTimeout(queue) from None

    async def respond(self, queue: str, handler: Handler, *, concurrency: int = 64) -> Subscription:
        """Answer the queue's requests, in turn with the other responders."""
        responder = Responder(self, self.broker.responders, queue, handler, concurrency)
        self.ears.append(responder)
        responder.attach()
        return responder

    def broadcast(self, topic: str, message: Message) -> None:
        """Tell everybody who listens, in the next loop turn."""
        for listener in self.broker.topics.get(topic, ()):
            asyncio.get_running_loop().call_soon(listener.handler, message)

    async def listen(self, topic: str, handler: Callable[[Message], None]) -> Subscription:
        """Hear the topic."""
        listener = Listener(self, self.broker.topics, topic, handler)
        self.ears.append(listener)
        listener.attach()
        return listener

    def congested(self, queue: str) -> bool:
        """Is so much in the queue that an edge should stop taking more for it?"""
        target = self.broker.queues.get(queue)
        return target is not None and target.stressed

    def on_relief(self, callback: Callable[[str], None]) -> None:
        """Call back with a queue's name when it takes more again."""
        self.relief.append(callback)

    def _queue(self, name: str) -> MemoryQueue:
        target = self.broker.queues.get(name)
        if target is None:
            raise NoSuchQueue(name)
        return target

    def _must_be_up(self, what: str) -> None:
        if not self._up.is_set():
            raise BusAway(what)

    def cut(self) -> None:
        """For tests: lose the connection, as a broker that dies or a cable that breaks does."""
        self._up.clear()
        for ear in self.ears:
            ear.detach()
        self._drop_own()
        for queue in self.broker.queues.values():
            for subscription in [one for one in queue.line if one.bus is self]:
                subscription.lose()
        for callback in self._connected:
            callback(False)

    def rejoin(self) -> None:
        """For tests: connect again after `cut`; what was published meanwhile goes out before anybody is told."""
        self._connection += 1
        self._up.set()
        for ear in self.ears:
            ear.attach()
        self._flush()
        for callback in self._connected:
            callback(True)

    def _drop_own(self) -> None:
        """Exclusive queues go, with what is in them and whoever consumes them."""
        for name in self._own:
            queue = self.broker.queues.pop(name, None)
            for subscription in [] if queue is None else list(queue.line):
                subscription.lose()
        self._own.clear()

    async def close(self) -> None:
        """Flush and leave; exclusive queues go, and with them what is in them."""
        if self._closed:
            return
        if self._dirty:
            self._flush()
        self._closed = True
        for name in self._own:
            self.broker.queues.pop(name, None)
        self.broker.buses.remove(self)
