"""Announcements: a fan-out exchange for each topic, and one queue of this process's own for what it listens to."""

from collections import deque
from collections.abc import Callable
from typing import Final

from pamqp import commands

from aldis.core.bus.amqp.channel import Channel
from aldis.core.bus.amqp.connection import Connection
from aldis.core.bus.amqp.content import Content, Properties
from aldis.core.bus.amqp.requests import Speaker, declare
from aldis.core.bus.amqp.topology import EXCLUSIVE
from aldis.core.bus.codec import Codec
from aldis.core.contracts.base import Message

MOST_KEPT: Final = 1_000
"""Announcements that wait for a connection; older ones are dropped, since what they say can be asked for."""

Ear = Callable[[Message], None]


def exchange(name: str) -> commands.Exchange.Declare:
    """The declaration of a topic."""
    return commands.Exchange.Declare(exchange=name, exchange_type="fanout", durable=True)


class AmqpListener:
    """One ear on a topic; as a subscription it can be cancelled."""

    def __init__(self, topics: "Topics", topic: str, handler: Ear) -> None:
        self._topics = topics
        self.topic = topic
        self.handler = handler

    async def cancel(self) -> None:
        """Hear no more."""
        await self._topics.remove(self)


class Topics:
    """What this process says to all and hears from all."""

    def __init__(self, prefix: str, codec: Codec, speaker: Speaker) -> None:
        self._prefix = prefix
        self._codec = codec
        self._speaker = speaker
        self._listeners: list[AmqpListener] = []
        self._bound: set[str] = set()
        self._known: set[str] = set()
        """Exchanges that are declared on the present connection."""
        self._kept: deque[tuple[str, Message]] = deque(maxlen=MOST_KEPT)
        self._channel: Channel | None = None
        self._queue = ""

    async def attach(self, connection: Connection, queue: str) -> None:
        """Hear on this connection, through a queue of this name."""
        channel = await connection.channel()
        name = self._prefix + queue
        await declare(channel, name, EXCLUSIVE)
        channel.content = self._heard
        await channel.consume(name, no_ack=True)
        self._channel, self._queue = channel, name
        self._known.clear()
        self._bound.clear()
        for topic in {listener.topic for listener in self._listeners}:
            await self._bind(channel, topic)

    def again(self) -> None:
        """Say what could not be said without a connection."""
        while self._kept:
            self.broadcast(*self._kept.popleft())

    def detach(self) -> None:
        """The connection is gone."""
        self._channel = None

    async def listen(self, topic: str, handler: Ear) -> AmqpListener:
        """Hear the topic."""
        listener = AmqpListener(self, topic, handler)
        self._listeners.append(listener)
        if self._channel is not None and topic not in self._bound:
            await self._bind(self._channel, topic)
        return listener

    async def _bind(self, channel: Channel, topic: str) -> None:
        await channel.ask(exchange(self._prefix + topic), commands.Exchange.DeclareOk)
        await channel.ask(commands.Queue.Bind(queue=self._queue, exchange=self._prefix + topic, routing_key=""), commands.Queue.BindOk)
        self._bound.add(topic)

    async def remove(self, listener: AmqpListener) -> None:
        """Take an ear away."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def broadcast(self, topic: str, message: Message) -> None:
        """Tell everybody who listens, or keep it until there is a connection."""
        channel = self._speaker.channel
        if channel is None:
            self._kept.append((topic, message))
            return
        name = self._prefix + topic
        if topic not in self._known:  # a publish to an exchange that is not there would close the channel
            declaration = exchange(name)
            declaration.nowait = True
            channel.tell(declaration)
            self._known.add(topic)
        self._speaker.say(message, Properties(message_id=topic), exchange=name, mandatory=False)

    def _heard(self, content: Content) -> None:
        topic = content.properties.message_id
        message = self._codec.decode(content.body)[0]
        for listener in [each for each in self._listeners if each.topic == topic]:
            listener.handler(message)
