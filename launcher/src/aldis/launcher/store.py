"""The one database of all services, as a part."""

from typing import Final

from aldis.core.shards import store as shards
from aldis.core.shards.store import SqlRegistry
from aldis.core.storage import Database
from aldis.core.storage.migrations import MigrationSet, migrate
from aldis.directory import app as directory
from aldis.router import app as router


def migration_sets() -> list[MigrationSet]:
    """The tables of all services, in the order in which they are made."""
    return [shards.migrations(), router.migrations(), directory.migrations()]


class Store:
    """The database as a part: open and in shape for the services that start after it."""

    name: Final = "database"

    def __init__(self, database: Database) -> None:
        self.database = database

    async def start(self) -> None:
        """Open it, migrate it, and forget the gateways of an earlier run, whose queues went with its bus."""
        await self.database.open()
        await migrate(self.database, migration_sets())
        await SqlRegistry(self.database).forget_gateways()

    async def stop(self) -> None:
        await self.database.close()
