"""The processes that there are, with a lease each, instead of bare queues of gateways; and how many shards there are."""

from alembic.operations import Operations
from sqlalchemy import Column, Float, Integer, String


def upgrade(op: Operations) -> None:
    """Drop the old rows: they are of processes that are not running while this is."""
    op.drop_table("shards_gateways")
    op.create_table(
        "shards_members",
        Column("id", String, primary_key=True),
        Column("kind", String, nullable=False),
        Column("queue", String, nullable=False),
        Column("renewed", Float(53), nullable=False),
    )
    op.create_table("shards_count", Column("kind", String, primary_key=True), Column("shards", Integer, nullable=False))
