"""What the router keeps in the database: rosters, and the requests that pend beside them.

Whatever writes takes the open transaction, because the stanzas that a change sends are written in the same one.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import JSON, BigInteger, Boolean, Column, LargeBinary, MetaData, Row, Table, Text, case, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from aldis.core.storage import Database
from aldis.router.domain.roster import Item, Roster, Step
from aldis.router.domain.subscription import state_of

_METADATA: Final = MetaData()
_ROSTER: Final = Table(
    "router_roster",
    _METADATA,
    Column("account", Text, primary_key=True),
    Column("contact", Text, primary_key=True),
    Column("name", Text),
    Column("groups", JSON),
    Column("subscription", Text),
    Column("ask", Boolean),
    Column("approved", Boolean),
    Column("pending_in", LargeBinary),
    Column("listed", Boolean),
)
_VERSIONS: Final = Table(
    "router_roster_versions",
    _METADATA,
    Column("account", Text, primary_key=True),
    Column("version", BigInteger),
)


class Store:
    """The router's tables; an account and a contact are bare JIDs in their normal form."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    async def roster(self, account: str) -> Roster:
        """Read a roster whole, with the requests that pend; empty, at version 0, if the account has none."""
        async with self._database.reading() as connection:
            rows = (await connection.execute(select(_ROSTER).where(_ROSTER.c.account == account))).all()
            version = await connection.scalar(select(_VERSIONS.c.version).where(_VERSIONS.c.account == account))
        return Roster(_items(rows), version or 0)

    async def record(self, tx: AsyncConnection, account: str, step: Step, *, now: int) -> int | None:
        """Store what a step makes of its item; tells the roster's new version, None if this doesn't show in the roster."""
        if not step.save:
            return None
        if step.after is None:
            await self.remove_item(tx, account, step.jid)
        else:
            await self.save_item(tx, account, step.after)
        return await self.bump_version(tx, account, now=now) if step.push else None

    async def save_item(self, tx: AsyncConnection, account: str, item: Item) -> None:
        """Store an item that is new or changed."""
        values = _values(item)
        changed = await tx.execute(update(_ROSTER).where(_ROSTER.c.account == account, _ROSTER.c.contact == item.jid).values(values))
        if not changed.rowcount:
            await tx.execute(insert(_ROSTER).values(account=account, contact=item.jid, **values))

    async def remove_item(self, tx: AsyncConnection, account: str, contact: str) -> None:
        """Forget a contact, with its request."""
        await tx.execute(delete(_ROSTER).where(_ROSTER.c.account == account, _ROSTER.c.contact == contact))

    async def bump_version(self, tx: AsyncConnection, account: str, *, now: int) -> int:
        """Give the roster its next version and tell it; `now` is in milliseconds.

        Versions grow with the clock, so that an account that was deleted and made anew doesn't come by a version that a
        client remembers of the old one, and would be told that nothing has changed (RFC 6121 §2.6).
        """
        following = case((_VERSIONS.c.version < now, now), else_=_VERSIONS.c.version + 1)
        bumped = update(_VERSIONS).where(_VERSIONS.c.account == account).values(version=following).returning(_VERSIONS.c.version)
        version: int | None = await tx.scalar(bumped)
        if version is not None:
            return version
        await tx.execute(insert(_VERSIONS).values(account=account, version=now))
        return now

    async def forget(self, tx: AsyncConnection, account: str) -> list[Item]:
        """Delete all there is of an account; tells what it was, so that the contacts can be told."""
        rows = (await tx.execute(select(_ROSTER).where(_ROSTER.c.account == account))).all()
        await tx.execute(delete(_ROSTER).where(_ROSTER.c.account == account))
        await tx.execute(delete(_VERSIONS).where(_VERSIONS.c.account == account))
        return _items(rows)


def _values(item: Item) -> dict[str, Any]:
    return {
        "name": item.name,
        "groups": list(item.groups),
        "subscription": item.subscription,
        "ask": item.ask,
        "approved": item.approved,
        "pending_in": item.pending_in,
        "listed": item.listed,
    }


def _items(rows: Sequence[Row[Any]]) -> list[Item]:
    """Make items of rows; contacts of the same groups share one tuple, for a roster stays in memory."""
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}
    return [_item(row, shared) for row in rows]


def _item(row: Row[Any], shared: dict[tuple[str, ...], tuple[str, ...]]) -> Item:
    groups = tuple(row.groups)
    return Item(
        jid=row.contact,
        name=row.name,
        groups=shared.setdefault(groups, groups),
        state=state_of(row.subscription, ask=row.ask, pending_in=row.pending_in is not None, approved=row.approved),
        pending_in=row.pending_in,
        listed=row.listed,
    )
