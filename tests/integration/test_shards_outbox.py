"""The outbox and its fence, with owners in several processes, on either kind of database."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from sqlalchemy import text

from aldis.core.contracts.base import Origin
from aldis.core.contracts.envelope import Envelope, Kind
from aldis.core.shards import store
from aldis.core.shards.effects import Effect
from aldis.core.shards.fenced import Fenced
from aldis.core.shards.registry import SqlRegistry
from aldis.core.shards.store import Outbox
from aldis.core.storage import Database, Transaction
from aldis.core.storage.migrations import migrate
from aldis.core.xmpp.errors.stanza import NotAllowed

COUNT = text("SELECT count(*) FROM shards_count")
ADD = text("INSERT INTO shards_count (kind, shards) VALUES (:kind, 1)")


def origin(n: int) -> Origin:
    return Origin("session", n)


def effect(name: str) -> Effect:
    stanza = Envelope(Kind.MESSAGE, "chat", "1", "a@example.org", "b@example.org", b"", (), origin(1))
    return Effect("send", "a@example.org", name, stanza)


def decides(kind: str) -> Callable[[Transaction], Awaitable[tuple[Effect, ...]]]:
    """A change that writes one row."""

    async def decide(tx: Transaction) -> tuple[Effect, ...]:
        await tx.execute(ADD, {"kind": kind})
        return (effect(kind),)

    return decide


async def rows(database: Database) -> int:
    async with database.reading() as connection:
        return int(await connection.scalar(COUNT) or 0)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, durable=False)
    await database.open()
    await migrate(database, [store.migrations()])
    yield database
    await database.close()


@pytest.fixture
async def other(database: Database, database_url: str) -> AsyncIterator[Database]:
    """Another process, as far as the database can tell."""
    other = Database(database_url, durable=False)
    await other.open()
    yield other
    await other.close()


async def outbox(database: Database, owner: str = "one", instead_of: str | None = None) -> Outbox:
    epoch = await SqlRegistry(database).claim(0, owner, instead_of)
    assert epoch is not None
    return Outbox(database, 0, epoch, lambda: 1000.0)


async def test_what_was_done_is_not_done_again(database: Database) -> None:
    owned = await outbox(database)
    assert await owned.once(origin(1), decides("first")) == (effect("first"),)
    assert await owned.once(origin(1), decides("again")) == (effect("first"),)
    assert await rows(database) == 1


async def test_a_refusal_writes_nothing_and_hinders_nobody(database: Database) -> None:
    owned = await outbox(database)

    async def refuse(tx: Transaction) -> tuple[Effect, ...]:
        raise NotAllowed

    works = [owned.once(origin(1), refuse), owned.once(origin(2), decides("second"))]
    outcomes = await asyncio.gather(*works, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [NotAllowed, tuple]
    assert await rows(database) == 1


async def test_a_deposed_owner_writes_nothing(database: Database, other: Database) -> None:
    old = await outbox(database)
    new = await outbox(other, "two", "one")
    with pytest.raises(Fenced):
        await old.once(origin(1), decides("late"))
    assert await new.once(origin(1), decides("first")) == (effect("first"),)
    assert await rows(database) == 1


async def test_an_epoch_is_not_raised_under_a_change_that_was_let_through(database: Database, other: Database) -> None:
    old = await outbox(database)
    let_through, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(tx: Transaction) -> tuple[Effect, ...]:
        let_through.set()
        await go_on.wait()
        return await decides("slow")(tx)

    change = asyncio.ensure_future(old.once(origin(1), slowly))
    await let_through.wait()
    claim = asyncio.ensure_future(outbox(other, "two", "one"))
    done, _ = await asyncio.wait([claim], timeout=0.3)
    assert not done  # else what is committed next would be of an older epoch
    go_on.set()
    await change
    new = await claim
    assert await new.once(origin(1), decides("again")) == (effect("slow"),)
    with pytest.raises(Fenced):
        await old.once(origin(2), decides("late"))


async def test_old_rows_are_swept(database: Database) -> None:
    now = 1000.0
    epoch = await SqlRegistry(database).claim(0, "one", None)
    assert epoch is not None
    owned = Outbox(database, 0, epoch, lambda: now)
    for n in range(5):
        await owned.once(origin(n), decides(f"n{n}"))
    now += store.KEPT + 1
    await owned.once(origin(9), decides("last"))
    async with database.reading() as connection:
        assert list((await connection.execute(text("SELECT origin_n FROM shards_outbox"))).scalars()) == [9]
