"""The one database of all services, as a part."""

from typing import Final

from aldis.core.shards import store as shards
from aldis.core.shards.registry import SqlRegistry
from aldis.core.storage import Database, MigrationError
from aldis.core.storage.migrations import MigrationSet, migrate, pending
from aldis.directory import app as directory
from aldis.router import app as router


def migration_sets() -> list[MigrationSet]:
    """The tables of all services, in the order in which they are made."""
    return [shards.migrations(), router.migrations(), directory.migrations()]


async def shape(database: Database) -> None:
    """Bring a file of our own into the shape that this version needs; on a server, which others use as well, see that it is."""
    if database.is_file:
        await migrate(database, migration_sets())
    elif waiting := await pending(database, migration_sets()):
        raise MigrationError(f"{len(waiting)} migrations are pending; run `aldis migrate`")


class Store:
    """The database as a part: open and in shape for the services that start after it."""

    name: Final = "database"

    def __init__(self, database: Database) -> None:
        self.database = database

    async def start(self) -> None:
        """Open it, shape it, and forget the services of an earlier run, whose queues went with its bus."""
        await self.database.open()
        await shape(self.database)
        await SqlRegistry(self.database).forget_all()

    async def stop(self) -> None:
        await self.database.close()
