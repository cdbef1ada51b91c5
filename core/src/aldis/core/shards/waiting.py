"""Sessions whose gateway is gone: they wait for their clients in the shard itself, and in the database (XEP-0198 §5)."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, Generic

from msgspec.structs import replace

from aldis.core.contracts.base import Origin
from aldis.core.contracts.envelope import Envelope, Kind
from aldis.core.contracts.sessions import SessionEnd
from aldis.core.shards.keeper import Keeper
from aldis.core.shards.kept import Kept
from aldis.core.shards.sessions import S, Session

GAP: Final = 2**20
"""Numbers left out after a crash: more than what a client can have got that nobody knows of."""
PRESENCE: Final = int(Kind.PRESENCE)


class Waiting(Generic[S]):
    """One owner's."""

    def __init__(self, keeper: Keeper, wall: Callable[[], float], end: Callable[[SessionEnd], None]) -> None:
        """`end` is what ends a session."""
        self._keeper = keeper
        self._wall = wall
        self._end = end
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def gone(self, session: S) -> None:
        """Its gateway is gone: let it wait, if it can be resumed, or end it."""
        managed = session.managed
        if managed is None or not managed.token or session.replaced:
            self.over(session)
            return
        session.until = self._wall() + managed.seconds
        self._wait(session)
        self._keeper.keep_all(session)

    def can_wait(self, kept: Kept) -> bool:
        """Can a session that only the database knows be resumed? Not if its counts may be wrong."""
        managed = kept.state.managed
        return managed is not None and bool(managed.token) and (kept.state.exact or self._keeper.journal)

    def restore(self, session: S, kept: Kept) -> None:
        """Take it in."""
        state = kept.state
        session.handled = kept.handled
        session.managed = managed = state.managed
        session.holds(kept.copies)
        session.stored = bool(kept.copies)
        if not state.exact:
            session.crashed = max([session.number, *(number for number, _, _ in session.held if number < session.number + GAP)])
            session.number = session.crashed + GAP
        if session.held:  # more was sent since the row was written
            session.number = max(session.number, session.held[-1][0])
        session.until = state.until or self._wall() + (0 if managed is None else managed.seconds)
        self._wait(session)
        self._keeper.changed(session)

    def end_kept(self, kept: Kept) -> None:
        """End a session that only the database knows."""
        state = kept.state
        self._end(
            SessionEnd(
                origin=Origin(kept.session, kept.handled + 1),
                generation=state.generation,
                jid=state.jid,
                gateway="",
                note=state.note,
                unwritten=tuple(unwritten(state.jid, (copy.stanza for copy in kept.copies))),
            )
        )

    def _wait(self, session: S) -> None:
        session.gateway = ""
        session.kept = True
        self._timers[session.id] = asyncio.get_running_loop().call_later(max(session.until - self._wall(), 0.0), self.over, session)

    def left(self, session: Session) -> None:
        """It waits no more: its client is back, or it has ended."""
        timer = self._timers.pop(session.id, None)
        if timer is not None:
            timer.cancel()
            session.until = 0.0

    def over(self, session: S) -> None:
        """End a session on behalf of its gateway."""
        self._end(
            SessionEnd(
                origin=Origin(session.id, (session.last or 0) + 1),
                generation=session.generation,
                jid=session.jid,
                gateway="",
                note=session.note,
                unwritten=tuple(unwritten(session.jid, (stanza for _, _, stanza in session.held))),
            )
        )

    def close(self) -> None:
        """Wait no more for anybody."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()


def unwritten(jid: str, stanzas: Iterable[Envelope]) -> Iterable[Envelope]:
    """What of them is somebody's concern when their session is over, addressed to it."""
    return (stanza if stanza.to else replace(stanza, to=jid) for stanza in stanzas if stanza.kind != PRESENCE)
