"""Contacts with their subscriptions and pending requests, and the version of each roster."""

from alembic.operations import Operations
from sqlalchemy import JSON, BigInteger, Boolean, Column, LargeBinary, Text


def upgrade(op: Operations) -> None:
    """Cluster a roster's rows by its account, since they are always read together."""
    op.create_table(
        "router_roster",
        Column("account", Text, primary_key=True),
        Column("contact", Text, primary_key=True),
        Column("name", Text, nullable=False),
        Column("groups", JSON, nullable=False),
        Column("subscription", Text, nullable=False),
        Column("ask", Boolean, nullable=False),
        Column("approved", Boolean, nullable=False),
        Column("pending_in", LargeBinary),
        Column("listed", Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "router_roster_versions",
        Column("account", Text, primary_key=True),
        Column("version", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
