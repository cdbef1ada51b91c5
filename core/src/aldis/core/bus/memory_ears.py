"""What listens on the memory bus beside consumers: responders to requests, and ears on a topic."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Protocol

from aldis.core.contracts.base import Message

REMEMBERED_ANSWERS = 4_096

Handler = Callable[[Message], Awaitable[Message]]


class Ear(Protocol):
    """What hears again when a connection is back."""

    def attach(self) -> None: ...

    def detach(self) -> None: ...


class Connection(Protocol):
    """Whose ears they are."""

    ears: list[Ear]

    @property
    def repeats_for(self) -> float: ...


class Responder:
    """Answers one queue's requests for one connection; as a subscription it can be cancelled."""

    __slots__ = ("_answers", "_bus", "_handler", "_places", "_responders", "_tasks", "queue")

    def __init__(self, bus: Connection, responders: dict[str, list["Responder"]], queue: str, handler: Handler, concurrency: int) -> None:
        self._bus = bus
        self._responders = responders
        self.queue = queue
        self._handler = handler
        self._places = asyncio.Semaphore(concurrency)
        self._answers: OrderedDict[str, asyncio.Task[Message]] = OrderedDict()
        self._tasks: set[asyncio.Task[Message]] = set()

    def answer(self, request: str, message: Message) -> asyncio.Task[Message]:
        """The answer to this request: the one under way or given before, if it is a repeat."""
        known = self._answers.get(request)
        if known is not None:
            return known
        task = asyncio.get_running_loop().create_task(self._handle(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if not self._bus.repeats_for:
            return task
        self._answers[request] = task
        if len(self._answers) > REMEMBERED_ANSWERS:
            self._answers.popitem(last=False)
        return task

    async def _handle(self, message: Message) -> Message:
        async with self._places:
            return await self._handler(message)

    def attach(self) -> None:
        """Take requests."""
        self._responders.setdefault(self.queue, []).append(self)

    def detach(self) -> None:
        """Take no more."""
        responders = self._responders.get(self.queue, [])
        if self in responders:
            responders.remove(self)

    async def cancel(self) -> None:
        """Take no more requests and wait for those under way."""
        self.detach()
        self._bus.ears.remove(self)
        if self._tasks:
            await asyncio.wait(self._tasks)


class Listener:
    """One ear on a topic."""

    __slots__ = ("_bus", "_topics", "handler", "topic")

    def __init__(self, bus: Connection, topics: dict[str, list["Listener"]], topic: str, handler: Callable[[Message], None]) -> None:
        self._bus = bus
        self._topics = topics
        self.topic = topic
        self.handler = handler

    def attach(self) -> None:
        """Hear."""
        self._topics.setdefault(self.topic, []).append(self)

    def detach(self) -> None:
        """Hear no more."""
        listeners = self._topics.get(self.topic, [])
        if self in listeners:
            listeners.remove(self)

    async def cancel(self) -> None:
        """Hear no more, for good."""
        self.detach()
        self._bus.ears.remove(self)
