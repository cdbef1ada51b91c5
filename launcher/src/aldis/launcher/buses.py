"""The services' connections to the bus of one process, as a part."""

from typing import Final, Protocol

from aldis.core.bus.memory import MemoryBroker, MemoryBus
from aldis.core.bus.names import incarnation
from aldis.core.bus.port import Bus
from aldis.core.service.process import Part


class Connections(Part, Protocol):
    """The services' connections as a part: there before the services start, closed when all have stopped."""

    def connect(self, letter: str) -> Bus:
        """One more connection, for the service that this letter stands for."""


class Buses:
    """Connections to a bus in memory."""

    name: Final = "bus"

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker = broker
        self._connections: list[MemoryBus] = []

    def connect(self, letter: str) -> MemoryBus:
        """One more connection, for the service that this letter stands for."""
        bus = self.broker.connect(incarnation(letter))
        self._connections.append(bus)
        return bus

    async def start(self) -> None:
        """A bus in memory is there as soon as it is made."""

    async def stop(self) -> None:
        for bus in reversed(self._connections):
            await bus.close()
