"""Sessions that a shard's next owner would not hear of from any gateway, and what they were sent and do not have."""

from alembic.operations import Operations
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, String


def upgrade(op: Operations) -> None:
    """Make both tables; the copies are found by their session."""
    op.create_table(
        "shards_sessions",
        Column("session", String, primary_key=True),
        Column("shard", Integer, nullable=False, index=True),
        Column("handled", BigInteger, nullable=False),
        Column("state", LargeBinary, nullable=False),
    )
    op.create_table(
        "shards_copies",
        Column("session", String, primary_key=True),
        Column("number", BigInteger, primary_key=True, autoincrement=False),
        Column("copy", LargeBinary, nullable=False),
    )
