"""Marks on what is handled alone, because its batch came again and again: who is found marked has killed a process."""

from alembic.operations import Operations
from sqlalchemy import Column, Float, Integer, LargeBinary


def upgrade(op: Operations) -> None:
    """Index by age, since old rows are deleted with each new one."""
    op.create_table(
        "shards_marks",
        Column("shard", Integer, primary_key=True, autoincrement=False),
        Column("digest", LargeBinary, primary_key=True),
        Column("at", Float(53), nullable=False, index=True),
    )
