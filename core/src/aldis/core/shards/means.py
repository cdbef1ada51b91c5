"""What the machinery needs from the process that it runs in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aldis.core.bus.port import Bus
from aldis.core.shards.sessions import USUAL, Most


class Log(Protocol):
    """The logger's part that is used here."""

    def info(self, event: str, **keys: Any) -> Any:
        """Something happened."""

    def warning(self, event: str, **keys: Any) -> Any:
        """Something is not as it should be."""


class Marks(Protocol):
    """What is remembered over the process's death of what it was doing (`poison`)."""

    async def put(self, shard: int, digest: bytes) -> bool:
        """Mark a message; False if it is marked already. Raises `StorageUnavailable`."""

    async def clear(self, shard: int, digests: Sequence[bytes]) -> None:
        """They are handled. Raises `StorageUnavailable`."""


@dataclass(frozen=True, slots=True)
class Means:
    """One process's bus, clock, drop counter and log."""

    bus: Bus
    shards: int
    """How many there are in all."""
    now: Callable[[], float]
    """Monotonic seconds."""
    wall: Callable[[], float]
    """Seconds since 1970, the same everywhere but for the clocks' differences."""
    drop: Callable[[str], None]
    """Counts what is not handled, by reason."""
    log: Log
    marks: Marks | None = None
    """None where a process that dies takes its queues along."""
    journal: bool = False
    """Nothing but the database outlives this process: there is no broker, and the gateways are in it."""
    most: Most = USUAL
    """What one session may hold."""
