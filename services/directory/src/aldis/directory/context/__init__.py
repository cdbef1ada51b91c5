"""What the directory's handlers work with."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from aldis.core.bus import Bus
from aldis.core.seal import SealingKey
from aldis.core.service.clock import Clock
from aldis.core.service.logging import Logger
from aldis.directory.context.accounts import Accounts
from aldis.directory.context.existence import Existence
from aldis.directory.context.guard import Attempt, Guard
from aldis.directory.context.hasher import Hasher
from aldis.directory.domain.account import Account
from aldis.directory.domain.notice import Kind, Notice
from aldis.directory.domain.passwords import Decoys
from aldis.directory.settings import DirectorySettings

__all__ = ["Accounts", "Attempt", "Context", "Existence", "Guard", "Hasher"]


@dataclass(frozen=True, slots=True)
class Context:
    """Made once, in `app.py`."""

    settings: DirectorySettings
    bus: Bus
    accounts: Accounts
    existence: Existence
    key: SealingKey
    decoys: Decoys
    hasher: Hasher
    guard: Guard
    clock: Clock
    log: Logger
    changed: Callable[[Account], None]
    """Called after every change of an account: drops what is cached of it and sends notices."""

    def notice(self, account: Account, kind: Kind, services: tuple[str, ...]) -> Notice:
        """News that will be repeated under one origin until the services have confirmed it."""
        return Notice(account, kind, f"{self.bus.incarnation}/{kind}/{secrets.token_hex(8)}", services, self.clock.time())
