"""One AMQP channel: questions to the broker and their answers, and what comes by itself handed on."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol, TypeVar

from pamqp import commands
from pamqp.base import Frame

from aldis.core.bus.amqp.wire import Content, Sink, method
from aldis.core.bus.port import BusAway, BusError

F = TypeVar("F", bound=Frame)

ANSWER_SECONDS = 10.0
"""For the broker to answer a question; after that the channel is no good."""

NOT_FOUND = 404
LOCKED = 405
PRECONDITION_FAILED = 406


class Refused(BusError):
    """The broker has closed the channel (AMQP 0-9-1 §1.2)."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Lines(Protocol):
    """The connection that the channel is on."""

    def send(self, data: bytes) -> None: ...

    def abort(self, why: str) -> None: ...

    def freed(self, number: int) -> None: ...


def _no_content(_: Content) -> None:
    """Nobody asked for it."""


def _no_confirm(tag: int, multiple: bool, good: bool) -> None:
    """Nobody waits for it."""


def _not_closed(_: Exception) -> None:
    """Nobody minds."""


class Channel(Sink):
    """A channel; what comes goes to its three callbacks."""

    def __init__(self, connection: Lines, number: int) -> None:
        self._connection = connection
        self.number = number
        self.closed: Exception | None = None
        self._pending: deque[asyncio.Future[Frame]] = deque()
        self._leaving = False
        self._left = False
        """Is it closed but for the broker's word, until which its number is taken?"""
        self.content: Callable[[Content], None] = _no_content
        self.confirm: Callable[[int, bool, bool], None] = _no_confirm
        self.over: Callable[[Exception], None] = _not_closed
        """The broker closed the channel, cancelled its consumer, or is away."""

    def send(self, data: bytes) -> None:
        """Send frames of this channel."""
        if self.closed is None:
            self._connection.send(data)

    def tell(self, command: Frame) -> None:
        """Send a method that has no answer."""
        self.send(method(self.number, command))

    async def ask(self, command: Frame, answer: type[F]) -> F:
        """Send a method and wait for its answer; raises `Refused` or `BusAway`."""
        if self.closed is not None:
            raise self.closed
        pending: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._pending.append(pending)  # and there it stays until it is answered, also if nobody waits any more
        self._connection.send(method(self.number, command))
        try:
            reply = await asyncio.wait_for(pending, ANSWER_SECONDS)
        except TimeoutError:  # a queue without a majority, most likely: that is no reason to break off all the others
            error = BusAway(f"the broker did not answer {command.name} in {ANSWER_SECONDS:.0f} s")
            self.leave()
            raise error from None
        if not isinstance(reply, answer):
            self._connection.abort(f"the broker answered {command.name} with {reply.name}")
            raise BusAway(f"{command.name} was answered with {reply.name}")
        return reply

    def _answer(self, reply: Frame) -> None:
        """Answers come in the order of the questions."""
        if self._pending:
            pending = self._pending.popleft()
            if not pending.done():
                pending.set_result(reply)

    async def fetch(self, queue: str) -> Content | None:
        """Take one message from a queue, to be acknowledged; None if there is none."""
        reply = await self.ask(commands.Basic.Get(queue=queue), Frame)
        return None if isinstance(reply, commands.Basic.GetEmpty) else self.got

    async def confirmation(self) -> bool:
        """Wait for the broker's word on what is published next: whether it has it."""
        confirmed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def settle(tag: int, multiple: bool, good: bool) -> None:
            if not confirmed.done():
                confirmed.set_result(good)

        self.confirm = settle
        return await asyncio.wait_for(confirmed, ANSWER_SECONDS)

    async def close(self) -> None:
        """Close it; what was not acknowledged goes back to its queue."""
        if self.closed is not None:
            return
        self._leaving = True
        try:
            await self.ask(commands.Channel.Close(200, "", 0, 0), commands.Channel.CloseOk)
        except BusError:
            return
        self.closed = BusAway("the channel is closed")
        self._connection.freed(self.number)

    def leave(self) -> None:
        """Close it without waiting: nothing that comes on it is wanted any more."""
        self._leaving = self._left = True
        self.content = _no_content
        self.tell(commands.Channel.Close(200, "", 0, 0))
        self.closed = BusAway("the channel is closed")

    def on_method(self, command: Frame) -> None:
        match command:
            case commands.Channel.Close():
                self.tell(commands.Channel.CloseOk())
                self._connection.freed(self.number)
                self.end(Refused(command.reply_code or 0, command.reply_text))
            case commands.Basic.Cancel():
                self.over(Refused(NOT_FOUND, "the broker cancelled the consumer"))
            case commands.Channel.Flow():
                self.tell(commands.Channel.FlowOk(active=command.active))
            case commands.Channel.CloseOk() if self._left:
                self._connection.freed(self.number)
            case _:
                self._answer(command)

    def on_content(self, content: Content) -> None:
        if content.method is not None and isinstance(content.method, commands.Basic.GetOk):
            self.got = content
            self._answer(content.method)
            return
        self.content(content)

    got: Content
    """What the last `Basic.Get` brought."""

    def on_confirm(self, tag: int, multiple: bool, good: bool) -> None:
        self.confirm(tag, multiple, good)

    def end(self, why: Exception) -> None:
        """It is over, and not because we closed it."""
        if self.closed is not None:
            return
        self.closed = why
        for pending in self._pending:
            if not pending.done():
                pending.set_exception(why)
        if not self._leaving:
            self.over(why)
