"""How connections to PostgreSQL are made and thrown away."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from sqlalchemy import event
from sqlalchemy.dialects.postgresql.base import PGTypeCompiler
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

SCHEMAS = ("shards", "router", "directory")
"""Each service's tables lie in a schema of its own; where a name is looked for, since no two services' tables share one."""


class Driver(Protocol):
    """What we need of a connection of asyncpg, which has no types."""

    def is_closed(self) -> bool:
        """Is it of no use any more?"""

    def terminate(self) -> None:
        """Cut it, without a word to the server."""

    async def close(self, *, timeout: float) -> None:  # noqa: ASYNC109  asyncpg's own
        """Take leave of the server."""

    async def fetchval(self, query: str) -> object:
        """Ask for one value."""

    def add_termination_listener(self, callback: "Callable[[Driver], None]") -> None:
        """Have it tell when it ends, however that is."""


def server_settings(*, limit: float, durable: bool, **more: str) -> dict[str, str]:
    """What a session says to the server at its start, so that it needs no round trip later.

    The server ends by itself what we can't: a statement that runs too long, a transaction of a process that was stopped, a
    statement whose process is gone.
    """
    seconds = str(int(limit * 1000))
    return {
        "application_name": "aldis",
        "search_path": ", ".join(SCHEMAS),
        "statement_timeout": seconds,
        "idle_in_transaction_session_timeout": seconds,
        "client_connection_check_interval": "1000",
        "synchronous_commit": "on" if durable else "off",
        "jit": "off",
        **more,
    }


def create_engine(connect: Callable[[], Awaitable[Driver]], *, size: int, reads: bool) -> AsyncEngine:
    """An engine that never waits for a dead server in order to be rid of a connection, and hands no dead one out.

    Writers see what others have committed until then, readers one state.
    """
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=size,
        max_overflow=0,
        isolation_level="REPEATABLE READ" if reads else "READ COMMITTED",
    )

    @event.listens_for(engine.sync_engine, "connect")
    def set_up(connection: Any, record: Any) -> None:
        connection.readonly = reads  # not as a setting of the session, by which a standby is told from others

    @event.listens_for(engine.sync_engine, "checkout")
    def look(connection: Any, record: Any, proxy: Any) -> None:
        if driver_of(connection).is_closed():
            raise DisconnectionError

    @event.listens_for(engine.sync_engine, "close")
    def abandon(connection: Any, record: Any) -> None:
        driver_of(connection).terminate()

    return engine


def driver_of(connection: Any) -> Driver:
    """What is below SQLAlchemy's adapter."""
    driver: Driver = connection.driver_connection
    return driver


async def driver(connection: AsyncConnection) -> Driver:
    """What is below an open connection."""
    return driver_of(await connection.get_raw_connection())


class Watchdog:
    """Cuts a connection after so many seconds: whoever waits for the server is told that it is gone, and nothing is cancelled."""

    def __init__(self, watched: Driver, seconds: float) -> None:
        self.bit = False
        self.watched = watched
        self._timer = asyncio.get_running_loop().call_later(seconds, self._bite)

    def _bite(self) -> None:
        self.bit = True
        self.watched.terminate()

    def leave(self) -> None:
        """It is over in time."""
        self._timer.cancel()


class BytewiseTypes(PGTypeCompiler):
    """Types of columns, whose texts are to compare by their bytes, as they do on SQLite.

    The order of a language is nothing to us, costs time, and changes under an index when the system is upgraded.
    """

    def visit_TEXT(self, type_: Any, **kw: Any) -> str:  # noqa: N802  SQLAlchemy's name
        return super().visit_TEXT(type_, **kw) + ("" if type_.collation else ' COLLATE "C"')

    def visit_VARCHAR(self, type_: Any, **kw: Any) -> str:  # noqa: N802
        return super().visit_VARCHAR(type_, **kw) + ("" if type_.collation else ' COLLATE "C"')
