"""Turns on what may not exist yet, and so can't be locked itself."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection


async def exclusive(tx: AsyncConnection, name: str) -> None:
    """Let in nobody else who asks for this name until the transaction ends; what is read after it is what they left.

    On SQLite nobody else writes anyhow.
    """
    if tx.dialect.name == "postgresql":
        await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))
