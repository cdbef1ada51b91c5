"""The machinery's tables, the secrets that all processes share, and the outbox. Owners and processes: `registry.py`."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from secrets import token_bytes
from typing import TypeVar

from sqlalchemy import BigInteger, Column, Delete, Float, Integer, LargeBinary, MetaData, String, Table, delete, select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from aldis.core.contracts.base import Origin
from aldis.core.shards import effects as outbox
from aldis.core.shards.effects import Effect
from aldis.core.shards.fenced import Fenced
from aldis.core.storage import CommitUnknown, Database, StorageUnavailable
from aldis.core.storage.migrations import MigrationSet
from aldis.core.storage.upsert import insert
from aldis.core.xmpp.errors.stanza import StanzaError

MARKED = 86_400.0
"""Seconds that a mark may stand: what it tells of comes again at once, or when an operator has started the process again."""
KEPT = 120.0
"""Seconds that an outbox row outlives its change: far longer than an input can come again."""
SWEEP = 10.0
"""Seconds after which an owner looks for old rows again."""
SWEPT = 1000
SURE = 5.0
"""Seconds that it may take to find out what became of a commit."""
PAUSE = 0.25
T = TypeVar("T")

metadata = MetaData()
owners = Table(
    "shards_owners",
    metadata,
    Column("shard", Integer, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("owner", String),
)
members = Table(
    "shards_members",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("queue", String, nullable=False),
    Column("renewed", Float(53), nullable=False),
)
counts = Table("shards_count", metadata, Column("kind", String, primary_key=True), Column("shards", Integer, nullable=False))
outgoing = Table(
    "shards_outbox",
    metadata,
    Column("origin_session", String, primary_key=True),
    Column("origin_n", BigInteger, primary_key=True),
    Column("effects", LargeBinary, nullable=False),
    Column("at", Float, nullable=False, index=True),
)
marks = Table(
    "shards_marks",
    metadata,
    Column("shard", Integer, primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("at", Float(53), nullable=False, index=True),
)
secrets = Table("shards_secret", metadata, Column("name", String, primary_key=True), Column("value", LargeBinary, nullable=False))


def migrations() -> MigrationSet:
    """The machinery's tables: beside the package when installed, in core's folder in a working tree."""
    package = Path(__file__).parents[1]
    installed = package / "migrations"
    return MigrationSet("shards", installed if installed.is_dir() else package.parents[2] / "migrations")


class Secrets:
    """Random keys that all processes share."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def secret(self, name: str) -> bytes:
        """A random key of 32 bytes that all processes share, made when it is first asked for."""

        async def work(tx: AsyncConnection) -> bytes:
            row = insert(tx, secrets).values(name=name, value=token_bytes(32)).on_conflict_do_nothing()
            await tx.execute(row)
            return bytes((await tx.execute(select(secrets.c.value).where(secrets.c.name == name))).scalar_one())

        return await self._database.submit(work)


class SqlMarks:
    """See `poison.Marks`."""

    def __init__(self, database: Database, wall: Callable[[], float]) -> None:
        self._database = database
        self._wall = wall

    async def put(self, shard: int, digest: bytes) -> bool:
        """Mark a message; False if it is marked already."""
        now = self._wall()

        async def work(tx: AsyncConnection) -> int:
            await tx.execute(delete(marks).where(marks.c.at < now - MARKED))
            row = insert(tx, marks).values(shard=shard, digest=digest, at=now)
            return (await tx.execute(row.on_conflict_do_nothing())).rowcount

        return await self._database.submit(work) == 1

    async def clear(self, shard: int, digests: Sequence[bytes]) -> None:
        """They are handled."""
        done = (marks.c.shard == shard) & marks.c.digest.in_(digests)
        await self._database.submit(lambda tx: tx.execute(delete(marks).where(done)))


class Outbox:
    """Changes that also send: both are committed together, once for each origin, and only by the shard's owner."""

    def __init__(self, database: Database, shard: int, epoch: int, wall: Callable[[], float]) -> None:
        self._database = database
        self._shard = shard
        self._epoch = epoch
        self._wall = wall
        self._swept = 0.0

    async def once(self, origin: Origin, decide: Callable[[AsyncConnection], Awaitable[tuple[Effect, ...]]]) -> tuple[Effect, ...]:
        """Commit what `decide` writes and the effects that it returns; done before, return those again instead.

        `decide` touches nothing but the connection and may run twice; it refuses, by a `StanzaError`, before it writes.
        Raises `Fenced`, `StorageUnavailable`, and what `decide` raises, in which case nothing is written; after
        `CommitUnknown` it may be.
        """

        async def work(tx: AsyncConnection) -> tuple[Effect, ...] | StanzaError:
            await self.fence(tx)
            key = (outgoing.c.origin_session == origin.session) & (outgoing.c.origin_n == origin.n)
            known = (await tx.execute(select(outgoing.c.effects).where(key))).scalar_one_or_none()
            if known is not None:
                return outbox.decode(known)
            try:
                effects = await decide(tx)
            except StanzaError as refusal:  # returned, since raising would undo what others do in the same transaction
                return refusal
            now = self._wall()
            if now - self._swept > SWEEP:
                self._swept = now
                await tx.execute(_sweep(now))
            await tx.execute(
                outgoing.insert().values(origin_session=origin.session, origin_n=origin.n, effects=outbox.encode(effects), at=now)
            )
            return effects

        done = await self._surely(work)
        if isinstance(done, StanzaError):
            raise done
        return done

    async def _surely(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Do it, and where a commit's answer was lost again, which tells what became of the first time."""
        unsure: CommitUnknown | None = None
        until = time.monotonic() + SURE
        while True:
            try:
                return await self._database.submit(work)
            except CommitUnknown as error:
                unsure = error
            except (StorageUnavailable, IntegrityError):  # the database is not back yet, or just now commits the first time
                if unsure is None:
                    raise
            if time.monotonic() > until:
                raise unsure
            await asyncio.sleep(PAUSE)

    async def fence(self, tx: AsyncConnection) -> None:
        """Raise `Fenced` unless the epoch is still the shard's, and keep it so until the transaction ends.

        Where several processes write at once, a newer owner's claim waits for the lock that is taken here: what is committed
        under an epoch is committed before the next one begins.
        """
        mine = select(owners.c.epoch).where(owners.c.shard == self._shard).with_for_update(read=True)
        epoch = (await tx.execute(mine)).scalar_one_or_none()
        if epoch != self._epoch:
            raise Fenced(f"shard {self._shard} is under epoch {epoch}, not {self._epoch}")


def _sweep(now: float) -> Delete:
    """Delete old rows, a bounded number, and none that another owner is deleting."""
    key = (outgoing.c.origin_session, outgoing.c.origin_n)
    old = select(*key).where(outgoing.c.at < now - KEPT).limit(SWEPT).with_for_update(skip_locked=True)
    return delete(outgoing).where(tuple_(*key).in_(old))
