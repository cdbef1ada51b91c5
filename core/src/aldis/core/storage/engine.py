"""The database: one writer at a time, readers beside it, everything bounded in time; a commit survives a power cut."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from aldis.core.storage import sqlite
from aldis.core.storage.errors import MigrationError, StorageUnavailable, translated
from aldis.core.storage.group import GroupCommit

T = TypeVar("T")

WRITER = ("journal_mode = WAL", "foreign_keys = ON")
READER = ("query_only = ON",)
GRACE = 2.0
"""A transaction whose statements ran out of time is told so by SQLite; one that hangs elsewhere is cancelled after so many limits."""


class Database:
    """A database that services share, each with its own tables.

    SQLite allows one writer, so writers queue here, in order, and never meet SQLITE_BUSY but from another process. Whatever
    is wrong with the database (locked, full, broken, too slow) is a `StorageUnavailable`.
    """

    def __init__(self, url: str, *, readers: int = 4, limit: float = 5.0, queue: int = 4096, durable: bool = True) -> None:
        """`limit` is in seconds, for the wait and for the transaction each; `durable=False` leaves out fsync, for tests."""
        self.path = sqlite.database_path(url)
        self._limit = limit
        self._queue = queue
        synchronous = f"synchronous = {'FULL' if durable else 'OFF'}"
        self._writer = sqlite.create_engine(self.path, begin="BEGIN IMMEDIATE", size=1, patience=limit, pragmas=(*WRITER, synchronous))
        self._readers = sqlite.create_engine(self.path, begin="BEGIN", size=readers, patience=limit, pragmas=READER)
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._group = GroupCommit(self.transaction, patience=2 * limit * (1 + GRACE), queue=queue)

    async def open(self) -> None:
        """Make the file if there is none, and see that it is a database."""
        try:
            sqlite.create_file(self.path)
        except OSError as error:
            raise StorageUnavailable(f"{self.path}: {error.strerror}") from error
        async with self.transaction() as connection:
            await connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema")
        self._group.start()

    async def close(self) -> None:
        """Commit what was submitted, then let go of the file."""
        await self._group.stop()
        await self._readers.dispose()
        await self._writer.dispose()
        await sqlite.given_back()

    @asynccontextmanager
    async def transaction(self, limit: float | None = None) -> AsyncIterator[AsyncConnection]:
        """Write: committed when the block ends, rolled back when it raises.

        Nothing else writes meanwhile, so nothing else is awaited inside, least of all another transaction.
        """
        async with self._write_turn(), self._run(self._writer, limit or self._limit) as connection:
            yield connection

    @asynccontextmanager
    async def reading(self, limit: float | None = None) -> AsyncIterator[AsyncConnection]:
        """Read one consistent state, beside the writer; writing is refused."""
        async with self._run(self._readers, limit or self._limit) as connection:
            yield connection

    async def submit(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Do `work` in a transaction shared with what else is waiting: one fsync for all, each with its own result or error.

        Returns when it is committed. `work` touches nothing but the connection, for it is done once more when another one
        in the same transaction fails.
        """
        return await self._group.submit(work)

    @asynccontextmanager
    async def migrating(self) -> AsyncIterator[AsyncConnection]:
        """A transaction on a connection that does not hold up foreign keys until it ends, since rebuilding a table drops it."""
        engine = sqlite.create_engine(
            self.path, begin="BEGIN IMMEDIATE", size=1, patience=60.0, pragmas=("journal_mode = WAL", "synchronous = FULL")
        )
        try:
            async with self._write_turn(), self._run(engine, float("inf")) as connection:
                yield connection
                if broken := (await connection.exec_driver_sql("PRAGMA foreign_key_check")).all():
                    raise MigrationError(f"the migration leaves rows without what they refer to (table, row, referred table): {broken[:5]}")
        finally:
            await engine.dispose()

    @asynccontextmanager
    async def _write_turn(self) -> AsyncIterator[None]:
        if self._waiting >= self._queue:
            raise StorageUnavailable("too many writers are waiting")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._limit):
                await self._turn.acquire()
        except TimeoutError:
            raise StorageUnavailable(f"waited {self._limit:g} s for other writers") from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turn.release()

    @asynccontextmanager
    async def _run(self, engine: AsyncEngine, limit: float) -> AsyncIterator[AsyncConnection]:
        bound = asyncio.timeout(None if limit == float("inf") else limit * GRACE)
        try:
            with translated():
                async with bound, engine.connect() as fresh:
                    connection = await fresh.execution_options(limit=limit)
                    async with connection.begin():
                        yield connection
        except TimeoutError:
            if bound.expired():
                raise StorageUnavailable(f"took more than {limit * GRACE:g} s") from None
            raise
