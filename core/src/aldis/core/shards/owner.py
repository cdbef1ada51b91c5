"""A shard while one process owns it: input checked and dispatched, repeated or late input ended here, turns acknowledged in order."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Generic, cast

from aldis.core.bus.port import PREFETCH, Batch
from aldis.core.contracts.accounts import AccountDeleted, AccountDisabled
from aldis.core.contracts.base import Message, Origin
from aldis.core.contracts.envelope import Envelope
from aldis.core.contracts.rejoin import Aside, Leaving, Left, Rejoin
from aldis.core.contracts.resumption import Enable, Resume
from aldis.core.contracts.sessions import Bind, FromSession, Returned, Routed, SessionEnd, TakeoverAnswer, Written
from aldis.core.shards.aside import Held, left
from aldis.core.shards.fenced import Fenced
from aldis.core.shards.keeper import Keeper
from aldis.core.shards.kept import Kept, Records
from aldis.core.shards.mailbox import Mailboxes, Result
from aldis.core.shards.means import Means
from aldis.core.shards.output import Output
from aldis.core.shards.peers import Peers
from aldis.core.shards.refusing import Refusing
from aldis.core.shards.restoring import Restoring
from aldis.core.shards.returning import Returning
from aldis.core.shards.service import ShardService
from aldis.core.shards.session_rejoin import Rejoining
from aldis.core.shards.session_resumption import SessionResumption, came_in_time
from aldis.core.shards.sessions import S, Session, Sessions
from aldis.core.shards.telling import Telling
from aldis.core.shards.turn import Turn
from aldis.core.shards.waiting import Waiting

MOST_ENDED = 10_000  # whose repeats are still recognised


class ShardOwner(Generic[S]):
    """Consumes the shard's queue; made anew for each epoch."""

    def __init__(
        self,
        means: Means,
        output: Output,
        service: ShardService[S],
        sessions: Sessions[S],
        records: Records,
        lost: Callable[[], None],
    ) -> None:
        self._output = output
        self._service = service
        self._now = means.now
        self._drop = means.drop
        self._lost = lost
        self._repeats_for = means.bus.repeats_for
        self._turns: deque[Turn] = deque()
        self._mark = 0
        self._sessions = sessions.by_id
        self._ended: OrderedDict[str, int] = OrderedDict()
        """Up to which n each was handled."""
        self._asked: dict[str, int] = {}
        """By session: which bind was taken last under this owner."""
        self._returning = Returning(means.bus.repeats_for, means.now)
        self._peers = Peers(means.bus.repeats_for, means.now)
        self._remembers_until: float | None = None
        self._early: deque[Batch] | None = deque()
        """What came before it was certain that this is the owner."""
        sessions.journal = means.journal
        self._keeper = keeper = output.keeper = Keeper(means, records, self._sessions)
        keeper.fenced = self._fenced
        self._waiting = Waiting[S](keeper, means.wall, self._end_for)
        output.homeless = self._homeless
        self._resumption = SessionResumption(output, service, self._sessions, keeper, self._waiting, means.drop)
        self._telling = Telling(output, self._sessions, keeper, self._resumption.told)
        self._restoring = Restoring(output, service, self._sessions, self._ended, keeper, self._waiting)
        self._gone: set[str] = set()
        """Queues of gateways that died."""
        self._rejoining = Rejoining(output, self._sessions, self._ended, self._restoring, keeper, self._waiting)
        self._rejoining.restored, self._rejoining.give_back = self._remember, self._give_back
        self.aside: tuple[Held, ...] = ()
        """When it was lost: copies for the next owner."""
        self.mailboxes = output.mailboxes = Mailboxes(self._failed)
        output.routed = service.routed

    # --- take-over

    async def kept(self) -> list[Kept]:
        """What earlier owners wrote down of sessions."""
        return await self._keeper.load()

    def restore(self, answers: list[TakeoverAnswer], kept: Iterable[Kept]) -> None:
        """Take in the sessions that the gateways know, and those that only the database does."""
        turn = self._own_turn()
        self._restoring.restore(answers, kept, turn)
        turn.release()
        self._rejoining.began()
        if answers:
            self._remember()

    def take_aside(self, left: Iterable[Left], *, successor: bool) -> None:
        """Take over what an earlier owner held; `successor` if nobody owned the shard in between."""
        turn = self._own_turn()
        self._rejoining.aside(left, turn, successor=successor)
        turn.release()

    def _own_turn(self) -> Turn:
        self._turns.append(turn := Turn(self, None, self._mark))
        return turn

    def _remember(self) -> None:
        self._remembers_until = self._now() + self._repeats_for

    def _give_back(self, account: str, stanza: Envelope) -> None:
        """Have an account decide what becomes of a stanza that a session of its did not get."""
        if not self._output.dead:
            turn = self._own_turn()
            self.mailboxes.post(account, self._service.returned, account, stanza, turn)
            turn.release()

    def _forget_seen(self) -> None:
        """Drop what was kept against repeats of an earlier owner's work, when none can come any more."""
        if self._remembers_until is None or self._output.acked < PREFETCH or self._now() < self._remembers_until:
            return
        self._remembers_until = None
        self._output.passed.clear()
        for session in self._sessions.values():
            session.seen = None

    # --- the consumer of the shard's queue

    def begin(self) -> None:
        """Handle what came, and what comes: the shard is this one's own."""
        early = self._early
        while early:
            self._handle(early.popleft())
        self._early = None

    def deliver(self, batch: Batch) -> None:
        """Take a batch: check each message, post it to its account's mailbox, run what can run."""
        if self._early is None:
            self._handle(batch)
        else:
            self._early.append(batch)

    @property
    def idle(self) -> bool:
        """Has it begun, and nothing under way?"""
        return self._early is None and not self._turns

    @property
    def over(self) -> bool:
        """Is it an owner no more?"""
        return self._output.dead

    def adopt(self, task: asyncio.Task[None]) -> None:
        """Wait for this as well when all that was begun is waited for."""
        self.mailboxes.adopt(task)

    def refuse(self, batch: Batch) -> None:
        """Take a batch, but have what it asks for fail: numbers go on, and the senders get an error."""
        service, self._service = self._service, cast("ShardService[S]", Refusing(self._service))
        try:
            self._handle(batch)
        finally:
            self._service = service

    def _handle(self, batch: Batch) -> None:
        if self._output.dead:
            return
        self._mark += 1
        turn = Turn(self, batch, self._mark)
        self._turns.append(turn)
        post = self.mailboxes.post
        for message in batch.messages:
            if type(message) is FromSession:
                self._from_session(message, turn)
            elif type(message) is Routed:
                for account in self._peers.accept(message, self._drop):
                    post(account, self._service.routed, account, message.stanza, turn)
            else:
                self._control(message, turn)
        turn.release()

    def lost(self) -> None:
        """The queue is somebody else's: forget everything, send nothing more."""
        self.aside = self.leave()
        self._lost()

    def leave(self) -> tuple[Held, ...]:
        """Forget everything; what the next owner should have, if a gateway should be gone by then."""
        needless = self._output.dead or not self._repeats_for
        aside = () if needless else left(self._sessions.values(), self._turns) + tuple(("", copies) for copies in self._rejoining.waiting)
        self.discard()
        return aside

    def settle(self) -> None:
        """Acknowledge the turns that are over, in the order in which they began, after their gateways were told."""
        turns = self._turns
        self._telling.tell(self._turns)
        while turns and turns[0].pending == 0:
            turn = turns.popleft()
            self._output.acked = turn.mark
            if not self._output.dead:
                turn.finish()
        if self._remembers_until is not None:
            self._forget_seen()

    @property
    def oldest(self) -> int | None:
        """The mark of the oldest turn that is not over, if there is one; the same for long means that the shard stands still."""
        return self._turns[0].mark if self._turns else None

    def discard(self) -> None:
        """Drop the state, timers and unconfirmed output."""
        self._output.dead = True
        self.mailboxes.close()
        self._keeper.close()
        self._waiting.close()
        self._rejoining.close()
        self._sessions.clear()

    @property
    def turns(self) -> int:
        """Batches that are handled and not yet acknowledged."""
        return len(self._turns)

    @property
    def storing(self) -> bool:
        """Is there something to be kept that is not written?"""
        return self._keeper.busy

    async def stored(self) -> None:
        """Wait until everything that is to be kept is written, unless the database is away."""
        await self._keeper.drain()

    def _fenced(self) -> None:
        if not self._output.dead:
            self.lost()

    def gateway_gone(self, queue: str) -> None:
        """Keep the sessions of a gateway that died for their clients, or end them as it would have."""
        self._gone.add(queue)
        for session in [session for session in self._sessions.values() if session.gateway == queue]:
            self._waiting.gone(session)

    def _homeless(self, session: Session) -> None:
        """A session is to be closed that no gateway has."""
        if (mine := self._sessions.get(session.id)) is session and mine is not None:
            self._waiting.over(mine)

    def _end_for(self, message: SessionEnd) -> None:
        """End a session on behalf of a gateway that is gone."""
        if self._output.dead:
            return
        turn = self._own_turn()
        self._finish(message, message.origin.n - 1, turn)  # what it published last may still be on its way
        turn.release()

    # --- messages

    def _from_session(self, message: FromSession, turn: Turn) -> None:
        stanza = message.stanza
        origin = stanza.origin
        session = self._sessions.get(origin.session)
        if session is None:
            if origin.n <= self._ended.get(origin.session, 0):
                self._drop("repeat")
                return
            self._over(origin)
            account = stanza.sender.partition("/")[0]
            self.mailboxes.post(account, self._service.orphan, account, stanza, turn)
            return
        if self._accept(session, message.generation, origin, turn):
            self.mailboxes.post(session.account, self._service.from_session, session, stanza, turn)

    def _accept(self, session: S, generation: int, origin: Origin, turn: Turn) -> bool:
        """Take what comes from a session once, in order, and from its present stream."""
        last = session.last
        if last is not None and origin.n != last + 1 and (origin.n <= last or not session.unsure):
            self._drop("repeat" if origin.n <= last else "gap")
            return False
        if generation != session.generation and not came_in_time(session, generation, origin.n):
            self._drop("generation")
            return False
        session.last = origin.n
        session.unsure = False
        if self._repeats_for or session.managed is not None:
            turn.handled[session.id] = session.gateway, origin.n
        return True

    def _control(self, message: Message, turn: Turn) -> None:
        match message:
            case Written():
                for _, session_id, number in message.sessions:
                    if (session := self._sessions.get(session_id)) is not None:
                        session.written(number)
                        self._keeper.had(session, number)
            case Bind():
                self._bind(message, turn)
            case Enable():
                self._enable(message, turn)
            case Resume():
                self._resume(message, turn)
            case Returned():
                self._returned(message, turn)
            case Rejoin() | Aside():
                self._rejoining.take(message, turn)
            case Leaving():
                self._gone.add(message.gateway)
                self._resumption.gateway_leaves(message.gateway, turn)
            case SessionEnd():
                self._end(message, turn)
            case AccountDeleted() | AccountDisabled():
                self.mailboxes.post(message.account, self._service.event, message.account, message, turn)
            case _:
                self._drop("unknown-message")

    def _enable(self, message: Enable, turn: Turn) -> None:
        if (session := self._sessions.get(message.origin.session)) is None:
            self._drop("no-session")
        elif self._accept(session, message.generation, message.origin, turn):
            self._resumption.enable(session, message, turn)
            turn.handled[session.id] = session.gateway, message.origin.n

    def _resume(self, message: Resume, turn: Turn) -> None:
        if self._is_new(message, turn) and self._resumption.resume(message, turn):
            del self._asked[message.origin.session]

    def _bind(self, message: Bind, turn: Turn) -> None:
        if self._is_new(message, turn):
            self.mailboxes.post(message.account, self._service.bind, message, None, turn)

    def _is_new(self, message: Bind | Resume, turn: Turn) -> bool:
        """Was this request of a stream without a session not answered before, and is there still somebody to answer?"""
        session = message.origin.session
        if message.gateway in self._gone:
            self._drop("gateway-gone")
            return False
        if message.origin.n <= self._ended.get(session, 0):
            self._drop("repeat")
            return False
        if self._restoring.was_over(message.gateway, session):
            self._drop("repeat")
            return False
        if self._asked.get(session, 0) >= message.origin.n:  # done again it would take the resource from who has it by now
            self._drop("repeat")
            return False
        self._asked[session] = message.origin.n
        if self._repeats_for:
            turn.handled[session] = message.gateway, message.origin.n
        return True

    def _returned(self, message: Returned, turn: Turn) -> None:
        if self._returning.is_new(message.stanza):
            self.mailboxes.post(message.account, self._service.returned, message.account, message.stanza, turn)
        else:
            self._drop("repeat")

    def _end(self, message: SessionEnd, turn: Turn) -> None:
        session_id = message.origin.session
        if message.origin.n <= self._ended.get(session_id, 0):
            self._drop("repeat")
            return
        session = self._sessions.get(session_id)
        if session is not None and message.generation < session.generation:
            self._drop("generation")  # of a stream that the session has left
            return
        if self._repeats_for:
            turn.handled[session_id] = message.gateway, message.origin.n
        self._finish(self._restoring.with_note(message), message.origin.n, turn)

    def _finish(self, message: SessionEnd, n: int, turn: Turn) -> None:
        session_id = message.origin.session
        account = message.jid.partition("/")[0]
        self._asked.pop(session_id, None)
        self._over(Origin(session_id, n))
        self.mailboxes.post(account, self._end_session, session_id, message, turn)

    def _over(self, origin: Origin) -> None:
        """Remember up to where a session was handled that is no more."""
        self._ended[origin.session] = origin.n
        if len(self._ended) > MOST_ENDED:
            self._ended.popitem(last=False)

    def _end_session(self, session_id: str, message: SessionEnd, turn: Turn) -> Result:
        session = self._sessions.pop(session_id, None)
        turn.lastly(partial(self._keeper.ended, session_id))
        self._rejoining.ended(session_id, given_back=bool(message.gateway))
        if session is not None:
            self._output.passed.update((session.account, *key) for key in session.seen or ())
            self._waiting.left(session)
            self._resumption.ended(session)
        return self._service.end(session, message, turn)

    def _failed(self, key: str, error: Exception, first: Any, second: Any, turn: Turn) -> None:
        if isinstance(error, Fenced):
            self._drop("fenced")
            self._fenced()  # another owns the shard: what is acknowledged here, it would never see
        elif not self._output.dead:
            self._service.failed(key, first if second is None else second, error, turn)
