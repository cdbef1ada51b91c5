"""Migrations: each service brings its tables to the shape that its code expects, forward only, all or nothing.

A migration is a file `NNNN_what.py` in the service's folder, numbered from 0001 without gaps, with one function:

    def upgrade(op: Operations) -> None:
        op.create_table("router_roster", Column("owner", Text, primary_key=True))
"""

import importlib.util
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text
from sqlalchemy import inspect as inspect_database

from aldis.core.storage.engine import Database
from aldis.core.storage.errors import MigrationError

if TYPE_CHECKING:
    from alembic.operations import Operations

FILE = re.compile(r"(\d{4})_(\w+)\.py")
NAME = re.compile(r"[a-z][a-z0-9]*")


@dataclass(frozen=True, slots=True)
class MigrationSet:
    """The migrations of one service: `name` is the prefix of its tables and on PostgreSQL its schema, `path` the folder of its files."""

    name: str
    path: Path

    def files(self) -> list[Path]:
        """The files in order; raises `MigrationError` if one is missing or misnamed."""
        found = sorted(path for path in self.path.glob("*.py") if path.name != "__init__.py")
        numbers = [int(match[1]) for path in found if (match := FILE.fullmatch(path.name))]
        if not NAME.fullmatch(self.name) or not found or numbers != list(range(1, len(found) + 1)):
            names = ", ".join(path.name for path in found) or "nothing"
            raise MigrationError(f"the migrations of {self.name} are not numbered 0001, 0002 …: {self.path} has {names}; install again")
        return found

    @property
    def table(self) -> str:
        return f"{self.name}_migrations"


@dataclass(frozen=True, slots=True)
class Applied:
    """One migration that was applied just now."""

    service: str
    file: str


async def migrate(database: Database, sets: Sequence[MigrationSet]) -> list[Applied]:
    """Apply what is pending, one transaction for each service; tells what was applied.

    Whoever comes second, another process that starts at the same time, waits and finds nothing to do. alembic is imported
    only when there is something to do, since that costs more than the rest of the start.
    """
    applied: list[Applied] = []
    for migrations in sets:
        files = migrations.files()
        async with database.reading() as connection:
            version = await connection.run_sync(_version, migrations)
        if _pending(migrations, files, version):
            async with database.migrating(migrations.name) as connection:
                applied += await connection.run_sync(_apply, migrations, files)
    return applied


async def pending(database: Database, sets: Sequence[MigrationSet]) -> list[str]:
    """The files that `migrate` would apply, for `aldis migrate --check` and for services that must not migrate themselves."""
    waiting: list[str] = []
    for migrations in sets:
        async with database.reading() as connection:
            version = await connection.run_sync(_version, migrations)
        waiting += [f"{migrations.name}/{path.name}" for path in _pending(migrations, migrations.files(), version)]
    return waiting


def _version(connection: Connection, migrations: MigrationSet) -> int:
    if not inspect_database(connection).has_table(migrations.table):
        return 0
    return connection.scalar(text(f"SELECT max(version) FROM {migrations.table}")) or 0  # noqa: S608  a checked name


def _pending(migrations: MigrationSet, files: list[Path], version: int) -> list[Path]:
    if version > len(files):
        raise MigrationError(
            f"the tables of {migrations.name} have version {version}, this program knows {len(files)}: "
            "start the newer program that made them, or restore the backup from before it"
        )
    return files[version:]


def _apply(connection: Connection, migrations: MigrationSet, files: list[Path]) -> list[Applied]:
    """Run the pending files under the write lock, and look again first: another process may have been quicker."""
    from alembic.operations import Operations  # noqa: PLC0415  imported only when needed
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415

    todo = _pending(migrations, files, _version(connection, migrations))
    before = _tables(connection, migrations.name)
    connection.execute(
        text(f"CREATE TABLE IF NOT EXISTS {migrations.table} (version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied FLOAT NOT NULL)")
    )
    operations = Operations(MigrationContext.configure(connection))
    for path in todo:
        _upgrade(path, operations)
        connection.execute(
            text(f"INSERT INTO {migrations.table} VALUES (:version, :name, :applied)"),  # noqa: S608  a checked name
            {"version": int(path.name[:4]), "name": path.stem, "applied": time.time()},
        )
    foreign = [name for name in _tables(connection, migrations.name) - before if not name.startswith(f"{migrations.name}_")]
    if foreign:
        raise MigrationError(f"a migration of {migrations.name} makes tables that are not its own: {', '.join(sorted(foreign))}")
    return [Applied(migrations.name, path.name) for path in todo]


def _tables(connection: Connection, schema: str) -> set[str]:
    """All of the database; those that lie in no schema of the service's own bear that one's name as well."""
    inspector = inspect_database(connection)
    others = set(inspector.get_schema_names()) - {schema, "main", "information_schema"}
    return {*inspector.get_table_names(), *(f"{other}.{name}" for other in others for name in inspector.get_table_names(schema=other))}


def _upgrade(path: Path, operations: "Operations") -> None:
    spec = importlib.util.spec_from_file_location(f"aldis_migration_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise MigrationError(f"{path} can't be loaded; install again")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.upgrade(operations)
