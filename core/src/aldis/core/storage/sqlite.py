"""SQLite: one file, one writer at a time, readers beside it; a commit survives a power cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from aldis.core.storage import sqlite_engine
from aldis.core.storage.backend import Figures
from aldis.core.storage.errors import MigrationError, StorageUnavailable, translated

WRITER = ("journal_mode = WAL", "foreign_keys = ON")
READER = ("query_only = ON",)
GRACE = 2.0
"""A transaction whose statements ran out of time is told so by SQLite; one that hangs elsewhere is cancelled after so many limits."""


class Sqlite:
    """Writers queue here, in order, and never meet SQLITE_BUSY but from another process."""

    def __init__(self, url: str, *, readers: int, limit: float, queue: int, durable: bool, figures: Figures) -> None:
        self.path = sqlite_engine.database_path(url)
        self._limit = limit
        self._queue = queue
        synchronous = f"synchronous = {'FULL' if durable else 'OFF'}"
        self._writer = sqlite_engine.create_engine(
            self.path, begin="BEGIN IMMEDIATE", size=1, patience=limit, pragmas=(*WRITER, synchronous)
        )
        self._readers = sqlite_engine.create_engine(self.path, begin="BEGIN", size=readers, patience=limit, pragmas=READER)
        self._turn = asyncio.Lock()
        self._figures = figures

    def missing(self) -> bool:
        return not self.path.exists()

    async def open(self) -> None:
        """Make the file if there is none, and see that it is a database."""
        try:
            sqlite_engine.create_file(self.path)
        except OSError as error:
            raise StorageUnavailable(f"{self.path}: {error.strerror}") from error
        async with self.writing(self._limit) as connection:
            await connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema")

    async def close(self) -> None:
        await self._readers.dispose()
        await self._writer.dispose()
        await sqlite_engine.given_back()

    @asynccontextmanager
    async def writing(self, limit: float) -> AsyncIterator[AsyncConnection]:
        async with self._write_turn(), self._run(self._writer, limit) as connection:
            yield connection

    @asynccontextmanager
    async def reading(self, limit: float) -> AsyncIterator[AsyncConnection]:
        async with self._run(self._readers, limit) as connection:
            yield connection

    @asynccontextmanager
    async def migrating(self, schema: str) -> AsyncIterator[AsyncConnection]:
        """On a connection that does not hold up foreign keys until it ends, since rebuilding a table drops it."""
        engine = sqlite_engine.create_engine(
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
        if self._figures.waiting >= self._queue:
            raise StorageUnavailable("too many writers are waiting")
        self._figures.waiting += 1
        try:
            async with asyncio.timeout(self._limit):
                await self._turn.acquire()
        except TimeoutError:
            raise StorageUnavailable(f"waited {self._limit:g} s for other writers") from None
        finally:
            self._figures.waiting -= 1
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
