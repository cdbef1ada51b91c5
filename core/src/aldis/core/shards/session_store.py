"""Sessions and copies in the database: written behind, all that waits in one statement of each kind."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, String, Table, bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from aldis.core.contracts.resumption import Copy
from aldis.core.shards.kept import Changes, Kept, decode, decode_copy, encode
from aldis.core.shards.store import Outbox, metadata
from aldis.core.storage.engine import Database
from aldis.core.storage.upsert import insert

_SESSIONS = Table(
    "shards_sessions",
    metadata,
    Column("session", String, primary_key=True),
    Column("shard", Integer, nullable=False, index=True),
    Column("handled", BigInteger, nullable=False),
    Column("state", LargeBinary, nullable=False),
)
_COPIES = Table(
    "shards_copies",
    metadata,
    Column("session", String, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("copy", LargeBinary, nullable=False),
)


class SqlRecords:
    """See `kept.Records`."""

    def __init__(self, database: Database, shard: int, outbox: Outbox) -> None:
        """`outbox` knows whether the shard is still this owner's."""
        self._database = database
        self._shard = shard
        self._outbox = outbox

    async def load(self) -> Sequence[Kept]:
        """Read every session."""
        mine = select(_SESSIONS.c.session).where(_SESSIONS.c.shard == self._shard)
        async with self._database.reading() as connection:
            rows = (await connection.execute(select(_SESSIONS).where(_SESSIONS.c.shard == self._shard))).all()
            found = await connection.execute(
                select(_COPIES).where(_COPIES.c.session.in_(mine)).order_by(_COPIES.c.session, _COPIES.c.number)
            )
            copies: dict[str, list[Copy]] = defaultdict(list)
            for row in found:
                copies[row.session].append(decode_copy(row.copy))
        return [Kept(row.session, row.handled, decode(row.state), tuple(copies.get(row.session, ()))) for row in rows]

    async def save(self, changes: Changes) -> None:
        """Write; `Fenced` if the shard has a newer owner."""
        await self._database.submit(lambda tx: self._write(tx, changes))

    async def _write(self, tx: AsyncConnection, changes: Changes) -> None:
        await self._outbox.fence(tx)
        if changes.ended:
            gone = [{"which": session} for session in changes.ended]
            await tx.execute(delete(_SESSIONS).where(_SESSIONS.c.session == bindparam("which")), gone)
            await tx.execute(delete(_COPIES).where(_COPIES.c.session == bindparam("which")), gone)
        if changes.had:
            had = [{"which": session, "upto": number} for session, number in changes.had.items()]
            await tx.execute(delete(_COPIES).where(_COPIES.c.session == bindparam("which"), _COPIES.c.number <= bindparam("upto")), had)
        if changes.rows:
            row = insert(tx, _SESSIONS)
            kept = row.on_conflict_do_update(
                index_elements=["session"], set_={"shard": row.excluded.shard, "handled": row.excluded.handled, "state": row.excluded.state}
            )
            rows = [
                {"session": session, "shard": self._shard, "handled": handled, "state": encode(state)}
                for session, (handled, state) in changes.rows.items()
            ]
            await tx.execute(kept, rows)
        if changes.handled:
            done = [{"which": session, "n": n} for session, n in changes.handled.items()]
            await tx.execute(update(_SESSIONS).where(_SESSIONS.c.session == bindparam("which")).values(handled=bindparam("n")), done)
        if changes.copies:
            copies = [{"session": session, "number": copy.number, "copy": encode(copy)} for session, copy in changes.copies]
            await tx.execute(insert(tx, _COPIES).on_conflict_do_nothing(), copies)
