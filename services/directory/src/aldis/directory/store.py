"""Where accounts are kept when the directory is a SQL database; nothing else knows its tables.

Deleting an account and writing down who has to forget it is one transaction, so that a crash in between leaves no trace
of the account anywhere for ever.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    and_,
    bindparam,
    func,
    select,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from aldis.core.storage import Database
from aldis.directory.domain.account import Account, Action, Credential, Entry, State, after
from aldis.directory.domain.notice import Kind, Notice

_PAGE: Final = 500

metadata = MetaData()

_accounts = Table(
    "directory_accounts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("domain", Text, nullable=False),
    Column("localpart", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("disabled", Boolean, nullable=False, default=False),
    UniqueConstraint("domain", "localpart"),
)

_credentials = Table(
    "directory_credentials",
    metadata,
    Column("account", Integer, ForeignKey("directory_accounts.id"), primary_key=True),
    Column("mechanism", Text, primary_key=True),
    Column("salt", LargeBinary, nullable=False),
    Column("iterations", Integer, nullable=False),
    Column("stored_key", LargeBinary, nullable=False),
    Column("server_key", LargeBinary, nullable=False),
)

_notices = Table(
    "directory_notices",
    metadata,
    Column("domain", Text, primary_key=True),
    Column("localpart", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("service", Text, primary_key=True),
    Column("origin", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
)

_secrets = Table(
    "directory_secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

_ENTRY: Final = (
    select(
        _accounts.c.disabled,
        _credentials.c.salt,
        _credentials.c.iterations,
        _credentials.c.stored_key,
        _credentials.c.server_key,
    )
    .select_from(
        _accounts.outerjoin(_credentials, (_credentials.c.account == _accounts.c.id) & (_credentials.c.mechanism == bindparam("mechanism")))
    )
    .where(_accounts.c.domain == bindparam("domain"), _accounts.c.localpart == bindparam("localpart"))
)


class SqlAccounts:
    """The port `Accounts` over the project's own database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def entry(self, account: Account, mechanism: str) -> Entry | None:
        async with self._database.reading() as connection:
            found = await connection.execute(_ENTRY, {"domain": account.domain, "localpart": account.local, "mechanism": mechanism})
            row = found.first()
        if row is None:
            return None
        if row.stored_key is None:
            return Entry(row.disabled, None)
        return Entry(row.disabled, Credential(mechanism, row.salt, row.iterations, row.stored_key, row.server_key))

    async def state(self, account: Account) -> State:
        async with self._database.reading() as connection:
            return await _state(connection, account)

    async def change(
        self, account: Account, action: Action, *, now: int, credentials: Sequence[Credential] = (), notice: Notice | None = None
    ) -> None:
        async def work(connection: AsyncConnection) -> None:
            following = after(await _state(connection, account), action, account)
            if action is Action.ADD:
                await connection.execute(
                    _accounts.insert(), {"domain": account.domain, "localpart": account.local, "created": now, "disabled": False}
                )
            if credentials:
                await _replace_credentials(connection, account, credentials)
            if following is State.LEAVING:
                await _remove(connection, account)
            elif action in (Action.DISABLE, Action.ENABLE):
                await connection.execute(_accounts.update().where(_is(_accounts, account)).values(disabled=following is State.DISABLED))
                await connection.execute(_notices.delete().where(_is(_notices, account), _notices.c.kind == Kind.DISABLED))
            if notice is not None:
                await connection.execute(_notices.insert(), _rows(notice, now))

        await self._database.submit(work)

    async def listing(self, domain: str | None) -> list[tuple[Account, bool]]:
        query = select(_accounts.c.domain, _accounts.c.localpart, _accounts.c.disabled).order_by(_accounts.c.domain, _accounts.c.localpart)
        if domain is not None:
            query = query.where(_accounts.c.domain == domain)
        async with self._database.reading() as connection:
            return [(Account(row.domain, row.localpart), row.disabled) for row in await connection.execute(query)]

    async def iterations(self) -> Mapping[str, tuple[tuple[int, int], ...]]:
        query = (
            select(_credentials.c.mechanism, _credentials.c.iterations, func.count())
            .group_by(_credentials.c.mechanism, _credentials.c.iterations)
            .order_by(_credentials.c.mechanism, _credentials.c.iterations)
        )
        counts: dict[str, tuple[tuple[int, int], ...]] = {}
        async with self._database.reading() as connection:
            for mechanism, iterations, accounts in await connection.execute(query):
                counts[mechanism] = (*counts.get(mechanism, ()), (iterations, accounts))
        return counts

    async def notices(self) -> AsyncIterator[Notice]:
        """Read page by page, for a mass deletion leaves many."""
        last = ("", "", "")
        key = (_notices.c.domain, _notices.c.localpart, _notices.c.kind)
        while True:
            page = select(*key).distinct().where(tuple_(*key) > last).order_by(*key).limit(_PAGE).subquery()
            query = _notices.select().join(page, (tuple_(*key) == tuple_(*page.c))).order_by(*key, _notices.c.service)
            async with self._database.reading() as connection:
                rows = (await connection.execute(query)).all()
            if not rows:
                return
            grouped: dict[tuple[str, str, str], Notice] = {}
            for row in rows:
                last = (row.domain, row.localpart, row.kind)
                known = grouped.get(last)
                services = (*known.services, row.service) if known is not None else (row.service,)
                grouped[last] = Notice(Account(row.domain, row.localpart), Kind(row.kind), row.origin, services)
            for notice in grouped.values():
                yield notice

    async def told(self, account: Account, kind: Kind, service: str, origin: str | None = None) -> None:
        async def work(connection: AsyncConnection) -> None:
            gone = _notices.delete().where(_is(_notices, account), _notices.c.kind == kind, _notices.c.service == service)
            await connection.execute(gone if origin is None else gone.where(_notices.c.origin == origin))

        await self._database.submit(work)

    async def secret(self, name: str, fresh: bytes) -> bytes:
        async def work(connection: AsyncConnection) -> bytes:
            known = await connection.scalar(select(_secrets.c.value).where(_secrets.c.name == name))
            if known is not None:
                return bytes(known)
            await connection.execute(_secrets.insert(), {"name": name, "value": fresh})
            return fresh

        return await self._database.submit(work)


def _is(table: Table, account: Account) -> ColumnElement[bool]:
    return and_(table.c.domain == account.domain, table.c.localpart == account.local)


async def _state(connection: AsyncConnection, account: Account) -> State:
    disabled = await connection.scalar(select(_accounts.c.disabled).where(_is(_accounts, account)))
    if disabled is not None:
        return State.DISABLED if disabled else State.ACTIVE
    leaving = select(_notices.c.service).where(_is(_notices, account), _notices.c.kind == Kind.DELETED).limit(1)
    return State.ABSENT if await connection.scalar(leaving) is None else State.LEAVING


async def _replace_credentials(connection: AsyncConnection, account: Account, credentials: Sequence[Credential]) -> None:
    number = await connection.scalar(select(_accounts.c.id).where(_is(_accounts, account)))
    await connection.execute(_credentials.delete().where(_credentials.c.account == number))
    await connection.execute(
        _credentials.insert(),
        [
            {
                "account": number,
                "mechanism": credential.mechanism,
                "salt": credential.salt,
                "iterations": credential.iterations,
                "stored_key": credential.stored_key,
                "server_key": credential.server_key,
            }
            for credential in credentials
        ],
    )


async def _remove(connection: AsyncConnection, account: Account) -> None:
    number = select(_accounts.c.id).where(_is(_accounts, account)).scalar_subquery()
    await connection.execute(_credentials.delete().where(_credentials.c.account == number))
    await connection.execute(_accounts.delete().where(_is(_accounts, account)))
    await connection.execute(_notices.delete().where(_is(_notices, account)))  # who is gone needn't be disabled


def _rows(notice: Notice, now: int) -> list[dict[str, object]]:
    return [
        {
            "domain": notice.account.domain,
            "localpart": notice.account.local,
            "kind": notice.kind,
            "service": service,
            "origin": notice.origin,
            "since": now,
        }
        for service in notice.services
    ]
