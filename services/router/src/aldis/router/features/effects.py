"""What committed changes send: effects made with the change, carried out after it, and again if the work is done again."""

from collections.abc import Awaitable, Callable, Iterator
from enum import StrEnum

import msgspec

from aldis.core.contracts.base import Origin
from aldis.core.contracts.envelope import Envelope, Kind
from aldis.core.shards.effects import Effect
from aldis.core.shards.turn import Turn
from aldis.core.storage import CommitUnknown, Transaction
from aldis.router.context import Decision, Shard, UserSession
from aldis.router.domain.roster import Step, push, removal
from aldis.router.features.presence import hidden, made, shown


class How(StrEnum):
    """What is done with an effect's stanza; kept in the outbox, so never renamed."""

    SEND = "send"
    """Route it to where its `to` says."""
    PUSH = "push"
    """To every session of the account that is interested in the roster."""
    AVAILABLE = "available"
    """To every available session of the account."""
    CONCERNED = "concerned"
    """To every session of the account that is available or interested in the roster."""
    ANNOUNCE = "announce"
    """The account's presence to its `to`."""
    WITHDRAW = "withdraw"
    """Unavailable presence from each of the account's resources to its `to`."""


class Changes:
    """Commits changes of rosters and carries out what they send."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard

    async def commit(self, decision: Decision, turn: Turn) -> None:
        """Store a step, apply it, and send what it causes; done before, send that again."""
        roster = decision.roster
        decided: list[tuple[Step, int | None]] = []

        async def decide(tx: Transaction) -> tuple[Effect, ...]:
            decided.clear()
            step = decision.step()
            now = int(self._shard.tools.clock.time() * 1000)
            decided.append((step, await self._shard.tools.store.record(tx, decision.account, step, now=now)))
            return tuple(settled for effect in decision.effects(step) for settled in self._settle(effect))

        try:
            effects = await self._shard.outbox.once(decision.origin, decide)
        except CommitUnknown:
            self._shard.distrust(decision.account)
            raise
        for step, version in decided:  # none if it was done before
            roster.apply(step, roster.version if version is None else version)
        self.carry_out(effects, turn)

    async def once(self, origin: Origin, decide: Callable[[Transaction], Awaitable[tuple[Effect, ...]]], turn: Turn) -> None:
        """The same for a change of another kind."""
        self.carry_out(await self._shard.outbox.once(origin, decide), turn)

    def carry_out(self, effects: tuple[Effect, ...], turn: Turn) -> None:
        """Send the effects, in their order."""
        by_id = self._shard.sessions.by_id
        for effect in effects:
            if effect.how == How.SEND:
                self._shard.send(effect.name, effect.stanza, turn, holder=effect.account)
            else:
                sessions = [by_id[session] for session in effect.sessions if session in by_id]
                self._shard.output.deliver_all([session for session in sessions if not session.replaced], effect.name, effect.stanza, turn)

    def _settle(self, effect: Effect) -> Iterator[Effect]:
        """Fix for whom an effect is, and what it says: if it is carried out again, the sessions may be others."""
        user = self._shard.users.get(effect.account)
        sessions = [] if user is None else list(user.resources.values())
        match effect.how:
            case How.ANNOUNCE | How.WITHDRAW:
                for session in sessions:
                    if session.presence is not None:
                        told = shown(session.presence, effect.stanza) if effect.how == How.ANNOUNCE else hidden(session.jid, effect.stanza)
                        yield Effect(How.SEND, effect.account, f"presence {session.jid}", told)
            case How.SEND:
                yield effect
            case _:
                meant = tuple(session.id for session in sessions if _means(effect.how, session))
                yield msgspec.structs.replace(effect, sessions=meant)


def _means(how: str, session: UserSession) -> bool:
    available = session.presence is not None
    return available if how == How.AVAILABLE else session.interested or (available and how == How.CONCERNED)


def pushed(account: str, step: Step, origin: Origin, key: str, push_id: str) -> Effect:
    """The roster push for a step (RFC 6121 §2.1.6); `key` tells it from others that the origin causes."""
    item = step.after if step.after is not None and step.after.listed else None
    query = removal(step.jid) if item is None else push(item)
    stanza = Envelope(kind=Kind.IQ, type="set", id=push_id, sender=account, to="", children=query, names=(), origin=origin)
    return Effect(How.PUSH, account, key, stanza)


def subscription_stanza(kind: str, account: str, contact: str, origin: Origin) -> Effect:
    """A subscription stanza that the server sends on the account's behalf."""
    return Effect(How.SEND, account, f"{kind} {contact}", made(kind, account, contact, origin))


def owed(account: str, step: Step, origin: Origin) -> list[Effect]:
    """What the change of a subscription owes the contact beside the stanza itself."""
    effects: list[Effect] = []
    if step.change is None:
        return effects
    if step.change.reply is not None:
        effects.append(subscription_stanza(step.change.reply.value, account, step.jid, origin))
    to_contact = made("", account, step.jid, origin)
    if step.change.announce:
        effects.append(Effect(How.ANNOUNCE, account, "announce", to_contact))
    if step.change.withdraw:
        effects.append(Effect(How.WITHDRAW, account, "withdraw", to_contact))
    return effects


def addressed(stanza: Envelope, sender: str, to: str) -> Envelope:
    """The stanza between these two bare JIDs (RFC 6121 §3.1.2)."""
    return msgspec.structs.replace(stanza, sender=sender, to=to)
