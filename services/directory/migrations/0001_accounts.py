"""Accounts, what is kept of their passwords, who is still to be told of them, and the directory's own secrets."""

from alembic.operations import Operations
from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Integer, LargeBinary, Text, UniqueConstraint


def upgrade(op: Operations) -> None:
    """Make the tables."""
    op.create_table(
        "directory_accounts",
        Column("id", Integer, primary_key=True),
        Column("domain", Text, nullable=False),
        Column("localpart", Text, nullable=False),
        Column("created", BigInteger, nullable=False),
        Column("disabled", Boolean, nullable=False),
        UniqueConstraint("domain", "localpart", name="directory_accounts_name"),
    )
    op.create_table(
        "directory_credentials",
        Column("account", Integer, ForeignKey("directory_accounts.id"), primary_key=True),
        Column("mechanism", Text, primary_key=True),
        Column("salt", LargeBinary, nullable=False),
        Column("iterations", Integer, nullable=False),
        Column("stored_key", LargeBinary, nullable=False),
        Column("server_key", LargeBinary, nullable=False),
    )
    op.create_table(
        "directory_notices",
        Column("domain", Text, primary_key=True),
        Column("localpart", Text, primary_key=True),
        Column("kind", Text, primary_key=True),
        Column("service", Text, primary_key=True),
        Column("origin", Text, nullable=False),
        Column("since", Float, nullable=False),
    )
    op.create_table(
        "directory_secrets",
        Column("name", Text, primary_key=True),
        Column("value", LargeBinary, nullable=False),
    )
