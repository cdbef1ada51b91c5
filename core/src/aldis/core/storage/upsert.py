"""INSERT … ON CONFLICT: both databases have it, but SQLAlchemy has it only by dialect."""

from typing import TYPE_CHECKING

from sqlalchemy import Table
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql


def insert(tx: AsyncConnection, table: Table) -> "sqlite.Insert | postgresql.Insert":
    """An INSERT for the database that the transaction is open on, with `on_conflict_do_update` and `on_conflict_do_nothing`."""
    if tx.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415  who has SQLite needn't load it

        return postgresql.insert(table)
    return sqlite.insert(table)
