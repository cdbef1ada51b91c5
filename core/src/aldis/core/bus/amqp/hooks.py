"""What the adapter tells the process that it runs in: figures as callbacks, events as a log."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


class Log(Protocol):
    """The logger's part that is used here."""

    def info(self, event: str, **keys: Any) -> Any:
        """Something happened."""

    def warning(self, event: str, **keys: Any) -> Any:
        """Something is not as it should be."""


class NoLog:
    """For tools that have none."""

    def info(self, event: str, **keys: Any) -> None:
        """Say nothing."""

    def warning(self, event: str, **keys: Any) -> None:
        """Say nothing."""


def _ignore(_: int) -> None:
    """Count nothing."""


@dataclass(slots=True)
class Hooks:
    """Callbacks for the process's metrics, and its log."""

    log: Log
    sent: Callable[[int], None] = _ignore
    """The size of each batch, in messages."""
    dropped: Callable[[int], None] = _ignore
    """How many messages went to a queue that is gone."""
    dead: Callable[[int], None] = _ignore
    """How many messages were dead-lettered."""
    refused: Callable[[int], None] = _ignore
    """How many messages came again that had been taken, or out of order."""
