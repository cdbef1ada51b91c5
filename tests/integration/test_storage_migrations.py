"""Migrations on both kinds of databases: fresh, upgraded, too new, raced and broken ones."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import JSON, Boolean, Connection, Float, Integer, LargeBinary, String, inspect, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.types import TypeEngine

from aldis.core.storage import Database, MigrationError
from aldis.core.storage.migrations import Applied, MigrationSet, migrate, pending
from aldis.launcher.store import migration_sets
from tests.support.stores import KINDS, make

FIRST = """
from sqlalchemy import Column, ForeignKey, Text

def upgrade(op):
    op.create_table("router_user", Column("jid", Text, primary_key=True))
    op.create_table("router_item", Column("owner", Text, ForeignKey("router_user.jid", ondelete="CASCADE")), Column("jid", Text))
"""
SECOND = """
from sqlalchemy import Column, Text

def upgrade(op):
    op.add_column("router_item", Column("name", Text, nullable=False, server_default=""))
"""
REBUILT = """
from sqlalchemy import Column, String, Text

def upgrade(op):
    with op.batch_alter_table("router_user") as batch:
        batch.add_column(Column("site", Text))
        batch.alter_column("jid", type_=String(3071))
"""
BROKEN = """
from sqlalchemy import Column, Text

def upgrade(op):
    op.create_table("router_half", Column("jid", Text))
    op.execute("INSERT INTO router_user VALUES ('half')")
    raise RuntimeError("power cut")
"""


@pytest.fixture
def migrations(tmp_path: Path) -> MigrationSet:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_users.py").write_text(FIRST)
    return MigrationSet("router", folder)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, durable=False)
    await database.open()
    yield database
    await database.close()


async def tables(database: Database) -> set[str]:
    async with database.reading() as connection:
        return set(await connection.run_sync(lambda connection: inspect(connection).get_table_names()))


async def test_a_fresh_database_gets_everything_and_a_second_run_does_nothing(database: Database, migrations: MigrationSet) -> None:
    assert await pending(database, [migrations]) == ["router/0001_users.py"]
    assert await migrate(database, [migrations]) == [Applied("router", "0001_users.py")]
    assert await tables(database) == {"router_user", "router_item", "router_migrations"}
    assert await migrate(database, [migrations]) == []
    assert await pending(database, [migrations]) == []


async def test_an_older_database_gets_what_is_new_and_keeps_its_rows(database: Database, migrations: MigrationSet) -> None:
    await migrate(database, [migrations])
    async with database.transaction() as connection:
        await connection.execute(text("INSERT INTO router_user VALUES ('romeo')"))
        await connection.execute(text("INSERT INTO router_item VALUES ('romeo', 'juliet')"))
    (migrations.path / "0002_names.py").write_text(SECOND)
    (migrations.path / "0003_sites.py").write_text(REBUILT)
    assert [done.file for done in await migrate(database, [migrations])] == ["0002_names.py", "0003_sites.py"]
    async with database.reading() as connection:
        assert (await connection.execute(text("SELECT * FROM router_item"))).all() == [("romeo", "juliet", "")]


async def test_services_have_histories_of_their_own(database: Database, migrations: MigrationSet, tmp_path: Path) -> None:
    other = MigrationSet("directory", tmp_path / "directory")
    other.path.mkdir()
    (other.path / "0001_accounts.py").write_text(FIRST.replace("router_", "directory_"))
    await migrate(database, [migrations, other])
    (other.path / "0002_names.py").write_text(SECOND.replace("router_", "directory_"))
    assert await migrate(database, [migrations, other]) == [Applied("directory", "0002_names.py")]


async def test_a_newer_database_is_refused_with_what_to_do(database: Database, migrations: MigrationSet) -> None:
    (migrations.path / "0002_names.py").write_text(SECOND)
    await migrate(database, [migrations])
    (migrations.path / "0002_names.py").unlink()
    for ask in (migrate, pending):
        with pytest.raises(MigrationError, match="version 2, this program knows 1: start the newer program"):
            await ask(database, [migrations])


async def test_a_failure_in_the_middle_leaves_nothing_half_done(database: Database, migrations: MigrationSet) -> None:
    await migrate(database, [migrations])
    (migrations.path / "0002_names.py").write_text(SECOND)
    (migrations.path / "0003_broken.py").write_text(BROKEN)
    with pytest.raises(RuntimeError, match="power cut"):
        await migrate(database, [migrations])
    assert "router_half" not in await tables(database)
    assert await pending(database, [migrations]) == ["router/0002_names.py", "router/0003_broken.py"]
    async with database.reading() as connection:
        assert (await connection.execute(text("SELECT * FROM router_user"))).all() == []
    (migrations.path / "0003_broken.py").unlink()
    assert await migrate(database, [migrations]) == [Applied("router", "0002_names.py")]


PROCESS = """
import asyncio, pathlib, sys
from aldis.core.storage import Database, MigrationError
from aldis.core.storage.migrations import MigrationSet, migrate

async def main():
    database = Database(sys.argv[1])
    await database.open()
    done = await migrate(database, [MigrationSet("router", pathlib.Path(sys.argv[2]))])
    print(len(done), "alembic" in sys.modules)
    await database.close()

asyncio.run(main())
"""


async def start(url: str, migrations: MigrationSet) -> tuple[int | None, list[str]]:
    """Migrate in a process of its own; its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROCESS, url, str(migrations.path), stdout=asyncio.subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode().split()


async def test_of_processes_that_start_at_once_one_migrates(database_url: str, migrations: MigrationSet) -> None:
    slow = FIRST.replace("def upgrade(op):", "def upgrade(op):\n    import time; time.sleep(0.5)")
    (migrations.path / "0001_users.py").write_text(slow)
    outcomes = await asyncio.gather(*(start(database_url, migrations) for _ in range(3)))
    assert sorted(printed[0] for _, printed in outcomes) == ["0", "0", "1"]


async def test_a_start_with_nothing_to_do_does_not_import_alembic(database_url: str, migrations: MigrationSet) -> None:
    assert await start(database_url, migrations) == (0, ["1", "True"])
    assert await start(database_url, migrations) == (0, ["0", "False"])


async def test_a_process_killed_in_a_migration_leaves_nothing_half_done(database_url: str, migrations: MigrationSet) -> None:
    killed = FIRST + "    import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n"
    (migrations.path / "0001_users.py").write_text(killed)
    assert await start(database_url, migrations) == (-9, [])
    database = Database(database_url)
    await database.open()
    assert await tables(database) == set()
    await database.close()
    (migrations.path / "0001_users.py").write_text(FIRST)
    assert await start(database_url, migrations) == (0, ["1", "True"])


async def test_a_service_makes_no_tables_in_anothers_name(database: Database, migrations: MigrationSet) -> None:
    (migrations.path / "0001_users.py").write_text(FIRST.replace("router_item", "muc_item"))
    with pytest.raises(MigrationError, match="not its own: muc_item"):
        await migrate(database, [migrations])
    assert await tables(database) == set()


@pytest.mark.parametrize(
    "names", [[], ["0002_late.py"], ["0001_a.py", "0003_c.py"], ["0001_a.py", "0001_b.py"], ["0001_a.py", "helpers.py"]]
)
async def test_a_folder_with_gaps_is_refused(database: Database, tmp_path: Path, names: list[str]) -> None:
    folder = tmp_path / "gaps"
    folder.mkdir()
    for name in names:
        (folder / name).write_text(FIRST)
    with pytest.raises(MigrationError, match="not numbered"):
        await migrate(database, [MigrationSet("router", folder)])


async def test_rows_that_lose_what_they_refer_to_stop_a_migration(database: Database, migrations: MigrationSet) -> None:
    (migrations.path / "0001_users.py").write_text(FIRST.replace(', ondelete="CASCADE"', ""))
    await migrate(database, [migrations])
    async with database.transaction() as connection:
        await connection.execute(text("INSERT INTO router_user VALUES ('romeo')"))
        await connection.execute(text("INSERT INTO router_item VALUES ('romeo', 'juliet')"))
    (migrations.path / "0002_lost.py").write_text("def upgrade(op):\n    op.execute('DELETE FROM router_user')\n")
    with pytest.raises((MigrationError, IntegrityError), match=r"rows without what they refer to|violates foreign key"):
        await migrate(database, [migrations])
    assert await pending(database, [migrations]) == ["router/0002_lost.py"]


@pytest.mark.needs("initdb", "postgres")
async def test_a_service_makes_no_tables_in_anothers_schema(postgres_url: str, migrations: MigrationSet) -> None:
    database = Database(postgres_url, durable=False)
    await database.open()
    (migrations.path / "0002_elsewhere.py").write_text("def upgrade(op):\n    op.execute('CREATE TABLE public.router_x (x INTEGER)')\n")
    with pytest.raises(MigrationError, match=r"not its own: public\.router_x"):
        await migrate(database, [migrations])
    assert await tables(database) == set()
    await database.close()


def described(connection: Connection) -> dict[str, object]:
    """What there is in a database, in words that fit both kinds."""
    inspector = inspect(connection)
    found: dict[str, object] = {}
    for name in sorted(inspector.get_table_names()):
        key = inspector.get_pk_constraint(name)["constrained_columns"]
        found[name] = {
            "columns": [
                (column["name"], affinity(column["type"]), column["nullable"] and column["name"] not in key)
                for column in inspector.get_columns(name)
            ],
            "key": key,
            "unique": sorted(tuple(unique["column_names"]) for unique in inspector.get_unique_constraints(name)),
            "foreign": sorted((tuple(key["constrained_columns"]), key["referred_table"]) for key in inspector.get_foreign_keys(name)),
            "indexes": sorted(
                tuple(index["column_names"]) for index in inspector.get_indexes(name) if not index.get("duplicates_constraint")
            ),
        }
    return found


def affinity(type_: TypeEngine[Any]) -> str:
    """Of the types of a column that both kinds have, the one that this is."""
    kinds = (Boolean, JSON, Integer, Float, LargeBinary, String)
    return next(kind.__name__ for kind in kinds if isinstance(type_, kind))


@pytest.mark.needs("initdb", "postgres")
async def test_both_kinds_of_databases_come_to_the_same_tables(tmp_path: Path) -> None:
    found = {}
    for kind in KINDS:
        async with make(kind, tmp_path).fresh(tmp_path) as url:
            database = Database(url, durable=False)
            await database.open()
            await migrate(database, migration_sets())
            async with database.reading() as connection:
                found[kind] = await connection.run_sync(described)
            await database.close()
    assert len(found["sqlite"]) > 8
    assert found["sqlite"] == found["postgresql"]
