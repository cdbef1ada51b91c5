"""A shard's output: stanzas numbered for their sessions and grouped by gateway, or on to another shard."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from aldis.core.bus.names import router_queue
from aldis.core.bus.port import Bus, Receipt
from aldis.core.contracts.base import Message
from aldis.core.contracts.envelope import Envelope
from aldis.core.contracts.resumption import Enabled, LetGo, Resume, Resumed, ResumeFailed
from aldis.core.contracts.sessions import Bind, BindRefused, Bound, CloseSession, Deliver, Handled, Note, Recipient, Routed
from aldis.core.shards.keeper import Keeper
from aldis.core.shards.mailbox import Mailboxes, Result
from aldis.core.shards.sessions import Most, Session
from aldis.core.shards.slots import shard_of
from aldis.core.shards.turn import Afterwards, Turn


def _nothing() -> None:
    """There is nothing more to do."""


class Output:
    """What a service's handlers send with; it is silent once the shard has another owner.

    `effect` tells apart what one origin causes for one recipient: the key (origin, effect, recipient) is how doing the
    work again is seen, so one origin must not send two different things to one recipient under one effect.
    """

    def __init__(self, bus: Bus, shard: int, shards: int, epoch: int, most: Most) -> None:
        self._bus = bus
        self._most = most
        self.shard = shard
        self.shards = shards
        self.epoch = epoch
        self.acked = 0
        self.mailboxes: Mailboxes
        self.routed: Callable[[Any, Any, Turn], Result]
        self.dead = False
        self.passed: set[tuple[str, str, int, str]] = set()
        """By account: keys of what sessions got from an earlier owner that have ended since; what they had not read goes elsewhere."""
        self.delivered = 0
        self.overflown: Callable[[Session, Turn], None]
        self.keeper: Keeper
        self.homeless: Callable[[Session], None]
        """Ends a session whose gateway is gone."""

    def deliver(self, session: Session, effect: str, stanza: Envelope, turn: Turn) -> None:
        """Send to one session, whose address is filled in where the stanza leaves `to` open."""
        if self.dead:
            return
        origin = stanza.origin
        if session.seen is not None and (origin.session, origin.n, effect) in session.seen:
            return
        number = session.hold(effect, stanza)
        self.delivered += 1
        if session.kept:
            self.keeper.keep(session, number, effect, stanza, turn)
            if not session.gateway:
                if session.exceeds(self._most):
                    self.overflown(session, turn)
                return
        self._bus.publish(
            session.gateway,
            Deliver(
                shard=self.shard,
                epoch=self.epoch,
                mark=turn.mark,
                acked=self.acked,
                effect=effect,
                stanza=stanza,
                recipients=(Recipient(session.id, session.generation, number, "" if stanza.to else session.jid),),
            ),
            turn,
        )
        if session.exceeds(self._most):
            self.overflown(session, turn)

    def deliver_all(self, sessions: Iterable[Session], effect: str, stanza: Envelope, turn: Turn) -> None:
        """Send one body to many sessions: once for each gateway."""
        if self.dead:
            return
        origin = stanza.origin
        gateways: dict[str, list[Recipient]] = {}
        overflown: list[Session] = []
        for session in sessions:
            if session.seen is not None and (origin.session, origin.n, effect) in session.seen:
                continue
            number = session.hold(effect, stanza)
            if session.exceeds(self._most):
                overflown.append(session)
            if session.kept:
                self.keeper.keep(session, number, effect, stanza, turn)
                if not session.gateway:
                    continue
            gateways.setdefault(session.gateway, []).append(
                Recipient(session.id, session.generation, number, "" if stanza.to else session.jid)
            )
        for gateway, recipients in gateways.items():
            self.delivered += len(recipients)
            self._bus.publish(
                gateway,
                Deliver(
                    shard=self.shard,
                    epoch=self.epoch,
                    mark=turn.mark,
                    acked=self.acked,
                    effect=effect,
                    stanza=stanza,
                    recipients=tuple(recipients),
                ),
                turn,
            )
        for session in overflown:
            self.overflown(session, turn)

    def route(self, account: str, effect: str, stanza: Envelope, turn: Turn) -> None:
        """Send on to an account's own handler, here or in another shard; `account` is its bare JID."""
        if self.dead:
            return
        shard = shard_of(account, self.shards)
        if shard == self.shard:
            self.mailboxes.post(account, self.routed, account, stanza, turn)
        else:
            self._route(shard, (account,), effect, stanza, turn)

    def route_all(self, accounts: Iterable[str], effect: str, stanza: Envelope, turn: Turn) -> None:
        """Send one body to many accounts: once for each shard."""
        if self.dead:
            return
        elsewhere: dict[int, list[str]] = {}
        for account in accounts:
            shard = shard_of(account, self.shards)
            if shard == self.shard:
                self.mailboxes.post(account, self.routed, account, stanza, turn)
            else:
                elsewhere.setdefault(shard, []).append(account)
        for shard, there in elsewhere.items():
            self._route(shard, there, effect, stanza, turn)

    def _route(self, shard: int, accounts: Sequence[str], effect: str, stanza: Envelope, turn: Turn) -> None:
        self._bus.publish(
            router_queue(shard),
            Routed(
                shard=self.shard,
                epoch=self.epoch,
                mark=turn.mark,
                acked=self.acked,
                effect=effect,
                stanza=stanza,
                accounts=tuple(accounts),
            ),
            turn,
        )

    def bound(self, session: Session, n: int, turn: Turn) -> None:
        """Answer the `Bind` that came as the session's n-th message: tell the client its full JID."""
        self.keeper.changed(session)
        answer = Bound(shard=self.shard, epoch=self.epoch, session=session.id, generation=session.generation, n=n, jid=session.jid)
        self._tell(session.gateway, answer, turn)

    def refuse_bind(self, request: Bind, error: bytes, turn: Turn) -> None:
        """Tell the client that it gets no resource."""
        origin = request.origin
        answer = BindRefused(
            shard=self.shard, epoch=self.epoch, session=origin.session, generation=request.generation, n=origin.n, error=error
        )
        self._tell(request.gateway, answer, turn)

    def close(self, session: Session, condition: str, text: str, turn: Turn) -> None:
        """End the session's stream with a stream error, after all that it was sent before."""
        if not session.gateway:
            self.homeless(session)
            return
        self._tell(
            session.gateway,
            CloseSession(
                shard=self.shard,
                epoch=self.epoch,
                session=session.id,
                generation=session.generation,
                condition=condition,
                text=text,
            ),
            turn,
        )

    def note(self, session: Session, state: bytes, turn: Turn) -> None:
        """Have the gateway keep what a next owner needs to know of the session."""
        session.note = state
        self.keeper.changed(session)
        self._tell(
            session.gateway,
            Note(shard=self.shard, epoch=self.epoch, session=session.id, generation=session.generation, state=state),
            turn,
        )

    def enabled(self, session: Session, turn: Turn) -> None:
        """Tell the client that both counts begin."""
        managed = session.managed
        if managed is None:
            raise ValueError("a session without counts can't be told of them")
        answer = Enabled(
            shard=self.shard,
            epoch=self.epoch,
            session=session.id,
            generation=session.generation,
            n=managed.base_in,
            number=managed.base_out,
            token=managed.token,
            seconds=managed.seconds,
        )
        self._tell(session.gateway, answer, turn)

    def resumed(self, session: Session, request: Resume, accepted: int, number: int, turn: Turn) -> None:
        """Give a session to the stream that asked for it; `number` is the last that its client has."""
        managed = session.managed
        if managed is None:
            raise ValueError("a session without counts can't go on")
        answer = Resumed(
            shard=self.shard,
            epoch=self.epoch,
            request=request.origin.session,
            n=request.origin.n,
            session=session.id,
            generation=session.generation,
            jid=session.jid,
            managed=managed,
            accepted=accepted,
            handled=session.handled,
            number=number,
            note=session.note,
            available=session.available,
            peer=session.peer,
            since=session.since,
        )
        self._tell(session.gateway, answer, turn)

    def resume_failed(self, request: Resume, condition: str, turn: Turn, *, h: int = -1, sent: int = -1) -> None:
        """Tell the client that its former stream can't go on."""
        origin = request.origin
        answer = ResumeFailed(shard=self.shard, epoch=self.epoch, session=origin.session, n=origin.n, condition=condition, h=h, sent=sent)
        self._tell(request.gateway, answer, turn)

    def let_go(self, session: str, gateway: str, generation: int, turn: Turn, *, over: bool = False) -> None:
        """Have a gateway close a stream whose session goes on elsewhere, or is over."""
        self._tell(gateway, LetGo(shard=self.shard, epoch=self.epoch, session=session, generation=generation, over=over), turn)

    def again(self, session: Session, turn: Turn, *, after: int = 0, then: Callable[[], None] = _nothing) -> None:
        """Send once more what the session is not known to have, under its numbers; `then` is called when the gateway has all of it."""
        had = Afterwards(turn, then)
        for number, effect, stanza in session.held:
            if number > after:
                recipient = Recipient(session.id, session.generation, number, "" if stanza.to else session.jid)
                self._tell(session.gateway, self._delivery(effect, stanza, (recipient,), turn), had)
        had.release()

    def _delivery(self, effect: str, stanza: Envelope, recipients: tuple[Recipient, ...], turn: Turn) -> Deliver:
        return Deliver(
            shard=self.shard,
            epoch=self.epoch,
            mark=turn.mark,
            acked=self.acked,
            effect=effect,
            stanza=stanza,
            recipients=recipients,
        )

    def handled(self, gateway: str, sessions: tuple[tuple[str, int], ...], receipt: Receipt | None) -> None:
        """Tell a gateway up to which n all that came from its sessions is done."""
        if not self.dead:
            self._bus.publish(gateway, Handled(shard=self.shard, epoch=self.epoch, sessions=sessions), receipt)

    def tell(self, queue: str, message: Message, turn: Turn) -> None:
        """Send anything else, such as an acknowledgement to another service."""
        self._tell(queue, message, turn)

    def _tell(self, queue: str, message: Message, receipt: Receipt) -> None:
        if not self.dead and queue:
            self._bus.publish(queue, message, receipt)
