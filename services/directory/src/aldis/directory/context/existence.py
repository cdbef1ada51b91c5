"""Whether there is an account: asked for every stanza to somebody who is not online, so a short while is remembered."""

from collections import OrderedDict
from typing import Final

from aldis.core.service.clock import Clock
from aldis.directory.context.accounts import Accounts
from aldis.directory.domain.account import Account, State

_KEPT_SECONDS: Final = 2.0
"""How long another directory process's change may stay unseen here; our own is seen at once."""
_MOST: Final = 10_000


class Existence:
    """States of accounts, from memory where it can be."""

    def __init__(self, accounts: Accounts, clock: Clock) -> None:
        self._accounts = accounts
        self._clock = clock
        self._known: OrderedDict[Account, tuple[State, float]] = OrderedDict()
        self._changes = 0

    def forget(self, account: Account) -> None:
        """Something was done to the account."""
        self._known.pop(account, None)
        self._changes += 1

    async def state(self, account: Account) -> State:
        """Where the account stands."""
        now = self._clock.now()
        known = self._known.get(account)
        if known is not None and now < known[1]:
            return known[0]
        changes = self._changes
        state = await self._accounts.state(account)
        if changes == self._changes:  # else what was read may be from before the change
            self._known[account] = state, now + _KEPT_SECONDS
            if len(self._known) > _MOST:
                self._known.popitem(last=False)
        return state
