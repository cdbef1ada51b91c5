"""The marks of what runs alone, on either kind of database."""

from collections.abc import AsyncIterator

import pytest

from aldis.core.shards.store import MARKED, SqlMarks, migrations
from aldis.core.storage import Database
from aldis.core.storage.migrations import migrate


class Wall:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, durable=False)
    await database.open()
    await migrate(database, [migrations()])
    yield database
    await database.close()


async def test_a_mark_is_found_by_the_next_process_until_it_is_cleared(database: Database) -> None:
    before, after = SqlMarks(database, Wall()), SqlMarks(database, Wall())
    assert await before.put(0, b"one")
    assert not await after.put(0, b"one")
    assert await after.put(0, b"two")
    assert await after.put(1, b"one")  # another shard's
    await after.clear(0, [b"one", b"two"])
    assert await before.put(0, b"one")
    assert not await before.put(1, b"one")


async def test_old_marks_are_forgotten(database: Database) -> None:
    wall = Wall()
    marks = SqlMarks(database, wall)
    assert await marks.put(0, b"one")
    wall.now += MARKED + 1
    assert await marks.put(0, b"one")
