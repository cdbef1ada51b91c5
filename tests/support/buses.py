"""The services' connections to a RabbitMQ, for a server that else is one process."""

from typing import Final

import aio_pika

from aldis.core.bus.amqp.address import parse
from aldis.core.bus.amqp.bus import AmqpBus
from aldis.core.bus.amqp.hooks import Hooks
from aldis.core.bus.names import DEAD, DIRECTORY, incarnation, router_queue
from aldis.core.bus.port import Bus
from aldis.core.service.logging import Logger


class RabbitBuses:
    """Connections under a prefix of their own, and nothing left on the broker when they are closed."""

    name: Final = "bus"

    def __init__(self, url: str, prefix: str, shards: int, log: Logger) -> None:
        self._url = url
        self._prefix = prefix
        self._shards = shards
        self._hooks = Hooks(log)
        self._connections: list[AmqpBus] = []

    def connect(self, letter: str) -> Bus:
        bus = AmqpBus(parse(self._url), self._prefix, incarnation(letter), self._hooks)
        self._connections.append(bus)
        return bus

    async def start(self) -> None:
        for bus in self._connections:
            await bus.start()

    async def stop(self) -> None:
        for bus in reversed(self._connections):
            await bus.close()
        async with await aio_pika.connect(self._url) as connection:
            channel = await connection.channel()
            for queue in (DEAD, DIRECTORY, *map(router_queue, range(self._shards))):
                await channel.queue_delete(self._prefix + queue)
