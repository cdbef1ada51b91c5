"""What is PostgreSQL's own: a server that hangs, dies, restarts, refuses, or is full; nobody waits long, and it is found again."""

import asyncio
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from aldis.core.shards import store
from aldis.core.shards.fenced import Fenced
from aldis.core.storage import Database, StorageUnavailable
from aldis.core.storage.migrations import migrate
from tests.integration.test_shards_outbox import decides, effect, origin, outbox
from tests.integration.test_storage_engine import ADD, METADATA, add, names
from tests.support.postgres import QUICK, Server

pytestmark = [pytest.mark.needs("initdb", "postgres"), pytest.mark.timeout(120)]

LIMIT = 1.0
SOON = LIMIT + 1.0 + 2.0
"""In which a server that does not answer must be told: the limit, the slack, and a busy machine."""


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    server = Server(options=("fsync=off",))  # what was committed survives a kill, though not a power cut
    server.create()
    yield server
    server.remove()


@pytest.fixture
def server(own_server: Server) -> Server:
    """One that is stopped and killed, and runs again for each test."""
    if not own_server.runs:
        own_server.start()
    return own_server


@asynccontextmanager
async def opened(url: str, limit: float = LIMIT) -> AsyncIterator[Database]:
    database = Database(url, limit=limit)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def database(server: Server) -> AsyncIterator[Database]:
    async with server.cluster.database() as url, opened(url) as database:
        async with database.migrating("router") as connection:
            await connection.run_sync(METADATA.create_all)
        yield database


async def insert(connection: AsyncConnection, name: str) -> None:
    await connection.execute(ADD, {"name": name})


async def took(work: Callable[[], object]) -> tuple[float, Exception | None]:
    """How long it took to fail or not."""
    began = time.monotonic()
    try:
        await work()  # type: ignore[misc]
    except StorageUnavailable as error:
        return time.monotonic() - began, error
    return time.monotonic() - began, None


async def back(database: Database) -> None:
    """Wait until it works again, by itself."""
    async with asyncio.timeout(SOON + 5):
        while database.figures.away:
            await asyncio.sleep(0.05)


@asynccontextmanager
async def turning() -> AsyncIterator[None]:
    """The loop never stops meanwhile."""
    worst = 0.0

    async def tick() -> None:
        nonlocal worst
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            worst = max(worst, time.monotonic() - began)

    ticking = asyncio.ensure_future(tick())
    yield
    ticking.cancel()
    assert worst < 0.9 * LIMIT


async def test_a_server_that_hangs_is_told_in_time_and_found_again(server: Server, database: Database) -> None:
    told: list[str] = []
    database.figures.on_away = told.append
    await add(database, "before")
    server.freeze()
    try:
        async with turning():
            waits = await asyncio.gather(
                took(lambda: names(database)),
                took(lambda: database.submit(lambda connection: insert(connection, "lost"))),
                *(took(lambda: add(database, "lost too")) for _ in range(8)),
            )
            assert all(isinstance(error, StorageUnavailable) for _, error in waits)
            assert max(seconds for seconds, _ in waits) < SOON
            seconds, error = await took(lambda: names(database))
            assert isinstance(error, StorageUnavailable)
            assert seconds < 0.5  # nobody waits for what is known to be away
    finally:
        server.thaw()
    await back(database)
    assert [bool(reason) for reason in told] == [True, False]
    for n in range(10):
        await add(database, f"after {n}")
        assert len(await names(database)) >= n + 2


async def test_a_server_that_hangs_while_it_is_closed_holds_nobody_up(server: Server) -> None:
    async with server.cluster.database() as url:
        database = Database(url, limit=LIMIT)
        await database.open()
        await asyncio.gather(*(took(lambda: database.submit(lambda c: c.execute(text("SELECT 1")))) for _ in range(3)))
        server.freeze()
        try:
            seconds, _ = await took(database.close)
            assert seconds < SOON
        finally:
            server.thaw()


async def test_a_server_that_was_killed_is_found_again(server: Server, database: Database) -> None:
    await add(database, "before")
    server.kill()
    await took(lambda: names(database))  # its connection may have been told something still
    seconds, error = await took(lambda: names(database))
    assert isinstance(error, StorageUnavailable)
    assert seconds < SOON
    assert "refused" in str(error)
    assert "see that PostgreSQL runs" in error.mend
    server.start()
    await back(database)
    await add(database, "after")
    assert "after" in await names(database)


async def test_a_restart_that_nobody_met_is_not_noticed(server: Server, database: Database) -> None:
    await asyncio.gather(*(add(database, f"before {n}") for n in range(4)), *(took(lambda: names(database)) for _ in range(4)))
    server.stop()
    server.start()
    await database.submit(lambda connection: insert(connection, "submitted"))
    await asyncio.gather(*(add(database, f"after {n}") for n in range(4)))
    assert len(await names(database)) == 9
    assert not database.figures.away


async def test_a_work_whose_connection_is_ended_is_done_again(server: Server, database: Database) -> None:
    tries = 0

    async def slowly(connection: AsyncConnection) -> None:
        nonlocal tries
        tries += 1
        await insert(connection, "once")
        if tries == 1:
            number = await connection.scalar(text("SELECT pg_backend_pid()"))
            await server.cluster.do(f"SELECT pg_terminate_backend({number})")
        await connection.execute(text("SELECT pg_sleep(0.1)"))

    await database.submit(slowly)
    assert (tries, await names(database), database.figures.again) == (2, ["once"], 1)


async def test_of_two_that_wait_for_each_other_both_are_done(database: Database, server: Server) -> None:
    await add(database, "a")
    await add(database, "b")
    url = server.url(await current(database))

    async def change(connection: AsyncConnection, *order: str) -> None:
        for name in order:
            await connection.execute(text("UPDATE t SET id = id WHERE name = :name"), {"name": name})
            await asyncio.sleep(0.1)

    async with opened(url, 5.0) as one, opened(url, 5.0) as other:  # the server looks for deadlocks after a second
        await asyncio.gather(
            one.submit(lambda connection: change(connection, "a", "b")), other.submit(lambda connection: change(connection, "b", "a"))
        )
        assert one.figures.again + other.figures.again >= 1


async def current(database: Database) -> str:
    async with database.reading() as connection:
        return str(await connection.scalar(text("SELECT current_database()")))


async def test_a_process_that_stands_still_keeps_no_shard(server: Server) -> None:
    async with server.cluster.database() as url, opened(url) as database, opened(url) as other:
        await migrate(database, [store.migrations()])
        old = await outbox(database)
        let_through = asyncio.Event()

        async def stand_still(tx: AsyncConnection) -> tuple[object, ...]:
            let_through.set()
            await asyncio.sleep(LIMIT * 1.5)  # as a process that was stopped: its connection is there, and says nothing
            return await decides("late")(tx)

        late = asyncio.ensure_future(old.once(origin(1), stand_still))  # type: ignore[arg-type]
        await let_through.wait()
        new = None
        async with asyncio.timeout(3 * LIMIT + 5):
            while new is None:
                try:
                    new = await outbox(other, "two", "one")
                except StorageUnavailable:
                    await asyncio.sleep(0.1)
        assert await new.once(origin(2), decides("new")) == (effect("new"),)
        with pytest.raises((Fenced, StorageUnavailable)):
            await late


async def test_too_few_connections_are_told_and_those_there_are_go_on(server: Server, database: Database) -> None:
    name = await current(database)
    await server.cluster.do(f"CREATE ROLE poor LOGIN CONNECTION LIMIT 2; GRANT ALL ON DATABASE {name} TO poor")
    try:
        poor = Database(server.url(name, "poor"), limit=LIMIT)
        await poor.open()

        async def read() -> None:
            async with poor.reading() as connection:
                await connection.execute(text("SELECT pg_sleep(0.2)"))

        found = await asyncio.gather(*(took(read) for _ in range(4)))
        errors = [error for _, error in found if error is not None]
        assert [str(error) for error in errors] == ['too many connections for role "poor"'] * 2
        assert {error.mend for error in errors if isinstance(error, StorageUnavailable)} == {"raise the server's max_connections"}
        assert not poor.figures.away
        assert (await took(read))[1] is None
        await poor.close()
    finally:
        await server.cluster.do(f"REVOKE ALL ON DATABASE {name} FROM poor; DROP ROLE poor")


@pytest.mark.parametrize(
    ("address", "reason", "mend"),
    [
        (
            "postgresql://{role}:wr%2Fong@127.0.0.1:{port}/postgres",
            'password authentication failed for user "{role}"',
            "set the role's password",
        ),
        ("postgresql://{role}:right@127.0.0.1:{port}/nowhere", 'database "nowhere" does not exist', "make the database"),
        ("postgresql://{role}:right@127.0.0.1:1/postgres", "connection refused", "see that PostgreSQL runs"),
        ("postgresql://{role}:right@127.0.0.1:{port}/postgres?sslmode=require", "rejected SSL upgrade", "see that PostgreSQL runs"),
        ("postgresql://{role}:right@nowhere.invalid:{port}/postgres", "the host has no address", "give another host"),
        ("postgresql://{role}:right@127.0.0.1:{port}/postgres?sslmod=no", 'unrecognized configuration parameter "sslmod"', "spelt right"),
        ("postgresql://{role}:right@127.0.0.1:x/postgres", "the address makes no sense", "postgresql://ROLE"),
        ("postgresql://{role}:right@127.0.0.1:{port}/postgres?sslmode=x", "", "postgresql://ROLE"),
    ],
)
async def test_what_can_not_be_opened_is_told_with_its_mend(server: Server, address: str, reason: str, mend: str) -> None:
    role = f"role{secrets.token_hex(4)}"
    await server.cluster.do(f"CREATE ROLE {role} LOGIN PASSWORD 'right'")
    server.let_in_by_password(role)
    await asyncio.sleep(0.2)
    database = Database(address.format(role=role, port=server.port), limit=LIMIT)
    with pytest.raises(StorageUnavailable) as caught:
        await database.open()
    await database.close()
    assert reason.format(role=role) in str(caught.value)
    assert mend in caught.value.mend
    for password in ("wr%2Fong", "wr/ong", "right@"):
        assert password not in str(caught.value) + caught.value.mend


async def test_where_nothing_may_be_written_one_can_still_read(server: Server, database: Database) -> None:
    await add(database, "before")
    name = await current(database)
    await server.cluster.do(f"ALTER DATABASE {name} SET default_transaction_read_only = on")  # as a standby is
    async with opened(server.url(name)) as standby:
        with pytest.raises(StorageUnavailable, match="read-only transaction"):
            await standby.submit(lambda connection: insert(connection, "refused"))
        assert await names(standby) == ["before"]
        await server.cluster.do(f"ALTER DATABASE {name} RESET default_transaction_read_only")  # as one that was promoted
        await standby.submit(lambda connection: insert(connection, "after"))
    assert await names(database) == ["before", "after"]


async def test_a_full_disk_is_unavailable_and_passes() -> None:
    server = Server(options=(*QUICK, "max_wal_size=1GB"), largest=20 * 1024 * 1024)
    try:
        server.create()
        server.start()
        async with opened(server.url("postgres"), 20.0) as database:
            async with database.migrating("router") as connection:
                await connection.execute(text("CREATE TABLE t (id SERIAL PRIMARY KEY, name TEXT)"))

            async def fill(connection: AsyncConnection) -> None:
                for _ in range(30):
                    await insert(connection, secrets.token_hex(1_000_000))

            works = (database.submit(fill), database.submit(lambda connection: insert(connection, "with it")))
            outcomes = await asyncio.gather(*works, return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {StorageUnavailable}
            assert "could not extend file" in str(outcomes[0])
            await database.submit(lambda connection: insert(connection, "after"))
            assert await names(database) == ["after"]
    finally:
        server.remove()


async def test_a_way_with_many_hosts_leads_to_the_one_that_is_there(server: Server) -> None:
    url = f"postgresql://aldis@127.0.0.1:1,127.0.0.1:{server.port}/postgres?target_session_attrs=read-write"
    async with opened(url) as database, database.reading() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1


STARTER = """
import time
from tests.support.postgres import Server, shared
server = Server()
server.create()
server.start()
print(server.port, shared().port, server.folder, flush=True)
time.sleep(60)
"""


def test_servers_end_with_whoever_started_them_though_that_is_killed() -> None:
    root = Path(__file__).parents[2]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    environ.pop("PYTEST_XDIST_TESTRUNUID", None)
    starter = subprocess.Popen([sys.executable, "-c", STARTER], stdout=subprocess.PIPE, text=True, env=environ)
    assert starter.stdout is not None
    own, shared, folder = starter.stdout.readline().split()
    starter.stdout.close()
    assert listens(int(own))
    assert listens(int(shared))
    starter.kill()
    starter.wait()
    until = time.monotonic() + 30
    while listens(int(own)) or listens(int(shared)):
        assert time.monotonic() < until
        time.sleep(0.05)
    shutil.rmtree(folder)


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
