"""What the tests of the bus over RabbitMQ share: buses on a broker, each through a link that can be cut."""

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from aldis.core.bus import Bus
from aldis.core.bus.amqp.bus import AmqpBus, connect
from aldis.core.bus.amqp.hooks import Hooks
from tests.kill.link import Link, State
from tests.support.rabbit import Rabbit


class Heard:
    """A log that a test listens to."""

    def __init__(self) -> None:
        self.heard: Callable[[str], None] = lambda _: None

    def info(self, event: str, **keys: Any) -> None:
        self.heard(event)

    def warning(self, event: str, **keys: Any) -> None:
        self.heard(event)


class AmqpWorld:
    """A broker, and buses on it under a prefix of their own."""

    def __init__(self, rabbit: Rabbit, stack: AsyncExitStack) -> None:
        self.rabbit = rabbit
        self.prefix = f"t{secrets.token_hex(4)}."
        self._stack = stack
        self._runs = itertools.count()
        self.links: dict[Bus, Link] = {}
        self.log = Heard()
        self.hooks = Hooks(self.log)

    async def connect(self, incarnation: str) -> AmqpBus:
        link = await self._stack.enter_async_context(Link(self.rabbit.port).serving())
        url = self.rabbit.url.replace(str(self.rabbit.port), str(link.port))
        bus = await connect(url, prefix=self.prefix, incarnation=f"{incarnation}{next(self._runs)}", hooks=self.hooks)
        self.links[bus] = link
        self._stack.push_async_callback(bus.close)
        return bus

    @asynccontextmanager
    async def broken(self, bus: Bus) -> AsyncIterator[None]:
        """Cut the link; at the end let it through again and wait until the bus has noticed."""
        back = asyncio.Event()
        bus.on_connection(lambda up: back.set() if up else None)
        self.links[bus].set(State.CUT)
        yield
        self.links[bus].set(State.OPEN)
        async with asyncio.timeout(10):
            await back.wait()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the first test here also wait for the broker."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(180))


@pytest.fixture
async def world(rabbit: Rabbit) -> AsyncIterator[AmqpWorld]:
    async with AsyncExitStack() as stack:
        yield AmqpWorld(rabbit, stack)
