"""An owner's side of a broken connection: sessions of gateways that are back, and copies that may have been lost on the way."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final, Generic

from msgspec.structs import replace

from aldis.core.contracts.envelope import Envelope, Kind
from aldis.core.contracts.rejoin import Aside, Left, Rejoin
from aldis.core.contracts.resumption import Copy
from aldis.core.contracts.sessions import SessionSnapshot
from aldis.core.shards.keeper import ALL, Keeper
from aldis.core.shards.output import Output
from aldis.core.shards.restoring import Restoring
from aldis.core.shards.sessions import S, Session
from aldis.core.shards.turn import Turn
from aldis.core.shards.waiting import Waiting

PRESENCE: Final = int(Kind.PRESENCE)
PATIENCE: Final = 20.0
"""Seconds that copies wait for a session whose gateway may still be on its way back: longer than a lease."""
MOST_OVER: Final = 10_000


class Rejoining(Generic[S]):
    """What a shard's owner does for sessions that were cut off."""

    def __init__(
        self,
        output: Output,
        sessions: dict[str, S],
        ended: dict[str, int],
        restoring: Restoring[S],
        keeper: Keeper,
        waiting: Waiting[S],
    ) -> None:
        self._output = output
        self._sessions = sessions
        self._ended = ended
        self._restoring = restoring
        self._keeper = keeper
        self._homeless = waiting
        self.restored: Callable[[], None]
        """Called when a session was taken in, with keys of what it had."""
        self.give_back: Callable[[str, Envelope], None]
        """Has an account decide what becomes of a stanza."""
        self._over: OrderedDict[str, bool] = OrderedDict()
        """Sessions that have ended, and whether their gateways gave back what they had not got."""
        self._base: dict[str, int] = {}
        """By session that an earlier owner had: the last number that its gateway knew when this owner began."""
        self._done: dict[str, int] = {}
        """By session: up to which n its gateway knew then that what came from it is done."""
        self._waiting: dict[str, tuple[Left, asyncio.TimerHandle, bool]] = {}
        """Copies whose sessions are not there, and whether they were left in order."""

    def began(self) -> None:
        """The sessions are those that were found."""
        self._base = {session.id: session.number for session in self._sessions.values()}
        self._done = {**self._ended, **{session.id: session.handled for session in self._sessions.values()}}

    def ended(self, session: str, *, given_back: bool) -> None:
        """A session is no more; `given_back` by its gateway is what it had not got."""
        self._base.pop(session, None)
        self._over[session] = given_back
        if len(self._over) > MOST_OVER:
            self._over.popitem(last=False)
        waiting = self._waiting.get(session)
        if waiting is not None and waiting[2] and given_back:
            del self._waiting[session]
            waiting[1].cancel()
        elif waiting is not None:
            self._expired(session)

    @property
    def waiting(self) -> tuple[Left, ...]:
        """Copies whose sessions have not come back yet."""
        return tuple(left for left, _, _ in self._waiting.values())

    def close(self) -> None:
        """Wait for nobody."""
        for _, timer, _ in self._waiting.values():
            timer.cancel()
        self._waiting.clear()

    def take(self, message: Rejoin | Aside, turn: Turn) -> None:
        """What a gateway that is back says, or an earlier owner."""
        if isinstance(message, Rejoin):
            self.rejoin(message, turn)
        else:
            successor = self._output.epoch == message.epoch + 1
            self.aside(message.sessions, turn, successor=successor, ordered=message.ordered)

    # --- gateways that are back

    def rejoin(self, message: Rejoin, turn: Turn) -> None:
        """Find each session again, and send what its gateway lacks."""
        resources = {session.jid: session.id for session in self._sessions.values() if not session.replaced}
        for snapshot in message.sessions:
            session = self._sessions.get(snapshot.session)
            if session is None:
                self._unknown(snapshot, message.gateway, resources, turn)
            elif snapshot.generation < session.generation:
                self._output.let_go(session.id, message.gateway, snapshot.generation, turn)
            else:
                self._known(session, snapshot, message.gateway, turn)

    def _unknown(self, snapshot: SessionSnapshot, gateway: str, resources: dict[str, str], turn: Turn) -> None:
        if snapshot.session in self._over or snapshot.jid in resources:
            self._output.let_go(snapshot.session, gateway, snapshot.generation, turn, over=True)
            return
        session = self._restoring.take_in(snapshot, gateway)
        session.last = max(snapshot.handled, self._ended.pop(session.id, 0)) or None
        self._keeper.changed(session)
        self.restored()
        self._base[session.id] = session.number
        resources[session.jid] = session.id
        waiting = self._waiting.pop(session.id, None)
        if waiting is not None:
            waiting[1].cancel()
            self._add(session, waiting[0].copies, turn)

    def _known(self, session: S, snapshot: SessionSnapshot, gateway: str, turn: Turn) -> None:
        session.gateway = gateway
        self._homeless.left(session)
        if not self._keeper.journal:
            session.kept = False
        self._keeper.changed(session)
        if snapshot.note != session.note:
            self._output.note(session, session.note, turn)
        if session.managed is not None and snapshot.managed is None:
            self._output.enabled(session, turn)
        self._output.again(session, turn, after=snapshot.number, then=lambda: self._had(session))
        if session.replaced:
            self._output.close(session, "conflict", "Replaced by a new connection.", turn)

    def _had(self, session: S) -> None:
        if not self._keeper.journal:
            self._keeper.had(session, ALL)

    # --- copies that were kept aside

    def aside(self, left: Iterable[Left], turn: Turn, *, successor: bool, ordered: bool = False) -> None:
        """Send copies of an earlier owner that their session has not had.

        `successor` if nobody owned the shard in between; `ordered` if sessions that are there have had all of it.
        """
        for one in map(self._not_done_again, left):
            session = self._sessions.get(one.session)
            if ordered and (session is not None or self._over.get(one.session)):
                continue
            if not (successor or ordered) or one.session in self._over:
                self._return(one)
            elif session is not None:
                self._add(session, one.copies, turn)
            elif one.session not in self._waiting:
                timer = asyncio.get_running_loop().call_later(PATIENCE, self._expired, one.session)
                self._waiting[one.session] = one, timer, ordered

    def _not_done_again(self, left: Left) -> Left:
        """The copies without those whose causes come to this owner as new."""
        again = {number for number, session, n in left.told if n > self._done.get(session, 0)}
        return replace(left, copies=tuple(copy for copy in left.copies if copy.number not in again)) if again else left

    def _add(self, session: S, copies: Iterable[Copy], turn: Turn) -> None:
        base = self._base.get(session.id, 0)
        for copy in copies:
            if copy.number > base:
                self._output.deliver(session, copy.effect, copy.stanza, turn)
                remember(session, copy)

    def _expired(self, session: str) -> None:
        left, timer, _ = self._waiting.pop(session)
        timer.cancel()
        self._return(left)

    def _return(self, left: Left) -> None:
        for copy in left.copies:
            if copy.stanza.kind != PRESENCE:
                self.give_back(left.jid.partition("/")[0], copy.stanza if copy.stanza.to else replace(copy.stanza, to=left.jid))


def remember(session: Session, copy: Copy) -> None:
    """Work that is done again sends it no more."""
    if session.seen is None:
        session.seen = set()
    origin = copy.stanza.origin
    session.seen.add((origin.session, origin.n, copy.effect))
