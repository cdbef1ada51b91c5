"""The database: SQLite or PostgreSQL behind one interface, everything bounded in time."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from aldis.core.storage.backend import Backend, Figures
from aldis.core.storage.group import GroupCommit
from aldis.core.storage.sqlite import GRACE, Sqlite

T = TypeVar("T")


class Database:
    """A database that services share, each with its own tables.

    Whatever is wrong with it (away, locked, full, broken, too slow) is a `StorageUnavailable`.
    """

    def __init__(self, url: str, *, readers: int = 4, limit: float = 5.0, queue: int = 4096, durable: bool = True) -> None:
        """`limit` is in seconds, for the wait and for the transaction each; `durable=False` leaves out fsync, for tests."""
        self.figures = Figures()
        self._limit = limit
        self._backend = _backend(url, readers, limit, queue, durable, self.figures)
        self._group = GroupCommit(self.transaction, patience=2 * limit * (1 + GRACE), queue=queue, figures=self.figures)

    @property
    def is_file(self) -> bool:
        """Is it a file of this machine, which no other one uses?"""
        return isinstance(self._backend, Sqlite)

    def missing(self) -> bool:
        """Is there certainly nothing yet, so that opening it would make it?"""
        return self._backend.missing()

    async def open(self) -> None:
        """Reach it, and see that it is a database; a file is made if there is none."""
        await self._backend.open()
        self._group.start()

    async def close(self) -> None:
        """Commit what was submitted, then let go."""
        await self._group.stop()
        await self._backend.close()

    @asynccontextmanager
    async def transaction(self, limit: float | None = None) -> AsyncIterator[AsyncConnection]:
        """Write: committed when the block ends, rolled back when it raises.

        On SQLite nothing else writes meanwhile. On PostgreSQL others do (READ COMMITTED): what is read in order to be written
        is read with a lock, or under `exclusive`. Nothing else is awaited inside, least of all another transaction.
        """
        async with self._backend.writing(limit or self._limit) as connection:
            yield connection

    @asynccontextmanager
    async def reading(self, limit: float | None = None) -> AsyncIterator[AsyncConnection]:
        """Read one consistent state, beside the writers; writing is refused."""
        async with self._backend.reading(limit or self._limit) as connection:
            yield connection

    async def submit(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Do `work` in a transaction shared with what else is waiting: one fsync for all, each with its own result or error.

        Returns when it is committed. `work` touches nothing but the connection, for it is done once more when another one
        in the same transaction fails.
        """
        return await self._group.submit(work)

    def migrating(self, schema: str) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction that makes tables for one service, under a lock that keeps other processes from doing so."""
        return self._backend.migrating(schema)


def _backend(url: str, readers: int, limit: float, queue: int, durable: bool, figures: Figures) -> Backend:
    if url.startswith(("postgresql://", "postgres://")):
        from aldis.core.storage.postgres import Postgres  # noqa: PLC0415  who has SQLite needn't load it

        return Postgres(url, readers=readers, limit=limit, queue=queue, durable=durable, figures=figures)
    return Sqlite(url, readers=readers, limit=limit, queue=queue, durable=durable, figures=figures)
