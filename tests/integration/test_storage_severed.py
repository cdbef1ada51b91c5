"""A commit whose answer is lost: on the way between us and a PostgreSQL, which is cut."""

from collections.abc import AsyncIterator

import pytest

from aldis.core.shards import store
from aldis.core.storage import CommitUnknown, Database, StorageUnavailable
from aldis.core.storage.migrations import migrate
from tests.integration.test_shards_outbox import decides, effect, origin, outbox, rows
from tests.support.severed import way_to

pytestmark = pytest.mark.needs("initdb", "postgres")


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    database = Database(postgres_url, durable=False)
    await database.open()
    await migrate(database, [store.migrations()])
    yield database
    await database.close()


@pytest.mark.parametrize("where", ["break_before", "break_after"])
async def test_a_change_whose_commit_was_cut_off_is_made_once(database: Database, postgres_url: str, where: str) -> None:
    async with way_to(postgres_url) as way:
        far = Database(way.url, durable=False)
        await far.open()
        owned = await outbox(far)
        setattr(way, where, 2)
        assert await owned.once(origin(1), decides("first")) == (effect("first"),)
        assert way.broken == 2
        assert await rows(database) == 1
        await far.close()


async def test_a_commit_that_nobody_can_tell_of_is_told_as_that(
    database: Database, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "SURE", 0.5)
    async with way_to(postgres_url) as way:
        far = Database(way.url, durable=False)
        await far.open()
        owned = await outbox(far)
        way.break_before = 1000
        with pytest.raises(CommitUnknown):
            await owned.once(origin(1), decides("first"))
        way.break_before = 0
        assert await owned.once(origin(1), decides("first")) == (effect("first"),)
        await far.close()
    with pytest.raises(StorageUnavailable, match="not open"):
        await owned.once(origin(2), decides("closed"))
