"""How connections to SQLite are set up, and how long their statements may run."""

import asyncio
import os
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiosqlite
from sqlalchemy import AsyncAdaptedQueuePool, Connection, event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

STEPS = 200_000
"""Virtual machine steps between two looks at the clock: a few milliseconds."""
CLOSING = 2.0
"""Seconds in which a connection that is given back has to be closed."""


@dataclass(slots=True)
class Deadline:
    """When the transaction that runs on a connection has to be over, by the monotonic clock."""

    until: float = float("inf")

    def passed(self) -> bool:
        return time.monotonic() > self.until


def database_path(url: str) -> Path:
    """The file of a database address; raises ValueError for an address that has none."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        raise ValueError("the address of a database is sqlite:///PATH")
    return Path(str(parsed.database))


def create_file(path: Path) -> None:
    """Make the file, and folders that are missing, the owner's alone; SQLite would do it with the umask, and its side files follow."""
    for folder in reversed(path.parents):
        folder.mkdir(mode=0o700, exist_ok=True)  # each by itself: `parents` would have the umask's mode
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def create_engine(path: Path, *, begin: str, size: int, patience: float, pragmas: tuple[str, ...]) -> AsyncEngine:
    """An engine whose transactions begin and end where the code says so, which Python's sqlite3 alone doesn't do.

    `patience` is how many seconds to wait for a free connection, and for another process (`aldis user add`) that writes.
    Returning a connection rolls nothing back (a hop between threads): whoever takes one commits or rolls back himself.
    """
    engine = create_async_engine(
        "sqlite+aiosqlite://",
        async_creator=_Opener(path),
        poolclass=AsyncAdaptedQueuePool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=patience,
        pool_reset_on_return=None,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def set_up(connection: Any, record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (f"busy_timeout = {int(patience * 1000)}", *pragmas):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
        deadline = record.info["deadline"] = Deadline()
        connection.run_async(lambda driver: driver.set_progress_handler(deadline.passed, STEPS))

    @event.listens_for(engine.sync_engine, "begin")
    def start(connection: Connection) -> None:
        limit = connection.get_execution_options().get("limit", float("inf"))
        connection.info["deadline"].until = time.monotonic() + limit
        connection.exec_driver_sql(begin)

    @event.listens_for(engine.sync_engine, "invalidate")
    def abandon(connection: Any, record: Any, error: BaseException | None) -> None:
        """End the transaction of a task that was cancelled in a statement.

        Closing alone does not: SQLite keeps a closed connection, and its lock, as long as a cursor is left of it.
        """
        record.info["deadline"].until = 0.0
        if isinstance(error, asyncio.CancelledError):
            connection.run_async(lambda driver: asyncio.shield(driver.rollback()))

    return engine


class _Opener:
    """Opens the file; who is cancelled meanwhile leaves a connection that is closed as soon as it is there.

    aiosqlite would leave it to a thread that may outlive the loop, and then has nobody to tell.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._closing: set[asyncio.Task[None]] = set()

    async def __call__(self) -> aiosqlite.Connection:
        opening = asyncio.ensure_future(self._open())
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            task = asyncio.create_task(_close_unwanted(opening))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
            raise

    async def _open(self) -> aiosqlite.Connection:
        connection = aiosqlite.connect(self._path)
        connection._thread.daemon = True  # noqa: SLF001  as SQLAlchemy does: a process ends though a statement hangs
        return await connection


async def _close_unwanted(opening: asyncio.Future[aiosqlite.Connection]) -> None:
    try:
        connection = await opening
    except sqlite3.Error:
        return
    await connection.close()


async def given_back() -> None:
    """Wait until connections whose users were cancelled are closed: that is done in tasks that nobody else waits for."""
    closing = [task for task in asyncio.all_tasks() if _is_closing(task)]
    if closing:
        await asyncio.wait(closing, timeout=CLOSING)


def _is_closing(task: asyncio.Task[object]) -> bool:
    name = getattr(task.get_coro(), "__qualname__", "")
    return name.endswith("_terminate_graceful_close") or name == _close_unwanted.__qualname__
