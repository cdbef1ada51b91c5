"""Look-ups for logins share queries, and each still gets its own answer or error."""

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError

from aldis.core.storage import Database, StorageUnavailable
from aldis.directory.domain.account import Account, Action, Entry
from aldis.directory.store import SqlAccounts

if TYPE_CHECKING:
    from tests.integration.directory.conftest import Town

MECHANISM = "SCRAM-SHA-256"
JULIET = Account("capulet.lit", "juliet")


async def test_who_asks_while_a_query_is_under_way_shares_the_next_one(town: "Town") -> None:
    names = [f"guest{n}" for n in range(100)]
    await asyncio.gather(*(town.do("add", f"{name}@montague.lit", "pw") for name in names[:5]))
    accounts = SqlAccounts(town.database)
    queries: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        queries.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    found = await asyncio.gather(*(accounts.entry(Account("montague.lit", name), MECHANISM) for name in names))
    event.remove(Engine, "before_cursor_execute", note)
    assert [entry is not None for entry in found] == [True] * 5 + [False] * 95
    assert len({entry.credential.salt for entry in found if entry is not None and entry.credential is not None}) == 5
    assert sum("directory_accounts" in query for query in queries) == 3  # the first alone, then as many as one query takes


async def test_each_mechanism_has_its_own_credential_and_an_unknown_one_none(town: "Town") -> None:
    accounts = SqlAccounts(town.database)
    found = await asyncio.gather(*(accounts.entry(JULIET, name) for name in ("SCRAM-SHA-1", MECHANISM, "SCRAM-SHA-3")))
    assert [entry.credential.mechanism if entry is not None and entry.credential is not None else None for entry in found] == [
        "SCRAM-SHA-1",
        MECHANISM,
        None,
    ]
    assert found[2] == Entry(disabled=False, credential=None)


async def test_an_error_goes_to_everybody_who_shares_the_query_and_to_nobody_after(town: "Town") -> None:
    accounts = SqlAccounts(town.database)
    async with town.database.transaction() as connection:
        await connection.exec_driver_sql("ALTER TABLE directory_credentials RENAME TO away")
    found = await asyncio.gather(*(accounts.entry(JULIET, MECHANISM) for _ in range(5)), return_exceptions=True)
    assert [isinstance(error, DBAPIError) for error in found] == [True] * 5
    async with town.database.transaction() as connection:
        await connection.exec_driver_sql("ALTER TABLE away RENAME TO directory_credentials")
    assert await accounts.entry(JULIET, MECHANISM) is not None


async def test_one_who_gives_up_takes_nobody_along_for_long(town: "Town") -> None:
    accounts = SqlAccounts(town.database)
    first = asyncio.ensure_future(accounts.entry(JULIET, MECHANISM))
    leader = asyncio.ensure_future(accounts.entry(JULIET, MECHANISM))
    follower = asyncio.ensure_future(accounts.entry(JULIET, MECHANISM))
    await asyncio.sleep(0)
    leader.cancel()
    assert await first is not None
    with pytest.raises(StorageUnavailable):
        await follower
    assert await accounts.entry(JULIET, MECHANISM) is not None


async def test_of_two_processes_that_add_the_same_account_one_does(town: "Town") -> None:
    other = Database(town.url, durable=False)
    await other.open()
    nurse = Account("capulet.lit", "nurse")
    for _ in range(10):
        both = [SqlAccounts(database) for database in (town.database, other)]
        works = [accounts.change(nurse, Action.ADD, now=0) for accounts in both]
        found = await asyncio.gather(*works, return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in found) == ["Conflict", "NoneType"]
        await both[0].change(nurse, Action.DELETE, now=1)
    await other.close()


async def test_of_two_processes_that_make_a_secret_both_get_the_same(town: "Town") -> None:
    other = Database(town.url, durable=False)
    await other.open()
    made = [SqlAccounts(database).secret("new", bytes([n]) * 32) for n, database in enumerate((town.database, other))]
    assert len(set(await asyncio.gather(*made))) == 1
    await other.close()
