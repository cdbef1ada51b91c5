"""RFC 6121 §3: presence subscriptions, both sides."""

from collections.abc import Awaitable

import msgspec

from aldis.core.contracts.base import Origin
from aldis.core.contracts.envelope import Envelope
from aldis.core.shards.effects import Effect
from aldis.core.shards.turn import Turn
from aldis.core.xmpp.errors.stanza import BadRequest, RemoteServerNotFound
from aldis.router.context import Decision, Shard
from aldis.router.domain.roster import Step
from aldis.router.domain.subscription import Action
from aldis.router.features.effects import Changes, How, addressed, owed, pushed

ACTIONS = frozenset(action.value for action in Action)


class Subscriptions:
    """Requests, grants and refusals of one shard's users."""

    def __init__(self, shard: Shard, changes: Changes) -> None:
        self._shard = shard
        self._changes = changes

    def sent(self, account: str, stanza: Envelope, turn: Turn) -> Awaitable[None]:
        """A user's own subscription stanza: its roster first, then on to the contact (RFC 6121 §3.1.2)."""
        contact = stanza.to.partition("/")[0]
        if not contact or contact == account:
            raise BadRequest("a subscription is to somebody else")
        if not self._shard.local(contact):
            raise RemoteServerNotFound("the domain is not served here, and this server does not federate")
        return self._send(account, contact, addressed(stanza, account, contact), turn)

    async def _send(self, account: str, contact: str, stanza: Envelope, turn: Turn) -> None:
        roster = await self._shard.roster(account)
        key = f"push {contact}"
        push_id = self._shard.make_id(stanza.origin, key)

        def step() -> Step:
            return roster.sent(contact, Action(stanza.type), self._shard.tools.limits)

        def effects(step: Step) -> tuple[Effect, ...]:
            sends = [pushed(account, step, stanza.origin, key, push_id)] if step.push else []
            if step.change is not None and step.change.forward:
                sends.append(Effect(How.SEND, account, f"{stanza.type} {contact}", stanza))
            return (*sends, *owed(account, step, stanza.origin))

        await self._changes.commit(Decision(account, roster, stanza.origin, step, effects), turn)

    def received(self, account: str, stanza: Envelope, turn: Turn) -> Awaitable[None] | None:
        """A contact's subscription stanza (RFC 6121 §3.1.3, §3.1.6, §3.2.3, §3.3.3)."""
        if not self._shard.tools.policy.authorize(stanza.label, stanza.sender, account):
            self._shard.tools.drop("policy")
            return None
        return self._receive(account, addressed(stanza, stanza.sender.partition("/")[0], account), turn)

    async def _receive(self, account: str, stanza: Envelope, turn: Turn) -> None:
        action = Action(stanza.type)
        if action is Action.SUBSCRIBE and account not in self._shard.users and not await self._shard.tools.accounts.exists(account):
            self._shard.tools.drop("no-account")  # RFC 6121 §8.5.1: silently
            return
        contact = stanza.sender
        roster = await self._shard.roster(account)
        # kept without its origin's work: it is delivered under the origin of the presence that makes a resource available
        kept = msgspec.msgpack.encode(stanza)
        # one origin may cause several pushes here: for a farewell of two stanzas, or for one's own request and its answer
        key = f"push {contact} {action.value}"
        push_id = self._shard.make_id(stanza.origin, key)

        def step() -> Step:
            return roster.received(contact, action, kept, self._shard.tools.limits)

        def effects(step: Step) -> tuple[Effect, ...]:
            # RFC 6121 §3.1.3: a request is for who is available; §3.1.6, §3.2.3, §3.3.3: what changes the roster for who knows it
            how = How.AVAILABLE if action is Action.SUBSCRIBE else How.CONCERNED
            sends = [Effect(how, account, stanza.type, stanza)] if step.change is not None and step.change.forward else []
            if step.push:
                sends.append(pushed(account, step, stanza.origin, key, push_id))
            return (*sends, *owed(account, step, stanza.origin))

        # one origin may cause several stanzas here: the answer that the server gives comes back under the request's own
        origin = Origin(f"{stanza.origin.session}>{account}>{stanza.type}", stanza.origin.n)
        await self._changes.commit(Decision(account, roster, origin, step, effects), turn)
