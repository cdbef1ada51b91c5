"""Dead letters for operators: what lies in `aldis.dead`, put back into its queue or dropped."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import msgspec
from pamqp import commands

from aldis.core.bus.amqp.address import parse
from aldis.core.bus.amqp.channel import NOT_FOUND, Channel, Refused
from aldis.core.bus.amqp.connection import Connection, open_connection
from aldis.core.bus.amqp.content import Content, Properties
from aldis.core.bus.codec import Codec
from aldis.core.bus.names import DEAD
from aldis.core.bus.port import BusError, NoSuchQueue
from aldis.core.contracts.base import Message
from aldis.core.contracts.bus import DeadLetter
from aldis.core.contracts.envelope import Envelope, trace_of

MOST: Final = 1_000
"""Letters that are looked at: more than an operator reads."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One batch that was put aside; what users wrote is not in it."""

    id: str
    """Names it in commands: the same at each look."""
    queue: str
    """Where it goes when it is replayed; empty if nobody knows."""
    at: float
    """When, in seconds since 1970; 0 if the broker put it aside."""
    reason: str
    contents: tuple[str, ...]
    """A line for each message: what it is, from whom to whom, and its trace id."""


class _Found:
    """A letter with what it takes to put it back."""

    def __init__(self, letter: Letter, tag: int, body: bytes) -> None:
        self.letter = letter
        self.tag = tag
        self.body = body


class DeadLetters:
    """The queue, held while an operator looks at it; what was not replayed or dropped stays, in its order."""

    def __init__(self, connection: Connection, channel: Channel, prefix: str) -> None:
        self._connection = connection
        self._channel = channel
        self._prefix = prefix
        self._codec = Codec()
        self._found: dict[str, _Found] = {}

    async def look(self) -> Sequence[Letter]:
        """Every letter, the oldest first."""
        while len(self._found) < MOST:
            try:
                answer = await self._channel.fetch(self._prefix + DEAD)
            except Refused as error:
                if error.code != NOT_FOUND:
                    raise
                break
            if answer is None:
                break
            found = self._read(answer)
            self._found[found.letter.id] = found
        return [found.letter for found in self._found.values()]

    def _read(self, message: Content) -> _Found:
        queue, at, reason, body = "", 0.0, "", message.body
        try:
            messages = self._codec.decode(message.body)
        except msgspec.MsgspecError:
            messages = []
        if len(messages) == 1 and isinstance(messages[0], DeadLetter):
            letter = messages[0]
            queue, at, reason, body = letter.queue, letter.at, letter.reason, letter.batch
        else:  # the broker's own doing, at its limit of deliveries
            headers = message.properties.headers or {}
            queue = str(headers.get("x-first-death-queue", "")).removeprefix(self._prefix)
            reason = f"the broker: {headers.get('x-first-death-reason', 'unknown')}"
        name = hashlib.blake2b(repr((queue, at)).encode() + body, digest_size=6).hexdigest()
        return _Found(Letter(name, queue, at, reason, tuple(self._lines(body))), message.tag, body)

    def _lines(self, body: bytes) -> list[str]:
        try:
            return [_line(message) for message in self._codec.decode(body)]
        except msgspec.MsgspecError as error:
            return [f"{len(body)} bytes that can't be read: {error}"]

    async def replay(self, name: str) -> None:
        """Put a letter back into its queue; raises `KeyError`, `NoSuchQueue`, `BusError`."""
        found = self._found[name]
        queue = found.letter.queue
        if not queue:
            raise BusError("nobody knows where it came from; it can only be dropped")
        await self._publish(queue, found.body)
        self.drop(name)

    def drop(self, name: str) -> None:
        """Forget a letter for good; raises `KeyError`."""
        found = self._found.pop(name)
        self._channel.ack(found.tag)

    async def _publish(self, queue: str, body: bytes) -> None:
        channel = await self._connection.channel()
        await channel.ask(commands.Confirm.Select(), commands.Confirm.SelectOk)
        returned: list[Content] = []
        channel.content = returned.append
        confirmed = asyncio.ensure_future(channel.confirmation())
        await asyncio.sleep(0)
        channel.publish(self._prefix + queue, Properties(persistent=True), body)
        good = await confirmed
        await channel.close()
        if returned:
            raise NoSuchQueue(queue)
        if not good:
            raise BusError(f"the broker takes nothing for {queue} just now")


def _line(message: Message) -> str:
    kind = str(message.__struct_config__.tag)
    stanza = getattr(message, "stanza", None)
    if isinstance(stanza, Envelope):
        return f"{kind} from {stanza.sender} to {stanza.to or 'its own account'}, {len(stanza.children)} bytes, trace {trace_of(stanza)}"
    origin = getattr(message, "origin", None)
    return kind if origin is None else f"{kind} of session {origin.session}, number {origin.n}"


@asynccontextmanager
async def dead_letters(url: str, prefix: str) -> AsyncIterator[DeadLetters]:
    """Hold the queue; raises `CannotConnect`."""
    connection = await open_connection(parse(url), "operator")
    try:
        yield DeadLetters(connection, await connection.channel(), prefix)
    finally:
        await connection.close()
