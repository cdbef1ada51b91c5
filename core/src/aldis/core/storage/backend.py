"""What the two kinds of databases have in common."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(slots=True)
class Figures:
    """What an operator may want to know of a database; plain numbers, counted up and read at a scrape."""

    waiting: int = 0
    """Who waits for a turn or a connection just now."""
    connects: int = 0
    """Connections that were made."""
    again: int = 0
    """Transactions that were done again: a deadlock, or a connection that was lost before its commit."""
    away: str = ""
    """Why the database can't be reached; empty while it can."""
    on_away: Callable[[str], None] | None = None
    """Told when `away` changes."""

    def set_away(self, reason: str) -> None:
        """Note that it can't be reached, or by an empty reason that it can."""
        changed = bool(reason) != bool(self.away)
        self.away = reason
        if changed and self.on_away is not None:
            self.on_away(reason)


class Backend(Protocol):
    """One kind of database."""

    def missing(self) -> bool:
        """Is there certainly nothing yet, so that opening it would make it?"""

    async def open(self) -> None:
        """Reach it, or raise `StorageUnavailable`."""

    async def close(self) -> None:
        """Let go of it."""

    def writing(self, limit: float) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction."""

    def reading(self, limit: float) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction that sees one state and writes nothing."""

    def migrating(self, schema: str) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction that makes tables for one service, under a lock that keeps other processes from doing so."""
