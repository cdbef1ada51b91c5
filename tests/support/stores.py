"""Databases for tests, of either kind: fresh ones, and copies of one that was furnished once."""

import itertools
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

from tests.support.postgres import Cluster, shared

KINDS: Final = ("sqlite", "postgresql")
_NUMBERS: Final = itertools.count(1)

Furnish = Callable[[str], Awaitable[None]]
"""Given the address of an empty database."""


class Stores(Protocol):
    """Makes databases of one kind."""

    kind: str

    def fresh(self, folder: Path) -> AbstractAsyncContextManager[str]:
        """An empty database, which a test that has this folder uses; its address."""

    def copy(self, template: str, folder: Path) -> AbstractAsyncContextManager[str]:
        """A copy of a furnished one; its address."""

    async def template(self, furnish: Furnish) -> str:
        """Furnish one that is copied for each test; its name."""


class SqliteStores:
    """Files."""

    kind = "sqlite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @asynccontextmanager
    async def fresh(self, folder: Path) -> AsyncIterator[str]:
        yield f"sqlite:///{folder / 'aldis.db'}"

    @asynccontextmanager
    async def copy(self, template: str, folder: Path) -> AsyncIterator[str]:
        shutil.copy(template, folder / "aldis.db")
        yield f"sqlite:///{folder / 'aldis.db'}"

    async def template(self, furnish: Furnish) -> str:
        path = self._folder / f"template{next(_NUMBERS)}.db"
        await furnish(f"sqlite:///{path}")
        return str(path)


class PostgresStores:
    """Databases of the server that all processes of a test run share."""

    kind = "postgresql"

    def __init__(self) -> None:
        self._cluster: Cluster = shared()

    @asynccontextmanager
    async def fresh(self, folder: Path) -> AsyncIterator[str]:
        async with self._cluster.database() as url:
            yield url

    @asynccontextmanager
    async def copy(self, template: str, folder: Path) -> AsyncIterator[str]:
        async with self._cluster.database(template) as url:
            yield url

    async def template(self, furnish: Furnish) -> str:
        name = f"template_{os.getpid()}_{next(_NUMBERS)}"
        await self._cluster.do(f"CREATE DATABASE {name}")
        await furnish(self._cluster.url(name))
        return name


def make(kind: str, folder: Path) -> Stores:
    """Those of one kind; `folder` is for files that outlive a test."""
    return PostgresStores() if kind == "postgresql" else SqliteStores(folder)
