"""Writes behind, for a shard's next owner, what no gateway would tell it: who has a session, and copies that have one holder.

A row for each session is written a moment after it changes, never on the path of a message. Copies are written where the
gateway is gone: what causes one is acknowledged after its commit. In one process, where nothing but the database
survives, every stanza that is acknowledged to a client (XEP-0198) waits for the copies that it caused; most are read
before they are written, and then they are not.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from aldis.core.bus.port import Receipt
from aldis.core.contracts.envelope import Envelope
from aldis.core.contracts.resumption import Copy
from aldis.core.shards.fenced import Fenced
from aldis.core.shards.kept import Changes, Kept, Records, State
from aldis.core.shards.means import Means
from aldis.core.shards.sessions import Session
from aldis.core.storage.errors import StorageUnavailable

BEHIND: Final = 0.25
"""Seconds that a changed row may wait for others."""
GATHER: Final = 0.1
"""Seconds that a stanza in one process waits before it is acknowledged: longer than gateways take to report what was read."""
PATIENCE: Final = 3.0
"""Seconds that a batch stays unacknowledged for a commit; a database that is slower must not hold up the shard."""
RETRY: Final = 0.5
AT_ONCE: Final = 0.0
ALL: Final = 2**62


@dataclass(frozen=True, slots=True)
class _Taken:
    """What one commit is made of, to be put back if it fails."""

    rows: dict[str, Session]
    handled: dict[str, int]
    copies: list[tuple[Session, Copy]]
    changes: Changes


class Keeper:
    """One owner's; `journal` if nobody but the database outlives this process."""

    def __init__(self, means: Means, records: Records, sessions: Mapping[str, Session]) -> None:
        self._records = records
        self._sessions = sessions
        self.journal = means.journal
        self._log = means.log
        self.told: Callable[[dict[str, int]], None]
        """Called with what is committed: up to which n each session was handled."""
        self.fenced: Callable[[], None]
        """Called when the shard turns out to have a newer owner."""
        self._rows: dict[str, Session] = {}
        self._handled: dict[str, int] = {}
        self._copies: list[tuple[Session, Copy]] = []
        self._had: dict[str, int] = {}
        self._ended: set[str] = set()
        self._receipts: list[Receipt] = []
        self._calls: list[Callable[[], None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._due = 0.0
        self._failing = False
        self._closed = False

    async def load(self) -> list[Kept]:
        """What earlier owners kept."""
        return list(await self._records.load())

    # --- what is to be written

    def changed(self, session: Session) -> None:
        """It was bound, noted, or has gone on elsewhere."""
        self._rows[session.id] = session
        self._soon(BEHIND)

    def ended(self, session: str) -> None:
        """It is no more."""
        for waiting in (self._rows, self._handled, self._had):
            waiting.pop(session, None)
        self._ended.add(session)
        self._soon(BEHIND)

    def keep(self, session: Session, number: int, effect: str, stanza: Envelope, receipt: Receipt) -> None:
        """Keep a copy of what was sent to a session; where its gateway is gone, the receipt waits for that."""
        if not session.gateway:
            self._copies.append((session, Copy(number, effect, stanza)))
            self._wait(receipt)
        elif session.managed is not None or self._counts(stanza.origin.session):
            self._copies.append((session, Copy(number, effect, stanza)))
            self._soon(GATHER)

    def _counts(self, sender: str) -> bool:
        session = self._sessions.get(sender)
        return session is not None and session.managed is not None

    def keep_all(self, session: Session) -> None:
        """Its gateway is gone: keep everything of it, at once."""
        self._rows[session.id] = session
        self._copies += [(session, Copy(*copy)) for copy in session.held]
        self._soon(AT_ONCE)

    def had(self, session: Session, number: int) -> None:
        """Its client has everything up to this number."""
        if session.stored:
            self._had[session.id] = number
            self._soon(BEHIND)

    def renumbered(self, session: Session) -> None:
        """Its copies have other numbers now."""
        self._copies = [(whose, copy) for whose, copy in self._copies if whose is not session]
        self._had[session.id] = ALL
        self.keep_all(session)

    def handled(self, sessions: dict[str, int]) -> None:
        """What came from them is handled: commit that with what it caused, then tell."""
        self._handled.update(sessions)
        self._soon(GATHER)

    def handled_for(self, session: Session, n: int, receipt: Receipt) -> None:
        """The same where no gateway can be told: the receipt waits for the commit."""
        self._handled[session.id] = n
        self._wait(receipt)

    def after(self, call: Callable[[], None]) -> None:
        """Call when everything so far is committed, or can't be just now."""
        self._calls.append(call)
        self._soon(AT_ONCE)

    def _wait(self, receipt: Receipt) -> None:
        receipt.hold()
        self._receipts.append(receipt)
        self._soon(AT_ONCE)

    # --- writing

    def _soon(self, seconds: float) -> None:
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        if self._timer is not None and self._due <= due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        self._timer = loop.call_later(seconds, self._begin)

    def _begin(self) -> None:
        self._timer = None
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._write(), name="keep sessions")
            self._task.add_done_callback(self._over)
        else:
            self._due = 0.0  # when it is over

    def _over(self, _: asyncio.Task[None]) -> None:
        self._task = None
        if self._rows or self._handled or self._copies or self._had or self._ended or self._calls:
            self._soon(RETRY if self._failing else AT_ONCE)

    async def _write(self) -> None:
        taken = self._take()
        changes = taken.changes
        receipts, self._receipts = self._receipts, []
        calls, self._calls = self._calls, []
        save = asyncio.get_running_loop().create_task(self._records.save(changes)) if changes else None
        try:
            if save is not None:
                await asyncio.wait({save}, timeout=PATIENCE)
        finally:
            for receipt in receipts:
                receipt.release()
        error = await self._saved(save)
        if isinstance(error, Fenced):
            self.close()
            self.fenced()
            return
        if error is not None:
            self._put_back(taken)
        elif taken.handled:
            self.told(taken.handled)
        for call in calls:
            call()

    async def _saved(self, save: asyncio.Task[None] | None) -> Exception | None:
        """Wait for a commit, which is not cancelled; what became of it."""
        try:
            if save is not None:
                await save
        except (Fenced, StorageUnavailable) as error:
            if not self._failing:
                self._log.warning("sessions.unkept", reason=str(error))
            self._failing = True
            return error
        self._failing = False
        return None

    def _take(self) -> "_Taken":
        """What is to be written by now; copies that were read meanwhile need not be."""
        taken = _Taken(self._rows, self._handled, self._copies, Changes(ended=self._ended, had=self._had))
        self._rows, self._handled, self._copies = {}, {}, []
        self._ended, self._had = set(), {}
        changes = taken.changes
        for session in taken.rows.values():
            changes.rows[session.id] = max(taken.handled.get(session.id, 0), session.handled), state_of(session)
        changes.handled = {session: n for session, n in taken.handled.items() if session not in changes.rows}
        for session, copy in taken.copies:
            if session.held and session.held[0][0] <= copy.number and session.id not in changes.ended:
                changes.copies.append((session.id, copy))
                session.stored = True
        return taken

    def _put_back(self, taken: "_Taken") -> None:
        """Try again later, but for what is newer by now."""
        self._rows = {session: row for session, row in taken.rows.items() if session not in self._ended} | self._rows
        self._handled = {session: n for session, n in taken.handled.items() if session not in self._ended} | self._handled
        self._copies = [(session, copy) for session, copy in taken.copies if session.id not in self._ended] + self._copies
        self._had = taken.changes.had | self._had
        self._ended |= taken.changes.ended

    @property
    def busy(self) -> bool:
        """Is something waiting to be written, or being written?"""
        return self._task is not None or self._timer is not None

    # --- the end

    async def drain(self) -> None:
        """Write what is left, unless the database is away."""
        while not self._closed and not self._failing:
            if self._timer is not None:
                self._timer.cancel()
                self._begin()
            if self._task is None:
                return
            await asyncio.wait({self._task})
            await asyncio.sleep(0)

    def close(self) -> None:
        """Write nothing more; what has begun is not cancelled."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def state_of(session: Session) -> State:
    """A session's row."""
    return State(
        session.jid,
        session.gateway,
        session.generation,
        session.note,
        session.peer,
        session.since,
        session.number if session.crashed is None else session.crashed,
        session.managed,
        session.until,
        not session.gateway and session.crashed is None,
    )
