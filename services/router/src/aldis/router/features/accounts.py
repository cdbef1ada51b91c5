"""Accounts that are deleted or disabled: what the router keeps of them, and their streams."""

from collections.abc import Awaitable

from aldis.core.contracts.accounts import AccountDeleted, AccountDisabled, AccountForgotten
from aldis.core.contracts.base import Message
from aldis.core.shards.effects import Effect
from aldis.core.shards.turn import Turn
from aldis.core.storage import Transaction
from aldis.router.context import Shard
from aldis.router.domain.subscription import farewell
from aldis.router.features.binding import Binding
from aldis.router.features.effects import Changes, subscription_stanza


class AccountEvents:
    """What the directory tells of one shard's accounts."""

    def __init__(self, shard: Shard, binding: Binding, changes: Changes) -> None:
        self._shard = shard
        self._binding = binding
        self._changes = changes

    def handle(self, account: str, message: Message, turn: Turn) -> Awaitable[None] | None:
        """End the account's streams; if it is deleted, forget it and tell its contacts."""
        if not isinstance(message, AccountDeleted | AccountDisabled):
            self._shard.tools.drop("unknown-message")
            return None
        self._binding.expelled(account, message, turn)
        return self._forget(account, message, turn) if isinstance(message, AccountDeleted) else None

    async def _forget(self, account: str, message: AccountDeleted, turn: Turn) -> None:
        async def decide(tx: Transaction) -> tuple[Effect, ...]:
            gone = await self._shard.tools.store.forget(tx, account)
            return tuple(
                subscription_stanza(action.value, account, item.jid, message.origin) for item in gone for action in farewell(item.state)
            )

        await self._changes.once(message.origin, decide, turn)
        user = self._shard.users.get(account)
        if user is not None:
            user.roster = None
        self._shard.output.tell(message.reply_to, AccountForgotten(account=account, service="router"), turn)
