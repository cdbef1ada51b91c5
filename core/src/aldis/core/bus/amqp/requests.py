"""Typed requests over AMQP: a name for each, an expiry, a transient queue for answers, and answers kept for repeats."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from pamqp import commands

from aldis.core.bus.amqp.channel import Channel
from aldis.core.bus.amqp.connection import Connection
from aldis.core.bus.amqp.content import Content, Properties
from aldis.core.bus.amqp.topology import EXCLUSIVE, REQUESTS, Kind
from aldis.core.bus.codec import Codec
from aldis.core.bus.port import BusClosed, BusError, NoSuchQueue, RequestTimeout
from aldis.core.contracts.base import Message

REMEMBERED_ANSWERS: Final = 4_096
MOST_WAITING: Final = 10_000
"""Requests of one process without an answer; more are refused at once, as by a directory that does not answer."""

Handler = Callable[[Message], Awaitable[Message]]


async def declare(channel: Channel, name: str, kind: Kind) -> None:
    """Make a queue of this kind."""
    await channel.ask(
        commands.Queue.Declare(
            queue=name, durable=kind.durable, exclusive=kind.exclusive, auto_delete=kind.auto_delete, arguments=kind.arguments
        ),
        commands.Queue.DeclareOk,
    )


class Speaker:
    """What sends single messages without confirmation: requests, answers, announcements."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self.channel: Channel | None = None

    async def attach(self, connection: Connection, returned: Callable[[Content], None]) -> None:
        """Use this connection from now on."""
        channel = await connection.channel()
        channel.content = returned
        self.channel = channel

    def detach(self) -> None:
        """The connection is gone."""
        self.channel = None

    def say(self, message: Message, properties: Properties, *, exchange: str = "", key: str = "", mandatory: bool = True) -> bool:
        """Send it; False if there is no connection."""
        if self.channel is None:
            return False
        self.channel.publish(key, properties, self._codec.encode([message]), exchange=exchange, mandatory=mandatory)
        return True


class _Waiting:
    """A request without an answer."""

    __slots__ = ("answer", "message", "queue", "until")

    def __init__(self, queue: str, message: Message, until: float, answer: asyncio.Future[Message]) -> None:
        self.queue = queue
        self.message = message
        self.until = until
        self.answer = answer


class Requester:
    """Asks, and takes the answers."""

    def __init__(self, incarnation: str, prefix: str, codec: Codec, speaker: Speaker) -> None:
        self._incarnation = incarnation
        self._prefix = prefix
        self._codec = codec
        self._speaker = speaker
        self._loop = asyncio.get_running_loop()
        self._count = 0
        self._waiting: dict[str, _Waiting] = {}
        self._reply_to = ""

    async def attach(self, connection: Connection, number: int) -> None:
        """Hear answers on this connection, and ask again what is not answered: the old queue's answers are lost."""
        channel = await connection.channel()
        name = f"{self._prefix}aldis.reply.{self._incarnation}-{number}-r"
        await declare(channel, name, EXCLUSIVE)
        channel.content = self._answered
        await channel.consume(name, no_ack=True)
        self._reply_to = name

    def again(self) -> None:
        """Ask again what is not answered: its answers went to a queue that is gone."""
        for name, waiting in self._waiting.items():
            self._ask(name, waiting)

    async def request(self, queue: str, message: Message, deadline: float) -> Message:
        """Ask and wait."""
        if len(self._waiting) >= MOST_WAITING:
            raise RequestTimeout(queue)
        self._count += 1
        name = f"{self._incarnation}/{self._count}"
        waiting = _Waiting(queue, message, self._loop.time() + deadline, self._loop.create_future())
        self._waiting[name] = waiting
        try:
            self._ask(name, waiting)
            async with asyncio.timeout(deadline):
                return await waiting.answer
        except TimeoutError:
            raise RequestTimeout(queue) from None
        finally:
            del self._waiting[name]

    def _ask(self, name: str, waiting: _Waiting) -> None:
        left = max(1, int(1000 * (waiting.until - self._loop.time())))
        properties = Properties(correlation_id=name, reply_to=self._reply_to, expiration=str(left))
        self._speaker.say(waiting.message, properties, key=self._prefix + waiting.queue)

    def _answered(self, answer: Content) -> None:
        waiting = self._waiting.get(answer.properties.correlation_id)
        if waiting is not None and not waiting.answer.done():
            waiting.answer.set_result(self._codec.decode(answer.body)[0])

    def returned(self, request: Content) -> None:
        """Nobody answers requests to that queue."""
        waiting = self._waiting.get(request.properties.correlation_id)
        if waiting is not None and request.properties.reply_to and not waiting.answer.done():
            waiting.answer.set_exception(NoSuchQueue(waiting.queue))

    def close(self) -> None:
        """Whoever still waits is told."""
        for waiting in self._waiting.values():
            if not waiting.answer.done():
                waiting.answer.set_exception(BusClosed(waiting.queue))


class AmqpResponder:
    """Answers one queue's requests; as a subscription it can be cancelled."""

    def __init__(
        self,
        queue: str,
        name: str,
        handler: Handler,
        concurrency: int,
        codec: Codec,
        speaker: Speaker,
        forget: Callable[["AmqpResponder"], None],
    ) -> None:
        self.queue = queue
        self._name = name
        self._handler = handler
        self._concurrency = concurrency
        self._places = asyncio.Semaphore(concurrency)
        self._codec = codec
        self._speaker = speaker
        self._forget = forget
        self._loop = asyncio.get_running_loop()
        self._channel: Channel | None = None
        self._answers: OrderedDict[str, asyncio.Task[Message | None]] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    async def attach(self, connection: Connection) -> None:
        """Take requests on this connection: no more at a time than may be handled, the rest waits for other responders too."""
        channel = await connection.channel()
        await declare(channel, self._name, REQUESTS)
        channel.content = self._came
        self._channel = channel
        await channel.ask(commands.Basic.Qos(prefetch_count=self._concurrency), commands.Basic.QosOk)
        await channel.consume(self._name)

    def _came(self, request: Content) -> None:
        task = self._loop.create_task(self._serve(request, self._channel))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, request: Content, channel: Channel | None) -> None:
        properties = request.properties
        answer = await asyncio.shield(self._answer(properties.correlation_id, request.body))
        if channel is not None:
            channel.ack(request.tag)
        if answer is not None:
            self._speaker.say(answer, Properties(correlation_id=properties.correlation_id), key=properties.reply_to)

    def _answer(self, name: str, body: bytes) -> asyncio.Task[Message | None]:
        """The answer to this request: the one under way or given before, if it is a repeat."""
        known = self._answers.get(name)
        if known is None:
            known = self._answers[name] = self._loop.create_task(self._handle(body))
            if len(self._answers) > REMEMBERED_ANSWERS:
                self._answers.popitem(last=False)
        return known

    async def _handle(self, body: bytes) -> Message | None:
        try:
            async with self._places:
                return await self._handler(self._codec.decode(body)[0])
        except Exception as error:  # noqa: BLE001  a handler's defect is the asker's timeout, and nobody else's
            self._loop.call_exception_handler({"message": f"a request to {self.queue} failed", "exception": error})
            return None

    async def cancel(self) -> None:
        """Take no more requests and answer those under way."""
        self._forget(self)
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.content = _not_taken
        if self._tasks:
            await asyncio.wait(self._tasks)
        if channel is not None:
            with suppress(BusError):
                await channel.close()


def _not_taken(_: Content) -> None:
    """Somebody else's, when the channel is closed."""
