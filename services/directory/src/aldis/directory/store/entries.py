"""Reading what logins need: whoever asks while a query is under way shares the next one.

A query costs about a millisecond of CPU between loop, thread and SQLAlchemy, for one account or a hundred; without this, a
restart's storm of logins would be bound by it.
"""

import asyncio
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Integer, Row, Select, Text, and_, bindparam, literal, select, union_all

from aldis.core.storage import Database, StorageUnavailable
from aldis.directory.domain.account import Account, Credential, Entry
from aldis.directory.store.tables import accounts, credentials

_MOST: Final = 64

Asked = tuple[Account, str]
Found = dict[Asked, Entry | None]


@dataclass(slots=True)
class _Query:
    """One query that is yet to be made, and its answer."""

    answer: asyncio.Future[Found]
    asked: dict[Asked, None] = field(default_factory=dict)


class Entries:
    """Looks accounts up for logins."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turn = asyncio.Lock()
        self._next: _Query | None = None

    async def entry(self, account: Account, mechanism: str) -> Entry | None:
        """What a login by this mechanism needs, None if there is no such account."""
        asked = account, mechanism
        query = self._next
        if query is None or len(query.asked) >= _MOST:
            query = self._next = _Query(asyncio.get_running_loop().create_future())
            query.asked[asked] = None
            await self._make(query)
        else:
            query.asked[asked] = None
        return (await asyncio.shield(query.answer))[asked]

    async def _make(self, query: _Query) -> None:
        """Make the query for all who joined by the time that it is its turn."""
        try:
            async with self._turn:
                if self._next is query:
                    self._next = None
                query.answer.set_result(await self._read(list(query.asked)))
        except Exception as error:  # noqa: BLE001  for everybody who joined
            query.answer.set_exception(error)
        except asyncio.CancelledError:  # whose turn it was is gone, those who joined are not
            if self._next is query:
                self._next = None
            query.answer.set_exception(StorageUnavailable("the look-up was given up"))
            query.answer.exception()
            raise

    async def _read(self, asked: list[Asked]) -> Found:
        parameters: dict[str, str] = {}
        for n, (account, mechanism) in enumerate(asked):
            parameters |= {f"domain{n}": account.domain, f"localpart{n}": account.local, f"mechanism{n}": mechanism}
        async with self._database.reading() as connection:
            rows = (await connection.execute(_statement(len(asked)), parameters)).all()
        return {asked[row.n]: _entry(row) for row in rows}


def _entry(row: Row[Any]) -> Entry | None:
    """As much work for an account that does not exist, whose row is empty."""
    entry = Entry(bool(row.disabled), Credential(row.mechanism, bytes(row.salt or b""), row.iterations, row.stored_key, row.server_key))
    if row.disabled is None:
        return None
    return entry if row.stored_key is not None else Entry(entry.disabled, None)


@lru_cache(maxsize=_MOST)
def _statement(count: int) -> Select[Any]:
    """One row for each that is asked for, whether it exists or not.

    The rows that are found would tell by the microseconds that they take. And SQLite uses the index for this join, which it does not
    for (domain, localpart) IN (VALUES …).
    """
    asked = union_all(
        *(
            select(
                literal(n, Integer).label("n"),
                bindparam(f"domain{n}", type_=Text).label("domain"),
                bindparam(f"localpart{n}", type_=Text).label("localpart"),
                bindparam(f"mechanism{n}", type_=Text).label("mechanism"),
            )
            for n in range(count)
        )
    ).cte("asked")
    kept = credentials.c
    return select(
        asked.c.n, asked.c.mechanism, accounts.c.disabled, kept.salt, kept.iterations, kept.stored_key, kept.server_key
    ).select_from(
        asked.outerjoin(accounts, and_(accounts.c.domain == asked.c.domain, accounts.c.localpart == asked.c.localpart)).outerjoin(
            credentials, and_(kept.account == accounts.c.id, kept.mechanism == asked.c.mechanism)
        )
    )
