"""Accounts that are deleted or disabled: what the router keeps of them, and their streams."""

from collections import OrderedDict
from collections.abc import Awaitable, Iterator
from typing import Final

from aldis.core.contracts.accounts import AccountDeleted, AccountDisabled, AccountForgotten
from aldis.core.contracts.base import Message, Origin
from aldis.core.shards.effects import Effect
from aldis.core.shards.turn import Turn
from aldis.core.storage import Transaction
from aldis.router.context import Shard, UserSession
from aldis.router.domain.subscription import farewell
from aldis.router.features.binding import Binding
from aldis.router.features.effects import Changes, How, subscription_stanza
from aldis.router.features.presence import made

REMEMBERED: Final = 10_000


class AccountEvents:
    """What the directory tells of one shard's accounts."""

    def __init__(self, shard: Shard, binding: Binding, changes: Changes) -> None:
        self._shard = shard
        self._binding = binding
        self._changes = changes
        self._forgotten: OrderedDict[Origin, None] = OrderedDict()
        """Deletions that this owner has seen to: told again, it only confirms."""

    def handle(self, account: str, message: Message, turn: Turn) -> Awaitable[None] | None:
        """End the account's streams; if it is deleted, forget it and tell its contacts."""
        if not isinstance(message, AccountDeleted | AccountDisabled):
            self._shard.tools.drop("unknown-message")
            return None
        if isinstance(message, AccountDisabled):
            self._binding.expelled(account, message.at, "the account is disabled", turn)
            return None
        return self._forget(account, message, turn)

    async def _forget(self, account: str, message: AccountDeleted, turn: Turn) -> None:
        if message.origin in self._forgotten:
            self._shard.output.tell(message.reply_to, AccountForgotten(account=account, service="router"), turn)
            return
        user = self._shard.users.get(account)
        shown = [] if user is None else list(user.resources.values())

        async def decide(tx: Transaction) -> tuple[Effect, ...]:
            items = await self._shard.tools.store.forget(tx, account)
            subscribers = {item.jid for item in items if item.state.seen}
            return (
                *(unavailable for session in shown for unavailable in _unavailable(session, subscribers, message.origin)),
                *(
                    subscription_stanza(action.value, account, item.jid, message.origin)
                    for item in items
                    for action in farewell(item.state)
                ),
            )

        await self._changes.once(message.origin, decide, turn)
        self._shard.tools.accounts.forget(account)
        self._binding.deleted(account, message.at, message.origin, turn)
        self._binding.expelled(account, message.at, "the account was deleted", turn)
        self._forgotten[message.origin] = None
        if len(self._forgotten) > REMEMBERED:
            self._forgotten.popitem(last=False)
        self._shard.output.tell(message.reply_to, AccountForgotten(account=account, service="router"), turn)


def _unavailable(session: UserSession, subscribers: set[str], origin: Origin) -> Iterator[Effect]:
    """Unavailable presence to everybody who saw a session."""
    targets = {target for target in session.directed if target.partition("/")[0] not in subscribers}
    if session.presence is not None:
        targets |= subscribers
    for target in sorted(targets):
        yield Effect(How.SEND, session.account, f"presence {session.jid} {target}", made("unavailable", session.jid, target, origin))
