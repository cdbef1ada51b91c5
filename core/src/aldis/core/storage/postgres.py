"""PostgreSQL: several processes write at once; one that stops, hangs or restarts is noticed in time and used again by itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncTransaction

from aldis.core.storage.backend import Figures
from aldis.core.storage.errors import CommitUnknown, StorageUnavailable, sqlstate, translated
from aldis.core.storage.postgres_engine import BytewiseTypes, Driver, Watchdog, create_engine, driver, server_settings
from aldis.core.storage.postgres_errors import FAILURES, RUNS, told

WRITERS = 4
SLACK = 1.0
"""A statement has its limit from the server; a server that does not even keep that is given up so many seconds later."""
GRACE = 2.0
"""A block that hangs elsewhere is cancelled so many seconds later still, when its connection is gone already."""
PROBE = 0.5
"""Seconds between two tries to reach a server that could not be reached."""
OLDEST = 14
MIGRATION = 0x616C646973
"""The key of the advisory lock under which tables are made."""
CLOSING = 1.0
"""Seconds in which a connection has to be closed."""
STANDBY = "25006"
"""The SQLSTATE of a write where only reading is allowed."""
LONG = 600.0
"""Seconds that a migration may wait and take."""


class Lane:
    """So many connections of one kind, and a line of those who wait for one."""

    def __init__(self, engine: AsyncEngine, size: int, limit: float, queue: int, figures: Figures) -> None:
        self.engine = engine
        self.limit = limit
        """What the server gives a statement on these connections."""
        self._free = asyncio.Semaphore(size)
        self._queue = queue
        self._figures = figures

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until a connection is free."""
        if self._figures.waiting >= self._queue:
            raise StorageUnavailable("too many are waiting for a connection")
        self._figures.waiting += 1
        try:
            async with asyncio.timeout(self.limit):
                await self._free.acquire()
        except TimeoutError:
            raise StorageUnavailable(f"no connection was free for {self.limit:g} s") from None
        finally:
            self._figures.waiting -= 1
        try:
            yield
        finally:
            self._free.release()


class Postgres:
    """Writers at READ COMMITTED, readers at REPEATABLE READ.

    Once the server can't be reached, nobody waits for it: work is refused at once until a probe has reached it again.
    """

    def __init__(self, url: str, *, readers: int, limit: float, queue: int, durable: bool, figures: Figures) -> None:
        self._url = url
        self._limit = limit
        self._queue = queue
        self._durable = durable
        self._figures = figures
        self._open: dict[Driver, Watchdog | None] = {}
        """Every connection; with a watchdog until it is set up, and while it is used."""
        self._lost = asyncio.Event()
        self._mend = ""
        self._probe: asyncio.Task[None] | None = None
        self._writers = self._lane(WRITERS)
        self._readers = self._lane(readers, reads=True)

    def _lane(self, size: int, *, reads: bool = False, limit: float | None = None, **more: str) -> Lane:
        allowed = self._limit if limit is None else limit
        settings = server_settings(limit=allowed, durable=self._durable, **more)
        engine = create_engine(lambda: self._connect(settings), size=size, reads=reads)
        return Lane(engine, size, allowed, self._queue, self._figures)

    def missing(self) -> bool:
        return False

    async def open(self) -> None:
        self._back()
        async with self.reading(self._limit) as connection:
            number = int(await connection.scalar(text("SHOW server_version_num")) or 0)
            encoding = await connection.scalar(text("SHOW server_encoding"))
        if number < OLDEST * 10_000:
            raise StorageUnavailable(f"the server is PostgreSQL {number // 10_000}", f"it must be {OLDEST} or newer")
        if encoding != "UTF8":
            raise StorageUnavailable(f"the database's encoding is {encoding}", "make it with ENCODING 'UTF8'")
        self._probe = asyncio.create_task(self._seek(), name="storage probe")

    async def close(self) -> None:
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.wait([self._probe])
        closing = [asyncio.ensure_future(connection.close(timeout=CLOSING)) for connection in self._open]
        await asyncio.gather(*closing, return_exceptions=True)
        await self._writers.engine.dispose()
        await self._readers.engine.dispose()

    @asynccontextmanager
    async def writing(self, limit: float) -> AsyncIterator[AsyncConnection]:
        async with self._run(self._writers, limit) as connection:
            yield connection

    @asynccontextmanager
    async def reading(self, limit: float) -> AsyncIterator[AsyncConnection]:
        async with self._run(self._readers, limit) as connection:
            yield connection

    @asynccontextmanager
    async def migrating(self, schema: str) -> AsyncIterator[AsyncConnection]:
        """In the service's own schema, made if it is missing; whoever else migrates waits."""
        lane = self._lane(1, limit=LONG, search_path=schema)
        dialect = lane.engine.sync_engine.dialect
        dialect.type_compiler_instance = BytewiseTypes(dialect)
        try:
            async with self._run(lane, LONG) as connection:
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION})
                if not await connection.scalar(text("SELECT 1 FROM pg_namespace WHERE nspname = :name"), {"name": schema}):
                    await connection.execute(text(f"CREATE SCHEMA {schema}"))
                yield connection
        finally:
            await lane.engine.dispose()

    # --- one transaction

    @asynccontextmanager
    async def _run(self, lane: Lane, limit: float) -> AsyncIterator[AsyncConnection]:
        self._refuse_if_away()
        async with lane.turn():
            self._refuse_if_away()
            with translated():
                async with lane.engine.connect() as connection:
                    used = await driver(connection)
                    watchdog = self._watch(used, limit + SLACK)
                    try:
                        async with self._transaction(connection, watchdog, lane.limit, limit):
                            yield connection
                    finally:
                        self._unwatch(used)

    @asynccontextmanager
    async def _transaction(self, connection: AsyncConnection, watchdog: Watchdog, given: float, limit: float) -> AsyncIterator[None]:
        transaction = await connection.begin()
        bound = asyncio.timeout(limit + GRACE)
        try:
            if limit != given:
                await connection.execute(text(f"SET LOCAL statement_timeout = {int(limit * 1000)}"))
            async with bound:
                yield
        except BaseException as error:
            await _undo(transaction, watchdog)
            if isinstance(error, DBAPIError) and sqlstate(error) == STANDBY:
                watchdog.watched.terminate()  # another host, or this one by then, may be the one that takes writes
            if watchdog.bit and isinstance(error, DBAPIError):
                raise self._silent(limit) from error
            if bound.expired() and isinstance(error, TimeoutError):
                raise StorageUnavailable(f"took more than {limit + GRACE:g} s") from None
            raise
        try:
            await transaction.commit()
        except DBAPIError as error:
            if watchdog.bit:
                self._silent(limit)
            if watchdog.watched.is_closed():
                raise CommitUnknown(f"the connection was lost in the commit: {error.orig}") from error
            raise

    def _silent(self, limit: float) -> StorageUnavailable:
        """The server did not answer: be rid of the idle connections to it as well, which may be as dead."""
        reason = f"did not answer within {limit + SLACK:g} s"
        self._away(reason, RUNS)
        for connection in [connection for connection, watchdog in self._open.items() if watchdog is None]:
            connection.terminate()
        return StorageUnavailable(reason, RUNS)

    # --- connections

    async def _connect(self, settings: dict[str, str]) -> Driver:
        try:
            connection: Driver = await asyncpg.connect(self._url, timeout=self._limit, server_settings=settings)
        except FAILURES as error:
            reason, mend = told(error, self._limit)
            if not isinstance(error, asyncpg.TooManyConnectionsError):  # the others go on with those that they have
                self._away(reason, mend)
            raise StorageUnavailable(reason, mend) from error
        self._figures.connects += 1
        self._open[connection] = None
        connection.add_termination_listener(self._forget)
        self._watch(connection, self._limit)
        return connection

    def _forget(self, connection: Driver) -> None:
        if watchdog := self._open.pop(connection, None):
            watchdog.leave()

    def _watch(self, connection: Driver, seconds: float) -> Watchdog:
        self._unwatch(connection)
        watchdog = self._open[connection] = Watchdog(connection, seconds)
        return watchdog

    def _unwatch(self, connection: Driver) -> None:
        if watchdog := self._open.get(connection):
            watchdog.leave()
            self._open[connection] = None

    # --- a server that is away

    def _refuse_if_away(self) -> None:
        if self._figures.away:
            raise StorageUnavailable(self._figures.away, self._mend)

    def _away(self, reason: str, mend: str) -> None:
        self._mend = mend
        self._figures.set_away(reason)
        self._lost.set()

    def _back(self) -> None:
        self._lost.clear()
        self._figures.set_away("")

    async def _seek(self) -> None:
        """Try to reach a server that is away, until it is back."""
        while True:
            await self._lost.wait()
            await asyncio.sleep(PROBE)
            try:
                connection = await self._connect({"application_name": "aldis probe"})
            except StorageUnavailable:
                continue
            try:
                await connection.fetchval("SELECT 1")
            except FAILURES:
                continue
            finally:
                connection.terminate()
            self._back()


async def _undo(transaction: AsyncTransaction, watchdog: Watchdog) -> None:
    """Roll back, and be rid of the connection if that does not work; why it was to be undone matters more than that."""
    try:
        await transaction.rollback()
    except Exception:  # noqa: BLE001
        watchdog.watched.terminate()
