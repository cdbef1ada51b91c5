"""Migrations on real files: fresh, upgraded, too new, raced and broken ones."""

import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from aldis.core.storage import Database, MigrationError
from aldis.core.storage.migrations import Applied, MigrationSet, migrate, pending

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
from sqlalchemy import Column, Text

def upgrade(op):
    with op.batch_alter_table("router_user", recreate="always") as batch:
        batch.add_column(Column("site", Text))
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
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/a.db", durable=False)
    await database.open()
    yield database
    await database.close()


async def tables(database: Database) -> set[str]:
    async with database.reading() as connection:
        return set((await connection.execute(text("SELECT name FROM sqlite_schema WHERE type = 'table'"))).scalars())


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


def start(database: Path, migrations: MigrationSet, code: str = PROCESS) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", code, f"sqlite:///{database}", str(migrations.path)], stdout=subprocess.PIPE, text=True)


def test_of_processes_that_start_at_once_one_migrates(tmp_path: Path, migrations: MigrationSet) -> None:
    slow = FIRST.replace("def upgrade(op):", "def upgrade(op):\n    import time; time.sleep(0.5)")
    (migrations.path / "0001_users.py").write_text(slow)
    processes = [start(tmp_path / "a.db", migrations) for _ in range(3)]
    outcomes = sorted(process.communicate()[0].split()[0] for process in processes)
    assert outcomes == ["0", "0", "1"]


def test_a_start_with_nothing_to_do_does_not_import_alembic(tmp_path: Path, migrations: MigrationSet) -> None:
    outcomes = [start(tmp_path / "a.db", migrations).communicate()[0].split() for _ in range(2)]
    assert outcomes == [["1", "True"], ["0", "False"]]


def test_a_process_killed_in_a_migration_leaves_nothing_half_done(tmp_path: Path, migrations: MigrationSet) -> None:
    killed = FIRST + "    import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n"
    (migrations.path / "0001_users.py").write_text(killed)
    process = start(tmp_path / "a.db", migrations)
    process.communicate()
    assert process.returncode == -9
    connection = sqlite3.connect(tmp_path / "a.db")
    assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == []
    connection.close()
    (migrations.path / "0001_users.py").write_text(FIRST)
    assert start(tmp_path / "a.db", migrations).communicate()[0].split() == ["1", "True"]


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
    await migrate(database, [migrations])
    async with database.transaction() as connection:
        await connection.execute(text("INSERT INTO router_user VALUES ('romeo')"))
        await connection.execute(text("INSERT INTO router_item VALUES ('romeo', 'juliet')"))
    (migrations.path / "0002_lost.py").write_text("def upgrade(op):\n    op.execute('DELETE FROM router_user')\n")
    with pytest.raises(MigrationError, match="rows without what they refer to"):
        await migrate(database, [migrations])
    assert await pending(database, [migrations]) == ["router/0002_lost.py"]
