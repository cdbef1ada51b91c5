"""Owners and epochs of shards, the registered gateways, the outbox, and the key of made ids."""

from alembic.operations import Operations
from sqlalchemy import BigInteger, Column, Float, Integer, LargeBinary, String


def upgrade(op: Operations) -> None:
    """Index the outbox by age, since old rows are deleted with each new one."""
    op.create_table(
        "shards_owners",
        Column("shard", Integer, primary_key=True, autoincrement=False),
        Column("epoch", BigInteger, nullable=False),
        Column("owner", String),
    )
    op.create_table("shards_gateways", Column("queue", String, primary_key=True))
    op.create_table(
        "shards_outbox",
        Column("origin_session", String, primary_key=True),
        Column("origin_n", BigInteger, primary_key=True, autoincrement=False),
        Column("effects", LargeBinary, nullable=False),
        Column("at", Float, nullable=False, index=True),
    )
    op.create_table("shards_secret", Column("name", String, primary_key=True), Column("value", LargeBinary, nullable=False))
