"""Group commit: works that wait at the same time share one transaction, and so one fsync."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from aldis.core.storage.backend import Figures
from aldis.core.storage.errors import CommitUnknown, StorageUnavailable, TryAgain, is_our_fault

TRIES = 4
"""How often a transaction that met another one, or a dead connection, is done at once."""

T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[Any]]
Transaction = Callable[[], AbstractAsyncContextManager[AsyncConnection]]
Job = tuple[Work, asyncio.Future[Any]]


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


class GroupCommit:
    """A queue of works and the one task that does them.

    Works run one after the other without savepoints, which cost as much as they save; if one of them raises, the
    transaction is undone and all are done again, each in its own savepoint, so that each gets its own result or error.
    """

    def __init__(self, transaction: Transaction, *, patience: float, queue: int, figures: Figures, size: int = 256) -> None:
        self._transaction = transaction
        self._figures = figures
        self._size = size
        self._queue = queue
        self._patience = patience
        self._jobs: deque[Job] = deque()
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to work; `stop` ends the task."""
        self._task = asyncio.create_task(self._run(), name="storage group commit")

    async def stop(self) -> None:
        """Finish what was submitted and end the task."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task

    async def submit(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Queue the work and wait until it is committed."""
        if self._stopping or self._task is None:
            raise StorageUnavailable("the database is not open")
        if len(self._jobs) >= self._queue:
            raise StorageUnavailable("too many writers are waiting")
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.append((work, done))
        self._wake.set()
        bound = asyncio.timeout(self._patience)
        try:
            async with bound:
                return await done
        except TimeoutError:
            if bound.expired():
                raise CommitUnknown(f"not committed within {self._patience:g} s, and may or may not be yet") from None
            raise

    async def _run(self) -> None:
        try:
            while self._jobs or not self._stopping:
                if not self._jobs:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                batch = [self._jobs.popleft() for _ in range(min(self._size, len(self._jobs)))]
                await self._commit([job for job in batch if not job[1].done()])
        finally:
            self._stopping = True
            _settle(list(self._jobs), [_Failed(StorageUnavailable("the database was closed"))] * len(self._jobs))

    async def _commit(self, jobs: list[Job]) -> None:
        if jobs:
            _settle(jobs, await self._outcomes(jobs))

    async def _outcomes(self, jobs: list[Job]) -> list[Any]:
        do = self._together
        failure: Exception = StorageUnavailable("never done")
        for _ in range(TRIES):
            try:
                return await do(jobs)
            except TryAgain as error:
                self._figures.again += 1
                failure = error
            except StorageUnavailable as error:
                return [_Failed(error)] * len(jobs)
            except Exception as error:  # noqa: BLE001  the submitters' to handle; the task goes on
                if len(jobs) == 1 or do == self._one_by_one:
                    return [_Failed(error)] * len(jobs)
                do = self._one_by_one
        return [_Failed(failure)] * len(jobs)

    async def _together(self, jobs: list[Job]) -> list[Any]:
        async with self._transaction() as connection:
            return [await work(connection) for work, _ in jobs]

    async def _one_by_one(self, jobs: list[Job]) -> list[Any]:
        async with self._transaction() as connection:
            return [await _in_savepoint(connection, work) for work, _ in jobs]


async def _in_savepoint(connection: AsyncConnection, work: Work) -> Any:
    try:
        async with connection.begin_nested():
            return await work(connection)
    except DBAPIError as error:
        if not is_our_fault(error):  # the transaction itself may be gone
            raise
        return _Failed(error)
    except Exception as error:  # noqa: BLE001  its submitter's to handle
        return _Failed(error)


def _settle(jobs: list[Job], outcomes: list[Any]) -> None:
    for (_, done), outcome in zip(jobs, outcomes, strict=True):
        if done.done():  # its submitter was cancelled
            continue
        if isinstance(outcome, _Failed):
            done.set_exception(outcome.error)
        else:
            done.set_result(outcome)
