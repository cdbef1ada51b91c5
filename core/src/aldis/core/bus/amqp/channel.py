"""One AMQP channel of aiormq: questions to the broker and their answers, and what comes by itself handed on in its order.

aiormq starts a task for each message that comes and keeps a future for each that is published. Batches are few and have
to stay in order, so their frames are taken here as they come; all else is left to aiormq (docs/adr/0015).
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

from aiormq import exceptions
from aiormq.abc import ChannelFrame, DeliveredMessage
from aiormq.channel import Channel as AiormqChannel
from aiormq.connection import Connection as AiormqConnection
from pamqp import commands, frame
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader
from yarl import URL

from aldis.core.bus.amqp.content import Content, Properties, framed, read
from aldis.core.bus.port import BusAway, BusError

F = TypeVar("F", bound=Frame)

ANSWER_SECONDS: Final = 10.0
"""For the broker to answer a question; after that the channel is no good."""

MOST_METHODS: Final = 2_000
REFUSED: Final = 403
NOT_FOUND: Final = 404
LOCKED: Final = 405
PRECONDITION_FAILED: Final = 406
_CODES: Final = {
    exceptions.ChannelAccessRefused: REFUSED,
    exceptions.ChannelNotFoundEntity: NOT_FOUND,
    exceptions.ChannelLockedResource: LOCKED,
    exceptions.ChannelPreconditionFailed: PRECONDITION_FAILED,
}


class Refused(BusError):
    """The broker has closed the channel (AMQP 0-9-1 §1.2)."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def _no_content(_: Content) -> None:
    """Nobody asked for it."""


def _no_confirm(tag: int, multiple: bool, good: bool) -> None:
    """Nobody waits for it."""


def _not_kept(_: "Channel") -> None:
    """Nobody keeps it."""


def _not_closed(_: Exception) -> None:
    """Nobody minds."""


class Line(AiormqConnection):
    """aiormq's connection, where nothing is waited for to be written, and what is said in one turn of the loop goes out together."""

    largest_frame = 0

    def __init__(self, url: URL, **options: Any) -> None:
        super().__init__(url, **options)
        self.write_queue = asyncio.Queue()  # bounded by who publishes: lanes, and requests that wait
        self._said: list[bytes] = []

    def say(self, frames: bytes) -> None:
        """Send frames."""
        if not self._said:
            self.loop.call_soon(self.flush)
        self._said.append(frames)

    def flush(self) -> None:
        """Send now what was said, before a question that aiormq sends by itself."""
        if self._said:
            self.write_queue.put_nowait(ChannelFrame(payload=b"".join(self._said), should_close=False))
            self._said.clear()


class Channel:
    """A channel; what comes goes to its three callbacks, called as it is read."""

    def __init__(self, line: Line, number: int) -> None:
        self._line = line
        self._raw = _Raw(line, number, self._takes)
        self._methods: dict[tuple[str, str, bool], bytes] = {}
        """The method frames of publishes, which are the same for all that goes to one destination."""
        self.closed: Exception | None = None
        self._leaving = False
        self._method: Frame | None = None
        self._header = ContentHeader()
        self._missing = 0
        self._parts: list[bytes] = []
        self.content: Callable[[Content], None] = _no_content
        self.confirm: Callable[[int, bool, bool], None] = _no_confirm
        self.over: Callable[[Exception], None] = _not_closed
        """The broker closed the channel, cancelled its consumer, or is away."""
        self.gone: Callable[[Channel], None] = _not_kept
        line.channels[number] = self._raw
        self._raw.closing.add_done_callback(self._ended)
        self._raw.on_consumer_cancel_callbacks.add(self._cancelled)

    async def open(self) -> None:
        """Open it; raises `BusAway`."""
        async with _answered("Channel.Open"):
            await self._raw.open(timeout=ANSWER_SECONDS)

    # --- out

    def tell(self, command: Frame) -> None:
        """Send what has no answer, at the end of this turn of the loop."""
        if self.closed is None:
            self._line.say(frame.marshal(command, self._raw.number))

    def publish(self, key: str, properties: Properties, body: bytes, *, exchange: str = "", mandatory: bool = True) -> None:
        """Send a message, at the end of this turn of the loop."""
        if self.closed is not None:
            return
        where = exchange, key, mandatory
        method = self._methods.get(where)
        if method is None:
            if len(self._methods) >= MOST_METHODS:
                self._methods.clear()
            command = commands.Basic.Publish(exchange=exchange, routing_key=key, mandatory=mandatory)
            method = self._methods[where] = frame.marshal(command, self._raw.number)
        self._line.say(framed(self._raw.number, method, properties, body, self._line.largest_frame))

    def ack(self, tag: int, *, multiple: bool = False) -> None:
        """Acknowledge a message, or all up to it."""
        self.tell(commands.Basic.Ack(delivery_tag=tag, multiple=multiple))

    async def ask(self, command: Frame, answer: type[F]) -> F:
        """Send a method and wait for its answer; raises `Refused` or `BusAway`."""
        if self.closed is not None:
            raise self.closed
        self._line.flush()
        async with _answered(command.name):
            reply = await self._raw.rpc(command, timeout=ANSWER_SECONDS)
        if not isinstance(reply, answer):
            raise BusAway(f"{command.name} was answered with {getattr(reply, 'name', reply)}")
        return reply

    async def consume(self, queue: str, *, no_ack: bool = False) -> None:
        """Have what is in the queue delivered; raises as `ask`."""
        async with _answered("Basic.Consume"):
            await self._raw.basic_consume(queue, _unused, no_ack=no_ack, timeout=ANSWER_SECONDS)

    async def fetch(self, queue: str) -> Content | None:
        """Take one message from a queue, to be acknowledged; None if there is none."""
        async with _answered("Basic.Get"):
            found = await self._raw.basic_get(queue, timeout=ANSWER_SECONDS)
        method = found.delivery
        if not isinstance(method, commands.Basic.GetOk):
            return None
        return Content(method.delivery_tag or 0, bool(method.redelivered), read(found.header), found.body)

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
        if self.closed is None:
            self._leaving = True
            self._line.flush()
            async with _answered("Channel.Close"):
                await self._raw.close(None, timeout=ANSWER_SECONDS)

    def leave(self) -> None:
        """Close it without waiting: nothing that comes on it is wanted any more."""
        self._leaving = True
        self.content = _no_content
        self.tell(commands.Channel.Close(200, "", 0, 0))
        self.closed = BusAway("the channel is closed")

    # --- in

    def _takes(self, came: object) -> bool:
        """Take a frame, if it is part of a message or of a confirmation."""
        kind = type(came)
        if kind is ContentHeader or kind is ContentBody:
            return self._method is not None and self._goes_on(came)
        if kind is commands.Basic.Deliver or kind is commands.Basic.Return:
            self._method = came  # type: ignore[assignment]
            return True
        if kind is commands.Basic.Ack or kind is commands.Basic.Nack:
            self.confirm(came.delivery_tag, came.multiple, kind is commands.Basic.Ack)  # type: ignore[attr-defined]
            return True
        return False

    def _goes_on(self, came: Any) -> bool:
        if type(came) is ContentHeader:
            self._header = came
            self._missing = came.body_size or 0
            self._parts = []
        else:
            self._parts.append(came.value)
            self._missing -= len(came.value)
        if self._missing <= 0:
            method, self._method = self._method, None
            tag, redelivered = (
                (method.delivery_tag or 0, bool(method.redelivered)) if isinstance(method, commands.Basic.Deliver) else (0, False)
            )
            self.content(Content(tag, redelivered, read(self._header), b"".join(self._parts)))
        return True

    def _cancelled(self, _: Frame) -> None:
        self.over(Refused(NOT_FOUND, "the broker cancelled the consumer"))

    def _ended(self, closing: "asyncio.Future[Any]") -> None:
        """It is over; was it we who closed it?"""
        error = None if closing.cancelled() else closing.exception()
        self.gone(self)
        self.end(refusal(error) or BusAway("the channel is closed"))

    def end(self, why: Exception) -> None:
        """It is over; who uses it is told unless he closed it."""
        if self.closed is None:
            self.closed = why
            if not self._leaving:
                self.over(why)


class _Raw(AiormqChannel):
    """aiormq's channel, but for what is taken as it comes."""

    def __init__(self, line: Line, number: int, takes: Callable[[object], bool]) -> None:
        super().__init__(line, number, publisher_confirms=False)
        self.frames = _Intake(takes)


class _Intake(asyncio.Queue[Any]):
    """Where the connection's reader puts a channel's frames."""

    def __init__(self, takes: Callable[[object], bool]) -> None:
        super().__init__()
        self._takes = takes

    async def put(self, item: Any) -> None:
        """Have it taken at once, or leave it to aiormq."""
        if not self._takes(item[1]):
            self.put_nowait(item)


class _answered:  # noqa: N801  reads like a function
    """What may become of a question."""

    def __init__(self, question: str) -> None:
        self._question = question

    async def __aenter__(self) -> None:
        """Nothing has happened yet."""

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Say it in the bus's words."""
        if isinstance(error, TimeoutError):
            raise BusAway(f"the broker did not answer {self._question} in {ANSWER_SECONDS:.0f} s") from None
        if isinstance(error, exceptions.AMQPError | RuntimeError | OSError):
            raise (refusal(error) or BusAway(str(error) or type(error).__name__)) from None


def refusal(error: BaseException | None) -> BusError | None:
    """What the broker said when it closed a channel; None if it said nothing."""
    if error is None or isinstance(error, asyncio.CancelledError):
        return None
    for kind, code in _CODES.items():
        if isinstance(error, kind):
            return Refused(code, str(error.args[0]) if error.args else "")
    if isinstance(error, exceptions.ChannelClosed) and len(error.args) == 2 and error.args[0]:
        return Refused(error.args[0], error.args[1] or "")
    return BusAway(str(error) or type(error).__name__)


async def _unused(_: DeliveredMessage) -> None:
    """Messages are taken before aiormq sees them."""
