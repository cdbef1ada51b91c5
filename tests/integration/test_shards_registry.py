"""The registry on both databases: who is there, who owns what, and what the later of two gets to see."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from aldis.core.contracts.base import Origin
from aldis.core.shards.fenced import Fenced
from aldis.core.shards.members import GATEWAY, ROUTER, Owned, WrongShards
from aldis.core.shards.registry import SqlRegistry
from aldis.core.shards.store import Outbox, migrations
from aldis.core.storage import Database, Transaction
from aldis.core.storage.migrations import migrate


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, durable=False)
    await database.open()
    await migrate(database, [migrations()])
    yield database
    await database.close()


@pytest.fixture
def registry(database: Database) -> SqlRegistry:
    return SqlRegistry(database)


async def test_a_process_is_there_from_when_it_joins_until_it_leaves(registry: SqlRegistry) -> None:
    await registry.join("r1", ROUTER, "reply-1")
    await registry.join("g1", GATEWAY, "gate-1")
    await registry.join("r1", ROUTER, "reply-2")
    members = (await registry.view()).members
    assert [(member.id, member.kind, member.queue) for member in members] == [("g1", GATEWAY, "gate-1"), ("r1", ROUTER, "reply-2")]
    assert all(-0.1 < member.age < 5 for member in members)
    await registry.leave("r1")
    assert [member.id for member in (await registry.view()).members] == ["g1"]
    assert [member.queue for member in await registry.gateways()] == ["gate-1"]


async def test_a_lease_is_as_old_as_its_last_renewal_by_the_databases_clock(registry: SqlRegistry, database: Database) -> None:
    await registry.join("r1", ROUTER, "q")
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE shards_members SET renewed = renewed - 100"))
    (old,) = (await registry.view()).members
    assert 100 <= old.age < 105
    assert await registry.renew("r1")
    (young,) = (await registry.view()).members
    assert young.age < 5
    assert young.renewed > old.renewed
    await registry.forget(old)  # judged by what was seen before it renewed
    assert len((await registry.view()).members) == 1
    await registry.forget(young)
    assert (await registry.view()).members == ()
    assert not await registry.renew("r1")


async def test_the_first_process_decides_how_many_shards_there_are(registry: SqlRegistry) -> None:
    await registry.agree(4)
    await registry.agree(4)
    with pytest.raises(WrongShards, match=r"bus\.shards = 8: .* use 4.*set bus\.shards = 4"):
        await registry.agree(8)


async def test_a_shard_is_claimed_once_and_passed_on_by_name(registry: SqlRegistry) -> None:
    assert await registry.epoch(0) == 0
    assert await registry.claim(0, "r1", None) == 1
    assert await registry.claim(0, "r2", None) is None
    assert await registry.claim(0, "r1", None) == 2  # after it lost its queue
    assert await registry.release(0, "r2", "r2") is None
    assert await registry.release(0, "r1", "r2") == 2
    assert await registry.claim(0, "r3", None) is None
    assert await registry.claim(0, "r2", None) == 3
    assert await registry.claim(0, "r3", "r2") == 4  # which is dead
    assert await registry.release(0, "r3", None) == 4
    assert (await registry.view()).owners == {0: Owned(4, None)}
    assert await registry.claim(0, "r1", "r3") == 5
    assert await registry.epoch(0) == 5


async def test_of_many_who_claim_what_a_dead_one_had_one_gets_it(registry: SqlRegistry) -> None:
    await registry.claim(0, "dead", None)
    epochs = await asyncio.gather(*(registry.claim(0, f"r{n}", "dead") for n in range(10)))
    assert sorted(epoch for epoch in epochs if epoch is not None) == [2]


async def test_a_late_owner_writes_nothing(registry: SqlRegistry, database: Database) -> None:
    epoch = await registry.claim(0, "r1", None)
    assert epoch is not None
    late = Outbox(database, 0, epoch, lambda: 0.0)

    async def nothing(_: Transaction) -> tuple[()]:
        return ()

    assert await late.once(Origin("s", 1), nothing) == ()
    await registry.claim(0, "r2", "r1")
    with pytest.raises(Fenced):
        await late.once(Origin("s", 2), nothing)
    with pytest.raises(Fenced):
        await late.once(Origin("s", 1), nothing)


async def test_after_a_restore_no_epoch_comes_again_and_nobody_of_then_is_there(registry: SqlRegistry, database: Database) -> None:
    for shard in (0, 1):
        assert await registry.claim(shard, "r1", None) == 1
    await registry.join("r1", ROUTER, "q")
    assert await registry.restored() == ["r1"], "it runs"
    assert (await registry.view()).owners[0] == Owned(1, "r1"), "nothing was changed"
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE shards_members SET renewed = renewed - 3600"))
    assert await registry.restored() == []
    view = await registry.view()
    assert view.members == ()
    assert view.owners == {0: Owned(1_000_001, None), 1: Owned(1_000_001, None)}
    assert await registry.claim(0, "r2", None) == 1_000_002
