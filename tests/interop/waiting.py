"""Wait for what another process does, and say what it did instead."""

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

SECONDS = 20.0
"""Far more than anything here takes on a busy machine."""

Found = TypeVar("Found")


class Client(Protocol):
    """Somebody else's client, in a process of its own."""

    name: str
    version: str
    pid: int

    def start(self) -> None:
        """Start its process."""

    def transcript(self) -> str:
        """Give what it said and showed, for whoever has to find out why a test failed."""

    def close(self) -> None:
        """End its process."""


def eventually(look: Callable[[], Found | None], what: str, seconds: float = SECONDS) -> Found:
    """Look until there is something to see, and return it."""
    until = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < until, f"never came: {what}"
        time.sleep(0.02)
