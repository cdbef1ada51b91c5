"""The router's tables, on either kind of database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aldis.core.storage import Database
from aldis.core.storage.migrations import MigrationSet, migrate
from aldis.router.domain.roster import Item, Limits, Roster, RosterSet, Step
from aldis.router.domain.subscription import Action, State
from aldis.router.store import Store

MIGRATIONS = MigrationSet("router", Path(__file__).parents[2] / "services" / "router" / "migrations")
JULIET, ROMEO, NURSE = "juliet@capulet.lit", "romeo@montague.lit", "nurse@capulet.lit"
REQUEST = b"<presence type='subscribe'/>\x00\xff"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, durable=False)
    await database.open()
    await migrate(database, [MIGRATIONS])
    yield database
    await database.close()


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database)


def contents(roster: Roster) -> dict[str, Item]:
    return {item.jid: item for item in roster}


async def recorded(database: Database, store: Store, step: Step, now: int) -> int | None:
    async with database.transaction() as tx:
        return await store.record(tx, JULIET, step, now=now)


async def test_an_account_that_nobody_stored_has_an_empty_roster(store: Store) -> None:
    roster = await store.roster(JULIET)

    assert (len(roster), roster.version) == (0, 0)


@pytest.mark.parametrize("state", State)
async def test_every_state_of_an_item_comes_back_as_it_was(database: Database, store: Store, state: State) -> None:
    pending = REQUEST if state.pending_in else None
    item = Item(ROMEO, "Rómeo 'M' <&>", ("Friends", "Čapuleti"), state, pending)
    async with database.transaction() as tx:
        await store.save_item(tx, JULIET, Item(ROMEO))
        await store.save_item(tx, JULIET, item)
        await store.save_item(tx, NURSE, Item(ROMEO, "another account's"))

    assert contents(await store.roster(JULIET)) == {ROMEO: item}


async def test_an_empty_request_still_pends(database: Database, store: Store) -> None:
    async with database.transaction() as tx:
        await store.save_item(tx, JULIET, Item(ROMEO, state=State.NONE_IN, pending_in=b"", listed=False))

    roster = await store.roster(JULIET)
    assert roster.requests() == [b""]
    assert roster.listed() == []


async def test_a_step_is_recorded_with_its_version(database: Database, store: Store) -> None:
    roster = await store.roster(JULIET)
    step = roster.put(RosterSet(ROMEO, "Romeo"), Limits())
    first = await recorded(database, store, step, 1000)
    assert first == 1000
    roster.apply(step, first)

    second = await recorded(database, store, roster.sent(ROMEO, Action.SUBSCRIBE, Limits()), 1000)
    stored = await store.roster(JULIET)
    assert (second, stored.version) == (1001, 1001)
    assert contents(stored) == {ROMEO: Item(ROMEO, "Romeo", state=State.NONE_OUT)}

    third = await recorded(database, store, stored.remove(ROMEO), 5000)
    assert third == 5000
    assert len(await store.roster(JULIET)) == 0


async def test_what_does_not_show_gives_no_version(database: Database, store: Store) -> None:
    step = Roster().received(ROMEO, Action.SUBSCRIBE, REQUEST, Limits())

    assert await recorded(database, store, step, 1000) is None

    roster = await store.roster(JULIET)
    assert (roster.version, roster.requests()) == (0, [REQUEST])


async def test_what_changes_nothing_stores_nothing(database: Database, store: Store) -> None:
    assert await recorded(database, store, Roster().received(ROMEO, Action.SUBSCRIBED, b"", Limits()), 1000) is None
    assert len(await store.roster(JULIET)) == 0


async def test_versions_grow_though_the_clock_goes_back(database: Database, store: Store) -> None:
    async with database.transaction() as tx:
        versions = [await store.bump_version(tx, JULIET, now=now) for now in (1000, 10, 10, 2000)]

    assert versions == [1000, 1001, 1002, 2000]


async def test_a_transaction_that_fails_leaves_the_roster_alone(database: Database, store: Store) -> None:
    step = Roster().put(RosterSet(ROMEO), Limits())

    async def fail() -> None:
        async with database.transaction() as tx:
            await store.record(tx, JULIET, step, now=1000)
            raise RuntimeError("outbox")

    with pytest.raises(RuntimeError, match="outbox"):
        await fail()

    roster = await store.roster(JULIET)
    assert (len(roster), roster.version) == (0, 0)


async def test_a_forgotten_account_tells_its_contacts_and_keeps_nothing(database: Database, store: Store) -> None:
    items = {ROMEO: Item(ROMEO, state=State.BOTH), NURSE: Item(NURSE, state=State.NONE_IN, pending_in=REQUEST, listed=False)}
    async with database.transaction() as tx:
        for item in items.values():
            await store.save_item(tx, JULIET, item)
        await store.save_item(tx, NURSE, Item(JULIET))
        await store.bump_version(tx, JULIET, now=1000)

    async with database.transaction() as tx:
        forgotten = await store.forget(tx, JULIET)

    assert {item.jid: item for item in forgotten} == items
    roster = await store.roster(JULIET)
    assert (len(roster), roster.version) == (0, 0)
    assert contents(await store.roster(NURSE)) == {JULIET: Item(JULIET)}


async def test_contacts_of_the_same_groups_share_them(database: Database, store: Store) -> None:
    async with database.transaction() as tx:
        for n in range(3):
            await store.save_item(tx, JULIET, Item(f"{n}.lit", groups=("Friends", "Verona")))

    assert len({id(item.groups) for item in await store.roster(JULIET)}) == 1
