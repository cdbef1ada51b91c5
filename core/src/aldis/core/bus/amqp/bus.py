"""The bus over RabbitMQ: its parts on two connections, and the loop that connects again when one breaks."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from random import uniform
from typing import Final

from pamqp import commands

from aldis.core.bus.amqp.address import Address, CannotConnect, parse
from aldis.core.bus.amqp.burial import Burial
from aldis.core.bus.amqp.channel import LOCKED, NOT_FOUND, PRECONDITION_FAILED, Channel, Refused
from aldis.core.bus.amqp.connection import Connection, open_connection
from aldis.core.bus.amqp.consumer import AmqpSubscription
from aldis.core.bus.amqp.depth import DepthWatch
from aldis.core.bus.amqp.hooks import Hooks
from aldis.core.bus.amqp.numbers import Receiver
from aldis.core.bus.amqp.pace import Pacer
from aldis.core.bus.amqp.publisher import Publisher
from aldis.core.bus.amqp.requests import AmqpResponder, Handler, Requester, Speaker, declare
from aldis.core.bus.amqp.topics import Topics
from aldis.core.bus.amqp.topology import PACE, kind_of
from aldis.core.bus.codec import Codec
from aldis.core.bus.names import DEAD, reply_queue
from aldis.core.bus.port import BusAway, BusClosed, BusError, Consumer, Consumption, NoSuchQueue, QueueState, Receipt, Subscription
from aldis.core.contracts.base import Message
from aldis.core.contracts.bus import Pace

REPEATS_FOR: Final = 10.0
"""Seconds; a producer that lost its connection sends again what was perhaps taken, and the next owner can't know its numbers."""
FIRST_WAIT: Final = 0.05
LONGEST_WAIT: Final = 2.0
"""Seconds between two attempts to connect, at first and at most."""
CLOSE_SECONDS: Final = 10.0
"""For what is unconfirmed when the bus is closed."""


class AmqpBus:
    """One service's bus."""

    def __init__(self, address: Address, prefix: str, incarnation: str, hooks: Hooks) -> None:
        self._address = address
        self._prefix = prefix
        self._incarnation = incarnation
        self._hooks = hooks
        self._loop = asyncio.get_running_loop()
        self._codec = Codec()
        self._number = 0
        self._up = False
        self._closing = False
        self._out: Connection | None = None
        self._in: Connection | None = None
        self._control: Channel | None = None
        self._eye: Channel | None = None
        self._looking = asyncio.Lock()
        self._declaring = asyncio.Lock()
        self._declared: set[str] = {DEAD}
        """Queues that are not exclusive; they are declared again on each connection."""
        self._burial = Burial(self.publish, hooks)
        self._receivers: dict[str, Receiver] = {}
        self._subscriptions: set[AmqpSubscription] = set()
        self._responders: list[AmqpResponder] = []
        self._speaker = Speaker(self._codec)
        self._requester = Requester(incarnation, prefix, self._codec, self._speaker)
        self._topics = Topics(prefix, self._codec, self._speaker)
        self._publisher = Publisher(incarnation, prefix, self._codec, hooks)
        self._pacer = Pacer(lambda pace: self._topics.broadcast(PACE, pace))
        self._connected: list[Callable[[bool], None]] = []
        self._broken = asyncio.Event()
        self._held: set[str] = set()
        """Queues that edges were told to hold because there was no connection."""
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Connect for the first time; raises `CannotConnect`."""
        await self._topics.listen(PACE, self._paced)
        await self._connect()
        watch = DepthWatch(self._publisher, self.look)
        self._tasks = [self._loop.create_task(self._supervise()), self._loop.create_task(watch.run())]

    # --- the connection

    @property
    def incarnation(self) -> str:
        """Unique to this run."""
        return self._incarnation

    @property
    def repeats_for(self) -> float:
        """A producer's second attempt may come to another owner."""
        return REPEATS_FOR

    @property
    def connection(self) -> int:
        """Counts the connections that there were."""
        return self._number

    @property
    def up(self) -> bool:
        """Are both connections there, and everything on them?"""
        return self._up

    @property
    def blocked(self) -> str:
        """The broker's alarm."""
        return self._out.blocked if self._out is not None else ""

    async def _connect(self) -> None:
        """Open both connections and put everything on them; raises `BusError`."""
        self._number += 1
        number = self._number
        out = await open_connection(self._address, f"{self._incarnation} publishes")
        try:
            into = await open_connection(self._address, f"{self._incarnation} consumes")
        except BaseException:
            await out.close()
            raise
        self._broken.clear()
        out.on_lost = into.on_lost = self._lost
        out.on_blocked = self._blocked
        self._out, self._in = out, into
        try:
            await self._put_on(out, into, number)
        except BaseException as error:
            self._lost(str(error))
            raise
        if self._broken.is_set():
            raise BusAway(out.lost or into.lost or "the connection broke")
        self._up = True
        self._requester.again()
        self._topics.again()

    async def _put_on(self, out: Connection, into: Connection, number: int) -> None:
        """The whole topology, before anything is said on it."""
        self._control = await into.channel()
        for queue in sorted(self._declared):
            await declare(self._control, self._prefix + queue, kind_of(queue, self._prefix, exclusive=False))
        await self._speaker.attach(out, self._requester.returned)
        await self._requester.attach(into, number)
        await self._topics.attach(into, f"{reply_queue(self._incarnation, number)}-t")
        for responder in self._responders:
            await responder.attach(into)
        await self._publisher.attach(out)

    def _lost(self, why: str) -> None:
        """One of the two is gone: the other goes too, so that there is only one state to be in."""
        out, into = self._out, self._in
        if out is None or into is None:
            return
        self._out = self._in = self._control = self._eye = None
        was_up, self._up = self._up, False
        self._publisher.detach()
        self._speaker.detach()
        self._topics.detach()
        into.abort(why)
        out.abort(why)
        self._broken.set()
        if was_up and not self._closing:
            self._hooks.log.warning("bus.lost", error=why)
            self._tell(up=False)

    async def _supervise(self) -> None:
        """Connect again whenever the connection is lost."""
        while True:
            await self._broken.wait()
            await self._reconnect()
            self._hooks.log.info("bus.connected", connection=self._number, broker=str(self._address))
            self._tell(up=True)
            self._relieve()

    async def _reconnect(self) -> None:
        wait, said = FIRST_WAIT, ""
        while True:
            await asyncio.sleep(wait * uniform(0.5, 1.0))  # noqa: S311  spreads processes, no secret
            wait = min(LONGEST_WAIT, 2 * wait)
            try:
                await self._connect()
                return
            except BusError as error:
                if str(error) != said:
                    said = str(error)
                    self._hooks.log.warning("bus.no-connection", error=said)

    def _tell(self, *, up: bool) -> None:
        for callback in self._connected:
            callback(up)

    def on_connection(self, callback: Callable[[bool], None]) -> None:
        """Call back when the connection is lost and when there is a new one."""
        self._connected.append(callback)

    def _blocked(self, why: str) -> None:
        if why:
            self._hooks.log.warning("bus.blocked", error=why)
        else:
            self._hooks.log.info("bus.unblocked")
            self._relieve()

    # --- publishing

    def publish(self, queue: str, message: Message, receipt: Receipt | None = None) -> None:
        """Put it with what else goes to the queue."""
        self._publisher.publish(queue, message, receipt)

    @property
    def unconfirmed(self) -> int:
        """Messages that are not known to have arrived."""
        return self._publisher.unconfirmed

    def on_gone(self, callback: Callable[[str], None]) -> None:
        """Call back with a queue that does not exist."""
        self._publisher.gone.append(callback)

    def congested(self, queue: str) -> bool:
        """Is so much on its way there that an edge should stop taking more? Without a connection everything is."""
        if not self._up or self.blocked:
            self._held.add(queue)
            return True
        lane = self._publisher.lane(queue)
        return lane is not None and (lane.stressed or lane.deep)

    def on_relief(self, callback: Callable[[str], None]) -> None:
        """Call back with a queue's name when it takes more again."""
        self._publisher.relief.append(callback)

    def _relieve(self) -> None:
        held, self._held = self._held, set()
        for queue in sorted(held):
            if not self.congested(queue):
                self._publisher.relieved(queue)

    def _paced(self, message: Message) -> None:
        if isinstance(message, Pace):
            self._publisher.pace(message)

    def came(self, queue: str, producer: str) -> None:
        """A batch came: the pacer counts it."""
        self._pacer.came(queue)

    # --- queues

    async def declare(self, queue: str, *, exclusive: bool = False) -> None:
        """Make the queue as the topology describes it."""
        async with self._declaring:
            control = await self._open(self._control)
            self._control = control
            try:
                await declare(control, self._prefix + queue, kind_of(queue, self._prefix, exclusive=exclusive))
            except Refused as error:
                if error.code == PRECONDITION_FAILED:
                    name = self._prefix + queue
                    what = f"the queue {name} exists with other arguments; empty it, then rabbitmqctl delete_queue {name}"
                    raise BusError(what) from None
                raise
        if not exclusive:
            self._declared.add(queue)

    async def look(self, queue: str) -> QueueState | None:
        """Ask the broker; of another connection's exclusive queue only that it is there can be known."""
        async with self._looking:
            eye = await self._open(self._eye)
            self._eye = eye
            try:
                found = await eye.ask(commands.Queue.Declare(queue=self._prefix + queue, passive=True), commands.Queue.DeclareOk)
            except Refused as error:
                if error.code == NOT_FOUND:
                    return None
                if error.code == LOCKED:
                    return QueueState(0, 1)
                raise
            return QueueState(found.message_count or 0, found.consumer_count or 0)

    async def _open(self, channel: Channel | None) -> Channel:
        """This channel, or another one if the broker has closed it."""
        if self._in is None or not self._up:
            raise BusAway("there is no connection to the broker just now")
        return channel if channel is not None and channel.closed is None else await self._in.channel()

    async def consume(self, queue: str, consumer: Consumer) -> Consumption:
        """Consume it on a channel of its own."""
        channel = await self._open(None)
        receiver = self._receivers.setdefault(queue, Receiver())
        subscription = AmqpSubscription(
            queue, channel, consumer, receiver, self._codec, self._hooks, self, self._burial, self._subscriptions.discard
        )
        self._subscriptions.add(subscription)
        try:
            await subscription.start(self._prefix + queue)
        except Refused as error:
            if error.code == NOT_FOUND:
                raise NoSuchQueue(queue) from None
            raise
        return subscription

    # --- requests and topics

    async def request(self, queue: str, message: Message, *, deadline: float) -> Message:
        """Ask whoever responds; without a connection the question waits for one."""
        if self._closing:
            raise BusClosed(queue)
        return await self._requester.request(queue, message, deadline)

    async def respond(self, queue: str, handler: Handler, *, concurrency: int = 64) -> Subscription:
        """Answer, shared with the other responders of the queue."""
        if self._in is None or not self._up:
            raise BusAway("there is no connection to the broker just now")
        responder = AmqpResponder(queue, self._prefix + queue, handler, concurrency, self._codec, self._speaker, self._responders.remove)
        await responder.attach(self._in)
        self._responders.append(responder)
        return responder

    def broadcast(self, topic: str, message: Message) -> None:
        """Tell everybody who listens."""
        self._topics.broadcast(topic, message)

    async def listen(self, topic: str, handler: Callable[[Message], None]) -> Subscription:
        """Hear the topic."""
        return await self._topics.listen(topic, handler)

    # --- the end

    async def close(self) -> None:
        """Wait for what is unconfirmed, a bounded time, and leave."""
        if self._closing:
            return
        self._closing = True
        with suppress(TimeoutError):
            await asyncio.wait_for(self._publisher.emptied(), CLOSE_SECONDS)
        self._pacer.stop()
        self._requester.close()
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        for connection in (self._in, self._out):
            if connection is not None:
                connection.on_lost = lambda _: None
        for subscription in list(self._subscriptions):
            subscription.forget()
        for connection in (self._in, self._out):
            if connection is not None:
                await connection.close()
        self._up = False


async def connect(url: str, *, prefix: str, incarnation: str, hooks: Hooks) -> AmqpBus:
    """A bus for one service, connected; raises `CannotConnect`.

    Queues and exchanges are named under `prefix`; `incarnation` is unique to this run of the service.
    """
    try:
        address = parse(url)
    except ValueError as error:
        raise CannotConnect(f"bus.url: {error}", wrong=True) from None
    bus = AmqpBus(address, prefix, incarnation, hooks)
    await bus.start()
    return bus
