"""The memory bus keeps every adapter's promises; tests/integration/bus runs the same tests on a broker."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from aldis.core.bus import Bus
from aldis.core.bus.faults import Faults
from aldis.core.bus.memory import MemoryBroker, MemoryBus
from tests.support.bus_suite import *  # noqa: F403  the tests themselves
from tests.support.bus_suite_connections import *  # noqa: F403


class MemoryWorld:
    """A broker in memory."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._opened: list[MemoryBus] = []

    async def connect(self, incarnation: str) -> Bus:
        self._opened.append(self._broker.connect(incarnation))
        return self._opened[-1]

    @asynccontextmanager
    async def broken(self, bus: Bus) -> AsyncIterator[None]:
        assert isinstance(bus, MemoryBus)
        bus.cut()
        yield
        bus.rejoin()

    async def close(self) -> None:
        for bus in self._opened:
            await bus.close()


def memory() -> MemoryBroker:
    return MemoryBroker()


def memory_through_bytes() -> MemoryBroker:
    """The fault mode with no faults: everything goes through the codec."""
    return MemoryBroker(Faults(1, repeat=0, delay=0, die=0, move=0))


@pytest.fixture(params=[memory, memory_through_bytes])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[MemoryWorld]:
    world = MemoryWorld(request.param())
    yield world
    await world.close()
