"""The database on real files: order, durability, limits, and what a broken one looks like."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from aldis.core.storage import Database, StorageUnavailable

ADD = text("INSERT INTO t (name) VALUES (:name)")
NAMES = text("SELECT name FROM t ORDER BY id")
ENDLESS = text("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/state/a.db", durable=False, limit=1.0)
    await database.open()
    async with database.transaction() as connection:
        await connection.execute(text("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE)"))
    yield database
    await database.close()


async def names(database: Database) -> list[str]:
    async with database.reading() as connection:
        return list((await connection.execute(NAMES)).scalars())


async def add(database: Database, name: str) -> None:
    async with database.transaction() as connection:
        await connection.execute(ADD, {"name": name})


async def test_a_block_that_ends_is_committed_and_one_that_raises_is_undone(database: Database) -> None:
    await add(database, "kept")
    with pytest.raises(RuntimeError, match="no"):  # noqa: PT012
        async with database.transaction() as connection:
            await connection.execute(ADD, {"name": "undone"})
            raise RuntimeError("no")
    assert await names(database) == ["kept"]


async def test_many_writers_take_turns_in_order(database: Database) -> None:
    await asyncio.gather(*(add(database, f"n{n:02}") for n in range(30)))
    assert await names(database) == [f"n{n:02}" for n in range(30)]


async def test_a_reader_sees_the_state_before_a_transaction_that_runs(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(ADD, {"name": "new"})
        assert await names(database) == []
    assert await names(database) == ["new"]


async def test_a_reader_can_not_write(database: Database) -> None:
    with pytest.raises((OperationalError, StorageUnavailable), match="readonly"):
        async with database.reading() as connection:
            await connection.execute(ADD, {"name": "no"})


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


async def test_works_submitted_together_are_committed_together(database: Database) -> None:
    async def number(connection: AsyncConnection, name: str) -> int:
        return (await connection.execute(ADD, {"name": name})).lastrowid

    assert await asyncio.gather(*(database.submit(lambda c, n=n: number(c, f"n{n}")) for n in range(20))) == list(range(1, 21))  # type: ignore[misc]
    assert len(await names(database)) == 20


async def test_a_submitted_work_that_fails_takes_no_other_along(database: Database) -> None:
    async def insert(connection: AsyncConnection, name: str) -> str:
        await connection.execute(ADD, {"name": name})
        if name == "bad":
            raise ValueError(name)
        return name

    async def submit(name: str) -> str:
        return await database.submit(lambda connection: insert(connection, name))

    outcomes = await asyncio.gather(*map(submit, ["a", "bad", "a", "b"]), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [str, ValueError, IntegrityError, str]
    assert await names(database) == ["a", "b"]


async def test_a_cancelled_submitter_takes_no_other_along(database: Database) -> None:
    async def insert(connection: AsyncConnection, name: str) -> None:
        await connection.execute(ADD, {"name": name})

    async with asyncio.TaskGroup() as group:
        first = group.create_task(database.submit(lambda connection: insert(connection, "first")))
        group.create_task(database.submit(lambda connection: insert(connection, "second")))
        await asyncio.sleep(0)
        first.cancel()
    assert "second" in await names(database)


async def test_closing_commits_what_was_submitted_and_refuses_more(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db", durable=False)
    await database.open()

    async def create(connection: AsyncConnection) -> None:
        await connection.execute(text("CREATE TABLE t (id INTEGER)"))

    async with asyncio.TaskGroup() as group:
        work = group.create_task(database.submit(create))
        await asyncio.sleep(0)
        await database.close()
    assert work.result() is None
    with pytest.raises(StorageUnavailable):
        await database.submit(create)


async def test_a_writer_cancelled_in_the_middle_leaves_the_way_free(database: Database) -> None:
    for _ in range(5):
        with pytest.raises(TimeoutError):  # noqa: PT012
            async with asyncio.timeout(0.05), database.transaction() as connection:
                await connection.execute(ADD, {"name": "undone"})
                await connection.execute(ENDLESS)
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    await add(database, "kept")
    assert await names(database) == ["kept"]


async def test_writers_cancelled_at_any_moment_never_leave_a_lock_behind(database: Database) -> None:
    chance = random.Random(7)

    async def insert(connection: AsyncConnection, name: str) -> None:
        await connection.execute(ADD, {"name": name})

    for n in range(100):
        with suppress(TimeoutError):
            async with asyncio.timeout(chance.random() * 0.003):
                await (add(database, f"a{n}") if n % 2 else database.submit(lambda connection, n=n: insert(connection, f"s{n}")))  # type: ignore[misc]
    await add(database, "kept")
    assert (await names(database))[-1] == "kept"


async def test_a_statement_that_runs_too_long_is_stopped(database: Database) -> None:
    for scope in (database.transaction, database.reading):
        with pytest.raises(StorageUnavailable, match="interrupted"):
            async with scope(limit=0.1) as connection:
                await connection.execute(ENDLESS)
    await add(database, "kept")


async def test_a_transaction_that_hangs_is_ended(database: Database) -> None:
    with pytest.raises(StorageUnavailable, match="took more than"):
        async with database.transaction(limit=0.05):
            await asyncio.Event().wait()
    await add(database, "kept")


async def test_wrong_sql_is_our_fault_and_not_the_databases(database: Database) -> None:
    with pytest.raises(OperationalError, match="no such table"):
        async with database.reading() as connection:
            await connection.execute(text("SELECT * FROM nowhere"))


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


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "postgresql://x/y"])
def test_an_address_without_a_file_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="sqlite:///PATH"):
        Database(url)


WRITER = """
import asyncio, sys
from sqlalchemy import text
from aldis.core.storage import Database

async def main():
    database = Database(sys.argv[1])
    await database.open()
    async with database.transaction() as connection:
        await connection.execute(text("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, name TEXT)"))
    async def one(n):
        await database.submit(lambda c: c.execute(text("INSERT INTO t (name) VALUES (:name)"), {"name": str(n)}))
        print(n, flush=True)
    for start in range(0, 10**6, 8):
        await asyncio.gather(*(one(n) for n in range(start, start + 8)))

asyncio.run(main())
"""


async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    process = subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(100)]
    os.kill(process.pid, signal.SIGKILL)
    acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
    process.wait()
    process.stdout.close()
    database = Database(url)
    await database.open()
    assert set(acknowledged) <= set(await names(database))
    await database.close()


@pytest.mark.parametrize("turns", range(0, 24, 3))
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
