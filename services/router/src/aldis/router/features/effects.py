"""What committed changes send: effects made with the change, carried out after it, and again if the work is done again."""

from collections.abc import Awaitable, Callable
from enum import StrEnum

import msgspec

from aldis.core.contracts.base import Origin
from aldis.core.contracts.envelope import Envelope, Kind
from aldis.core.shards.effects import Effect
from aldis.core.shards.turn import Turn
from aldis.core.storage import Transaction
from aldis.router.context import Decision, Shard, UserSession
from aldis.router.domain.roster import Step, push, removal
from aldis.router.features.presence import Presences, made


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

    def __init__(self, shard: Shard, presences: Presences) -> None:
        self._shard = shard
        self._presences = presences

    async def commit(self, decision: Decision, turn: Turn) -> None:
        """Store a step, apply it, and send what it causes; done before, send that again."""
        roster = decision.roster
        decided: list[tuple[Step, int | None]] = []

        async def decide(tx: Transaction) -> tuple[Effect, ...]:
            decided.clear()
            step = decision.step()
            now = int(self._shard.tools.clock.time() * 1000)
            decided.append((step, await self._shard.tools.store.record(tx, decision.account, step, now=now)))
            return decision.effects(step)

        effects = await self._shard.outbox.once(decision.origin, decide)
        for step, version in decided:  # none if it was done before
            roster.apply(step, roster.version if version is None else version)
        self.carry_out(effects, turn)

    async def once(self, origin: Origin, decide: Callable[[Transaction], Awaitable[tuple[Effect, ...]]], turn: Turn) -> None:
        """The same for a change of another kind."""
        self.carry_out(await self._shard.outbox.once(origin, decide), turn)

    def carry_out(self, effects: tuple[Effect, ...], turn: Turn) -> None:
        """Send the effects, in their order."""
        output = self._shard.output
        for effect in effects:
            stanza = effect.stanza
            match effect.how:
                case How.SEND:
                    self._shard.send(effect.name, stanza, turn, holder=effect.account)
                case How.PUSH:
                    output.deliver_all(list(self._shard.interested(effect.account)), effect.name, stanza, turn)
                case How.AVAILABLE:
                    user = self._shard.users.get(effect.account)
                    output.deliver_all([] if user is None else user.available(), effect.name, stanza, turn)
                case How.CONCERNED:
                    output.deliver_all(self._concerned(effect.account), effect.name, stanza, turn)
                case How.ANNOUNCE:
                    self._presences.announce(effect.account, stanza.to, stanza.origin, turn)
                case How.WITHDRAW:
                    self._presences.withdraw(effect.account, stanza.to, stanza.origin, turn)

    def _concerned(self, account: str) -> list[UserSession]:
        user = self._shard.users.get(account)
        return [] if user is None else [each for each in user.resources.values() if each.interested or each.presence is not None]


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
