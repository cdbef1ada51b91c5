"""An owner's side of XEP-0198: from where a session's client counts, and its session gone on with from another stream."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hmac import compare_digest
from typing import Final, Generic

from msgspec.structs import replace

from aldis.core.contracts.resumption import Enable, Managed, Resume
from aldis.core.shards.keeper import ALL, PATIENCE, Keeper
from aldis.core.shards.output import Output
from aldis.core.shards.service import ShardService
from aldis.core.shards.sessions import S, Session
from aldis.core.shards.turn import Turn
from aldis.core.shards.waiting import Waiting
from aldis.core.xmpp.sm import Counters, HandledCountTooHigh

MOST_REQUESTS: Final = 4
"""Requests to resume whose repeats are recognised by a session."""
MOST_OVER: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Over:
    """A session that is no more, for whom asks to resume it."""

    account: str
    token: str
    h: int


class SessionResumption(Generic[S]):
    """What a shard's owner does for sessions whose clients count."""

    def __init__(
        self,
        output: Output,
        service: ShardService[S],
        sessions: dict[str, S],
        keeper: Keeper,
        waiting: Waiting[S],
        drop: Callable[[str], None],
    ) -> None:
        self._output = output
        self._service = service
        self._sessions = sessions
        self._keeper = keeper
        self._waiting = waiting
        self._drop = drop
        self._unsure: dict[str, tuple[int, Callable[[], None]]] = {}
        """By session: up to which n its client may be told that all is handled, when that is committed, and how."""
        self._over: OrderedDict[str, _Over] = OrderedDict()

    def enable(self, session: S, message: Enable, turn: Turn) -> None:
        """Begin the count at the request's place, and in the other direction at the answer's (XEP-0198 §3)."""
        if session.managed is not None:
            self._drop("repeat")  # an earlier owner answered it
            return
        token, seconds = self._service.resumable(session, message) if message.resume else ("", 0)
        session.managed = Managed(token, seconds, message.origin.n, session.number)
        self._output.enabled(session, turn)

    def resume(self, message: Resume, turn: Turn) -> bool:
        """Go on with a session from a new stream, and send what the client lacks of it (XEP-0198 §5); False if it can't."""
        session = self._sessions.get(message.session)
        managed = None if session is None else session.managed
        if session is None or managed is None or not self._is_its(session.account, managed.token, message):
            self._refuse(message, turn)
            return False
        if message.origin.session in managed.by:
            self._drop("repeat")
            return True
        if session.replaced or not self._service.may_resume(session, message):
            self._refuse(message, turn, self.h(session))
            return False
        counters = Counters(managed.base_in, managed.base_out)
        known = session.number if session.crashed is None else session.crashed
        counters.acked = min(known, session.held[0][0] - 1) if session.held else known
        try:
            acked = counters.acknowledge(message.h, session.number)
        except HandledCountTooHigh as error:
            self._output.resume_failed(message, "undefined-condition", turn, h=error.h, sent=error.sent)
            return False
        if session.crashed is None:
            session.written(acked)
        else:
            self._renumber(session, session.crashed, acked)
        self._go_on(session, managed, message, acked, turn)
        return True

    def gateway_leaves(self, gateway: str, turn: Turn) -> None:
        """Keep the sessions of a gateway that stops for their clients; it is let go when they are written."""
        streams = [(session, session.generation) for session in self._sessions.values() if session.gateway == gateway]
        for session, _ in streams:
            self._waiting.gone(session)

        def let_go() -> None:
            for session, generation in streams:
                self._output.let_go(session.id, gateway, generation, turn)
            turn.release()

        turn.hold()
        self._keeper.after(let_go)

    def _renumber(self, session: S, crashed: int, acked: int) -> None:
        """Count on from what the client has: after a crash nobody else knows how much that is."""
        left = [(effect, stanza) for number, effect, stanza in session.held if number > (acked if number <= crashed else 0)]
        session.held.clear()
        session.held_bytes = 0
        session.number = acked
        for effect, stanza in left:
            session.hold(effect, stanza)
        session.crashed = None
        self._keeper.renumbered(session)

    def _go_on(self, session: S, managed: Managed, message: Resume, acked: int, turn: Turn) -> None:
        gateway, generation = session.gateway, session.generation
        accepted = managed.base_in if session.last is None else session.last
        past = tuple((which, n) for which, n in managed.past if n > session.handled)
        session.managed = replace(managed, by=(*managed.by, message.origin.session)[-MOST_REQUESTS:], past=(*past, (generation, accepted)))
        session.generation = generation + 1
        session.gateway = message.gateway
        session.peer = message.peer
        session.since = message.since
        self._waiting.left(session)
        if not self._keeper.journal:
            session.kept = False
        self._keeper.changed(session)

        def let_go() -> None:
            if not self._keeper.journal:
                self._keeper.had(session, ALL)
            if gateway and gateway != session.gateway:
                self._output.let_go(session.id, gateway, generation, turn)

        def tell() -> None:
            # should this process die in between, the old stream has let go of nothing that the new one has not
            self._output.resumed(session, message, accepted, acked, turn)
            self._output.again(session, turn, then=let_go)

        if self._keeper.journal and session.handled < accepted:
            self._when_committed(session, accepted, tell, turn)
        else:
            tell()

    def _when_committed(self, session: S, n: int, tell: Callable[[], None], turn: Turn) -> None:
        """`<resumed/>` acknowledges as `<a/>` does; but a database that is away must not keep a client out."""
        turn.hold()

        def now() -> None:
            timer.cancel()
            if self._unsure.get(session.id) == waiting:
                del self._unsure[session.id]
                tell()
            turn.release()

        waiting = n, now
        timer = asyncio.get_running_loop().call_later(PATIENCE, now)
        earlier = self._unsure.pop(session.id, None)
        self._unsure[session.id] = waiting
        if earlier is not None:
            earlier[1]()

    def told(self, session: Session) -> None:
        """More of what came from it is committed."""
        waiting = self._unsure.get(session.id)
        if waiting is not None and session.handled >= waiting[0]:
            waiting[1]()

    def _is_its(self, account: str, token: str, message: Resume) -> bool:
        return bool(token) and compare_digest(token, message.token) and account == message.account

    def _refuse(self, message: Resume, turn: Turn, h: int = -1) -> None:
        over = self._over.get(message.session)
        if over is not None and self._is_its(over.account, over.token, message):
            h = over.h
        self._output.resume_failed(message, "item-not-found", turn, h=h)

    @staticmethod
    def h(session: Session) -> int:
        """What has come from the session, as its client counts; -1 if it doesn't."""
        managed = session.managed
        if managed is None:
            return -1
        return Counters(managed.base_in, managed.base_out).h(managed.base_in if session.last is None else session.last)

    def ended(self, session: Session) -> None:
        """Remember how far a session came that is no more."""
        managed = session.managed
        if managed is None or not managed.token:
            return
        self._over[session.id] = _Over(session.account, managed.token, self.h(session))
        if len(self._over) > MOST_OVER:
            self._over.popitem(last=False)


def came_in_time(session: Session, generation: int, n: int) -> bool:
    """Was what came under an earlier generation accepted before the session was resumed, and is only being done again?"""
    managed = session.managed
    return managed is not None and any(which == generation and n <= upto for which, upto in managed.past)
