"""Where accounts are kept when the directory is a SQL database; nothing else knows its tables.

Deleting an account and writing down who has to forget it is one transaction, so that a crash in between leaves no trace
of the account anywhere for ever.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

from sqlalchemy import ColumnElement, Table, and_, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from aldis.core.storage import Database
from aldis.core.storage.exclusive import exclusive
from aldis.core.storage.upsert import insert
from aldis.directory.domain.account import Account, Action, Credential, Entry, State, after
from aldis.directory.domain.notice import Kind, Notice
from aldis.directory.store.entries import Entries
from aldis.directory.store.tables import accounts, credentials, notices, secrets

_PAGE: Final = 500


class SqlAccounts:
    """The port `Accounts` over the project's own database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._entries = Entries(database)

    async def entry(self, account: Account, mechanism: str) -> Entry | None:
        return await self._entries.entry(account, mechanism)

    async def state(self, account: Account) -> State:
        async with self._database.reading() as connection:
            return await _state(connection, account)

    async def change(
        self, account: Account, action: Action, *, now: int, credentials: Sequence[Credential] = (), notice: Notice | None = None
    ) -> None:
        async def work(connection: AsyncConnection) -> None:
            await exclusive(connection, f"directory {account.jid}")
            following = after(await _state(connection, account), action, account)
            if action is Action.ADD:
                await connection.execute(
                    accounts.insert(), {"domain": account.domain, "localpart": account.local, "created": now, "disabled": False}
                )
            if credentials:
                await _replace_credentials(connection, account, credentials)
            if following is State.LEAVING:
                await _remove(connection, account)
            elif action in (Action.DISABLE, Action.ENABLE):
                await connection.execute(accounts.update().where(_is(accounts, account)).values(disabled=following is State.DISABLED))
                await connection.execute(notices.delete().where(_is(notices, account), notices.c.kind == Kind.DISABLED))
            if notice is not None:
                await connection.execute(notices.insert(), _rows(notice))

        await self._database.submit(work)

    async def listing(self, domain: str | None) -> list[tuple[Account, bool]]:
        query = select(accounts.c.domain, accounts.c.localpart, accounts.c.disabled).order_by(accounts.c.domain, accounts.c.localpart)
        if domain is not None:
            query = query.where(accounts.c.domain == domain)
        async with self._database.reading() as connection:
            return [(Account(row.domain, row.localpart), row.disabled) for row in await connection.execute(query)]

    async def iterations(self) -> Mapping[str, tuple[tuple[int, int], ...]]:
        query = (
            select(credentials.c.mechanism, credentials.c.iterations, func.count())
            .group_by(credentials.c.mechanism, credentials.c.iterations)
            .order_by(credentials.c.mechanism, credentials.c.iterations)
        )
        counts: dict[str, tuple[tuple[int, int], ...]] = {}
        async with self._database.reading() as connection:
            for mechanism, iterations, number in await connection.execute(query):
                counts[mechanism] = (*counts.get(mechanism, ()), (iterations, number))
        return counts

    async def notices(self) -> AsyncIterator[Notice]:
        """Read page by page, for a mass deletion leaves many."""
        last = ("", "", "")
        key = (notices.c.domain, notices.c.localpart, notices.c.kind)
        while True:
            page = select(*key).distinct().where(tuple_(*key) > last).order_by(*key).limit(_PAGE).subquery()
            query = notices.select().join(page, (tuple_(*key) == tuple_(*page.c))).order_by(*key, notices.c.service)
            async with self._database.reading() as connection:
                rows = (await connection.execute(query)).all()
            if not rows:
                return
            grouped: dict[tuple[str, str, str], Notice] = {}
            for row in rows:
                last = (row.domain, row.localpart, row.kind)
                known = grouped.get(last)
                services = (*known.services, row.service) if known is not None else (row.service,)
                grouped[last] = Notice(Account(row.domain, row.localpart), Kind(row.kind), row.origin, services, row.since)
            for notice in grouped.values():
                yield notice

    async def told(self, account: Account, kind: Kind, service: str, origin: str | None = None) -> None:
        async def work(connection: AsyncConnection) -> None:
            gone = notices.delete().where(_is(notices, account), notices.c.kind == kind, notices.c.service == service)
            await connection.execute(gone if origin is None else gone.where(notices.c.origin == origin))

        await self._database.submit(work)

    async def secret(self, name: str, fresh: bytes) -> bytes:
        async def work(connection: AsyncConnection) -> bytes:
            await connection.execute(insert(connection, secrets).values(name=name, value=fresh).on_conflict_do_nothing())
            return bytes((await connection.execute(select(secrets.c.value).where(secrets.c.name == name))).scalar_one())

        return await self._database.submit(work)


def _is(table: Table, account: Account) -> ColumnElement[bool]:
    return and_(table.c.domain == account.domain, table.c.localpart == account.local)


async def _state(connection: AsyncConnection, account: Account) -> State:
    disabled = await connection.scalar(select(accounts.c.disabled).where(_is(accounts, account)))
    if disabled is not None:
        return State.DISABLED if disabled else State.ACTIVE
    leaving = select(notices.c.service).where(_is(notices, account), notices.c.kind == Kind.DELETED).limit(1)
    return State.ABSENT if await connection.scalar(leaving) is None else State.LEAVING


async def _replace_credentials(connection: AsyncConnection, account: Account, kept: Sequence[Credential]) -> None:
    number = await connection.scalar(select(accounts.c.id).where(_is(accounts, account)))
    await connection.execute(credentials.delete().where(credentials.c.account == number))
    await connection.execute(
        credentials.insert(),
        [
            {
                "account": number,
                "mechanism": credential.mechanism,
                "salt": credential.salt,
                "iterations": credential.iterations,
                "stored_key": credential.stored_key,
                "server_key": credential.server_key,
            }
            for credential in kept
        ],
    )


async def _remove(connection: AsyncConnection, account: Account) -> None:
    number = select(accounts.c.id).where(_is(accounts, account)).scalar_subquery()
    await connection.execute(credentials.delete().where(credentials.c.account == number))
    await connection.execute(accounts.delete().where(_is(accounts, account)))
    await connection.execute(notices.delete().where(_is(notices, account)))  # who is gone needn't be disabled


def _rows(notice: Notice) -> list[dict[str, object]]:
    return [
        {
            "domain": notice.account.domain,
            "localpart": notice.account.local,
            "kind": notice.kind,
            "service": service,
            "origin": notice.origin,
            "since": notice.at,
        }
        for service in notice.services
    ]
