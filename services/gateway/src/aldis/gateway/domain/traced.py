"""Whose stanzas are followed through the logs for a while."""

from typing import Final

MOST: Final = 100
"""Accounts at a time: each of their stanzas costs several lines."""


class Traced:
    """Accounts, with the time until which each is traced. Empty nearly always, and then it costs its users a look at `accounts`."""

    __slots__ = ("accounts",)

    def __init__(self) -> None:
        self.accounts: dict[str, float] = {}

    def begin(self, account: str, seconds: float, now: float) -> None:
        """Trace it for so long from now; 0 ends it."""
        self._forget(now)
        self.accounts.pop(account, None)
        if seconds > 0 and len(self.accounts) < MOST:
            self.accounts[account] = now + seconds

    def has(self, account: str, now: float) -> bool:
        """Is it traced?"""
        until = self.accounts.get(account)
        if until is not None and until <= now:
            self._forget(now)
            return False
        return until is not None

    def _forget(self, now: float) -> None:
        self.accounts = {account: until for account, until in self.accounts.items() if until > now}
