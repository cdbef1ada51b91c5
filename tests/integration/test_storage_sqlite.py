"""What is SQLite's own: its file, its lock, and what a broken one looks like."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from aldis.core.storage import Database, StorageUnavailable
from tests.integration.test_storage_engine import ADD, add, names


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/state/a.db", durable=False, limit=1.0)
    await database.open()
    async with database.transaction() as connection:
        await connection.execute(text("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE)"))
    yield database
    await database.close()


async def test_many_writers_take_turns_in_order(database: Database) -> None:
    await asyncio.gather(*(add(database, f"n{n:02}") for n in range(30)))
    assert await names(database) == [f"n{n:02}" for n in range(30)]


async def test_the_file_is_its_owners_alone(database: Database, tmp_path: Path) -> None:
    await add(database, "x")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "state").iterdir()}
    assert modes == {"a.db": 0o600, "a.db-wal": 0o600, "a.db-shm": 0o600}


async def test_folders_that_are_missing_are_made_its_owners_alone(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/one/two/a.db", durable=False)
    await database.open()
    await database.close()
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "one", tmp_path / "one/two")] == [0o700, 0o700]


async def test_a_commit_is_synced_unless_said_otherwise(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db")
    await database.open()
    async with database.transaction() as connection:
        found = [(await connection.exec_driver_sql(f"PRAGMA {name}")).scalar() for name in ("synchronous", "journal_mode", "foreign_keys")]
    await database.close()
    assert found == [2, "wal", 1]


async def test_another_process_that_keeps_the_lock_makes_it_unavailable(database: Database, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "state/a.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert await names(database) == []
    with pytest.raises(StorageUnavailable):
        await add(database, "x")
    other.execute("ROLLBACK")
    other.close()
    await add(database, "x")


async def test_a_full_disk_is_unavailable_and_passes(database: Database) -> None:
    big = {"name": "x" * 1_000_000}

    async def insert(connection: AsyncConnection, row: dict[str, str]) -> None:
        await connection.execute(ADD, row)

    async with database.transaction() as connection:
        await connection.exec_driver_sql("PRAGMA max_page_count = 100")
    works = (database.submit(lambda connection, row=row: insert(connection, row)) for row in ({"name": "small"}, big))  # type: ignore[misc]
    outcomes = await asyncio.gather(*works, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["database or disk is full"] * 2
    assert {type(outcome) for outcome in outcomes} == {StorageUnavailable}
    async with database.transaction() as connection:
        await connection.exec_driver_sql("PRAGMA max_page_count = 10000")
    await add(database, "after")
    assert await names(database) == ["after"]


async def test_a_file_that_is_no_database_is_told_at_opening(tmp_path: Path) -> None:
    Path(tmp_path, "a.db").write_bytes(b"no database at all, but long enough to look at" * 100)  # noqa: ASYNC240
    database = Database(f"sqlite:///{tmp_path}/a.db")
    with pytest.raises(StorageUnavailable, match="not a database"):
        await database.open()
    await database.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://x/y"])
def test_an_address_without_a_file_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="sqlite:///PATH"):
        Database(url)


@pytest.mark.parametrize("turns", range(24))
async def test_what_was_cancelled_is_closed_when_the_database_is(tmp_path: Path, turns: int) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db", durable=False)
    await database.open()

    async def read() -> None:
        async with database.reading() as connection:
            await connection.exec_driver_sql("SELECT 1")

    readers = [asyncio.ensure_future(read()) for _ in range(4)]
    for _ in range(turns):
        await asyncio.sleep(0)
    for reader in readers:
        reader.cancel()
    await asyncio.wait(readers)
    await database.close()
    assert [task for task in asyncio.all_tasks() if "aiosqlite" in repr(task.get_coro())] == []
