"""What a new owner begins with: the sessions that gateways tell of at the take-over, and those that only the database knows."""

from collections.abc import Iterable
from typing import Generic

from msgspec.structs import replace

from aldis.core.contracts.sessions import SessionEnd, SessionSnapshot, TakeoverAnswer
from aldis.core.shards.keeper import ALL, Keeper
from aldis.core.shards.kept import Kept, State
from aldis.core.shards.output import Output
from aldis.core.shards.service import ShardService
from aldis.core.shards.sessions import S, Session
from aldis.core.shards.turn import Turn
from aldis.core.shards.waiting import Waiting


class Restoring(Generic[S]):
    """One owner's beginning."""

    def __init__(
        self, output: Output, service: ShardService[S], sessions: dict[str, S], ended: dict[str, int], keeper: Keeper, waiting: Waiting[S]
    ) -> None:
        self._output = output
        self._service = service
        self._sessions = sessions
        self._ended = ended
        self._keeper = keeper
        self._waiting = waiting
        self._newest: dict[str, int] = {}
        """By gateway: the counter of its newest session when this owner began."""
        self._asking: dict[str, frozenset[str]] = {}
        """By gateway: streams that had no answer by then."""
        self._noted: dict[str, bytes] = {}
        """By session that was over by then: what its gateway heard of it later than it said so."""

    def restore(self, answers: list[TakeoverAnswer], kept: Iterable[Kept], turn: Turn) -> None:
        """Take all of it in."""
        streams: dict[str, list[tuple[SessionSnapshot, str]]] = {}
        for answer in answers:
            self._newest[answer.gateway] = answer.newest
            self._asking[answer.gateway] = frozenset(answer.binding)
            self._ended.update(answer.ended)
            self._noted.update(answer.noted)
            for snapshot in answer.sessions:
                streams.setdefault(snapshot.session, []).append((snapshot, answer.gateway))
        for of_one in streams.values():
            of_one.sort(key=lambda stream: stream[0].generation)
            session = self.take_in(*of_one.pop())
            for snapshot, gateway in of_one:
                self._catch_up(session, snapshot, gateway, turn)
        self._restore_kept(kept, {answer.gateway for answer in answers}, turn)
        for answer in answers:
            for session_id, keys in answer.moved:
                if (moved := self._sessions.get(session_id)) is not None:
                    moved.seen = (moved.seen or set()).union(keys)

    def take_in(self, snapshot: SessionSnapshot, gateway: str) -> S:
        """Take in a session from the gateway that has its newest stream."""
        session = self._made(snapshot, snapshot.session, gateway, snapshot.handled)
        session.seen = set(snapshot.seen) or None
        session.unsure = True
        session.handled = snapshot.handled
        session.managed = snapshot.managed
        session.holds(snapshot.copies)
        return session

    def _made(self, known: SessionSnapshot | State, id: str, gateway: str, handled: int) -> S:  # noqa: A002  the field's name
        plain = Session(id, known.generation, gateway, known.jid, known.peer)
        plain.last = handled or None
        plain.number = known.number
        plain.note = known.note
        plain.since = known.since
        session = self._service.restore(plain)
        session.kept = self._keeper.journal
        self._sessions[id] = session
        return session

    def with_note(self, message: SessionEnd) -> SessionEnd:
        """The end of a session with the last that was noted of it."""
        note = self._noted.pop(message.origin.session, b"")
        return replace(message, note=note) if note else message

    def was_over(self, gateway: str, session: str) -> bool:
        """Was a stream over, or given to a session, before this owner began?"""
        newest = self._newest.get(gateway)
        if newest is None or session in self._sessions or session in self._asking[gateway]:
            return False
        return int(session.rpartition(".")[2]) <= newest

    def _restore_kept(self, kept: Iterable[Kept], answered: set[str], turn: Turn) -> None:
        """Take in sessions whose gateways are gone, and bring the rows of the others up to date."""
        news = set(self._sessions)
        taken = {session.jid for session in self._sessions.values() if not session.replaced}
        for row in kept:
            session, state = self._sessions.get(row.session), row.state
            if session is not None:
                session.stored = bool(row.copies)
                self._catch_up_kept(session, row, turn)
                if (state.gateway, state.generation, state.note) == (session.gateway, session.generation, session.note):
                    news.discard(row.session)
            elif row.session in self._ended or state.gateway in answered:
                self._keeper.ended(row.session)
            elif self._waiting.can_wait(row) and state.jid not in taken:
                self._waiting.restore(self._made(state, row.session, state.gateway, row.handled), row)
            else:
                self._waiting.end_kept(row)
        for new in news:
            self._keeper.changed(self._sessions[new])

    def _catch_up_kept(self, session: S, row: Kept, turn: Turn) -> None:
        """A session that had waited for its client was just going on: its gateway may lack what only the database has."""
        number = session.number
        missing = [copy for copy in row.copies if copy.number > number]
        session.holds(missing)
        if missing:
            session.number = missing[-1].number
        self._output.again(session, turn, after=number, then=lambda: self._keeper.had(session, ALL))

    def _catch_up(self, session: S, left: SessionSnapshot, gateway: str, turn: Turn) -> None:
        """The session was just going on elsewhere: the gateway that it left lets go, once the other one has what only this one had."""
        number = session.number
        missing = [copy for copy in left.copies if copy.number > number]
        session.holds(missing)
        if missing:
            session.number = missing[-1].number
        self._output.again(session, turn, after=number, then=lambda: self._output.let_go(left.session, gateway, left.generation, turn))
