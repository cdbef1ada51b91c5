"""The registry in the database: processes with their leases, owners and epochs of shards, and how many shards there are."""

from typing import Any

from sqlalchemy import Float, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from aldis.core.shards.leases import Pace
from aldis.core.shards.members import GATEWAY, Member, Owned, View, WrongShards
from aldis.core.shards.store import counts, members, owners
from aldis.core.storage.engine import Database
from aldis.core.storage.upsert import insert

ROUTERS = "router"
"""Whose shards are counted; each sharded service has its own number."""
JUMP = 1_000_000
"""Far more often than a shard changes hands between a backup and its restore."""


class database_time(GenericFunction[float]):  # noqa: N801  a function's name in SQL
    """Seconds since 1970 by the database's clock: hosts' clocks differ, this one is the same for everybody."""

    type = Float()
    inherit_cache = True


@compiles(database_time, "sqlite")
def _sqlite_time(*_: Any, **__: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(database_time, "postgresql")
def _postgresql_time(*_: Any, **__: Any) -> str:
    return "extract(epoch FROM clock_timestamp())::float8"


class SqlRegistry:
    """See `members.Registry`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- processes

    async def agree(self, shards: int) -> None:
        """Raise `WrongShards` unless everybody uses so many; the first one decides."""

        async def work(tx: AsyncConnection) -> int:
            await tx.execute(insert(tx, counts).values(kind=ROUTERS, shards=shards).on_conflict_do_nothing())
            return int((await tx.execute(select(counts.c.shards).where(counts.c.kind == ROUTERS))).scalar_one())

        stored = await self._database.submit(work)
        if stored != shards:
            raise WrongShards(stored, shards)

    async def join(self, member: str, kind: str, queue: str) -> None:
        """Enter a process, or its new queue; its lease begins."""

        async def work(tx: AsyncConnection) -> None:
            row = {"kind": kind, "queue": queue, "renewed": database_time()}
            await tx.execute(insert(tx, members).values(id=member, **row).on_conflict_do_update(index_elements=["id"], set_=row))

        await self._database.submit(work)

    async def renew(self, member: str) -> bool:
        """Renew its lease; False if somebody has taken it for dead and removed it."""
        statement = update(members).where(members.c.id == member).values(renewed=database_time())

        async def work(tx: AsyncConnection) -> int:
            return (await tx.execute(statement)).rowcount

        return bool(await self._database.submit(work))

    async def leave(self, member: str) -> None:
        """Remove a process that ends."""
        await self._database.submit(lambda tx: tx.execute(delete(members).where(members.c.id == member)))

    async def forget(self, member: Member) -> None:
        """Remove a dead process, unless it has renewed its lease meanwhile."""
        dead = (members.c.id == member.id) & (members.c.renewed == member.renewed)
        await self._database.submit(lambda tx: tx.execute(delete(members).where(dead)))

    async def forget_all(self) -> None:
        """In one process: what an earlier run left behind."""
        await self._database.submit(lambda tx: tx.execute(delete(members)))

    async def restored(self) -> list[str]:
        """The database went back in time: raise every epoch above all that there were since, and forget the processes of then.

        Whoever remembers a later epoch, such as another shard by what waits in its queue, would refuse the owners to come. Changes
        nothing while a process runs; the ids of those that do.
        """

        async def work(tx: AsyncConnection) -> list[str]:
            alive = list((await tx.execute(select(members.c.id).where(database_time() - members.c.renewed < Pace().lease))).scalars())
            if not alive:
                await tx.execute(update(owners).values(epoch=owners.c.epoch + JUMP, owner=None))
                await tx.execute(delete(members))
            return alive

        return await self._database.submit(work)

    async def view(self) -> View:
        """Everything."""
        age = (database_time() - members.c.renewed).label("age")
        async with self._database.reading() as connection:
            rows = await connection.execute(select(members, age).order_by(members.c.id))
            found = tuple(Member(row.id, row.kind, row.queue, row.renewed, row.age) for row in rows)
            shards = await connection.execute(select(owners).order_by(owners.c.shard))
            return View(found, {row.shard: Owned(row.epoch, row.owner) for row in shards})

    async def gateways(self) -> list[Member]:
        """The registered gateways."""
        return (await self.view()).of(GATEWAY)

    # --- shards

    async def claim(self, shard: int, owner: str, instead_of: str | None) -> int | None:
        """Own the shard under a raised epoch, which is the answer; None if its row names somebody else than these two.

        Not with others in one transaction, since it may have to wait for the writes of the owner before.
        """
        free = or_(owners.c.owner.is_(None), owners.c.owner.in_([owner] if instead_of is None else [owner, instead_of]))
        async with self._database.transaction() as tx:
            row = insert(tx, owners).values(shard=shard, epoch=1, owner=owner)
            raised = {"epoch": owners.c.epoch + 1, "owner": owner}
            claim = row.on_conflict_do_update(index_elements=["shard"], set_=raised, where=free).returning(owners.c.epoch)
            epoch: int | None = (await tx.execute(claim)).scalar_one_or_none()
            return epoch

    async def release(self, shard: int, owner: str, heir: str | None) -> int | None:
        """Pass the shard's row on to the heir, or to nobody; its epoch, or None if it was not the owner's."""
        mine = (owners.c.shard == shard) & (owners.c.owner == owner)
        statement = update(owners).where(mine).values(owner=heir).returning(owners.c.epoch)

        async def work(tx: AsyncConnection) -> int | None:
            epoch: int | None = (await tx.execute(statement)).scalar_one_or_none()
            return epoch

        return await self._database.submit(work)

    async def epoch(self, shard: int) -> int:
        """The shard's epoch just now; 0 if it never had an owner."""
        async with self._database.reading() as connection:
            return (await connection.execute(select(owners.c.epoch).where(owners.c.shard == shard))).scalar_one_or_none() or 0
