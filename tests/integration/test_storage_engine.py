"""The database, of either kind: order, durability, limits, and works that share a transaction."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from aldis.core.storage import Database, StorageUnavailable

METADATA = MetaData()
NAMED = Table("t", METADATA, Column("id", Integer, primary_key=True), Column("name", Text, unique=True))
ADD = text("INSERT INTO t (name) VALUES (:name)")
NAMES = select(NAMED.c.name).order_by(NAMED.c.id)
ENDLESS = {
    "sqlite": text("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"),
    "postgresql": text("SELECT pg_sleep(60)"),
}


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, durable=False, limit=1.0)
    await database.open()
    async with database.migrating("router") as connection:
        await connection.run_sync(METADATA.create_all)
    yield database
    await database.close()


async def endless(connection: AsyncConnection) -> None:
    """Run a statement that does not end by itself."""
    await connection.execute(ENDLESS[connection.dialect.name])


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


async def test_many_writers_all_write(database: Database) -> None:
    await asyncio.gather(*(add(database, f"n{n:02}") for n in range(30)))
    assert sorted(await names(database)) == [f"n{n:02}" for n in range(30)]


async def test_a_reader_sees_the_state_before_a_transaction_that_runs(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(ADD, {"name": "new"})
        assert await names(database) == []
    assert await names(database) == ["new"]


async def test_a_reader_can_not_write(database: Database) -> None:
    with pytest.raises((OperationalError, StorageUnavailable), match=r"read-?only"):
        async with database.reading() as connection:
            await connection.execute(ADD, {"name": "no"})


async def test_works_submitted_together_are_committed_together(database: Database) -> None:
    async def number(connection: AsyncConnection, name: str) -> int:
        return int(await connection.scalar(insert(NAMED).values(name=name).returning(NAMED.c.id)) or 0)

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


async def test_closing_commits_what_was_submitted_and_refuses_more(database: Database, database_url: str) -> None:
    async def insert(connection: AsyncConnection) -> None:
        await connection.execute(ADD, {"name": "last"})

    async with asyncio.TaskGroup() as group:
        work = group.create_task(database.submit(insert))
        await asyncio.sleep(0)
        await database.close()
    assert work.result() is None
    with pytest.raises(StorageUnavailable):
        await database.submit(insert)
    again = Database(database_url)
    await again.open()
    assert await names(again) == ["last"]
    await again.close()


async def test_a_writer_cancelled_in_the_middle_leaves_the_way_free(database: Database) -> None:
    for _ in range(5):
        with pytest.raises(TimeoutError):  # noqa: PT012
            async with asyncio.timeout(0.05), database.transaction() as connection:
                await connection.execute(ADD, {"name": "undone"})
                await endless(connection)
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
        with pytest.raises(StorageUnavailable, match=r"interrupted|statement timeout"):
            async with scope(limit=0.5) as connection:
                await endless(connection)
    await add(database, "kept")


async def test_a_transaction_that_hangs_is_ended(database: Database) -> None:
    with pytest.raises(StorageUnavailable, match="took more than"):
        async with database.transaction(limit=0.05):
            await asyncio.Event().wait()
    await add(database, "kept")


async def test_wrong_sql_is_our_fault_and_not_the_databases(database: Database) -> None:
    with pytest.raises(DBAPIError, match="nowhere"):
        async with database.reading() as connection:
            await connection.execute(text("SELECT * FROM nowhere"))


WRITER = """
import asyncio, sys
from sqlalchemy import text
from aldis.core.storage import Database

async def main():
    database = Database(sys.argv[1])
    await database.open()
    async def one(n):
        await database.submit(lambda c: c.execute(text("INSERT INTO t (name) VALUES (:name)"), {"name": str(n)}))
        print(n, flush=True)
    for start in range(0, 10**6, 8):
        await asyncio.gather(*(one(n) for n in range(start, start + 8)))

asyncio.run(main())
"""


async def test_what_was_acknowledged_survives_kill_9(database: Database, database_url: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", WRITER, database_url], stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(100)]
    os.kill(process.pid, signal.SIGKILL)
    acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
    process.wait()
    process.stdout.close()
    assert set(acknowledged) <= set(await names(database))
