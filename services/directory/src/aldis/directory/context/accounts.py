"""The port behind which accounts are kept: SQL now, an LDAP directory beside it later."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from aldis.directory.domain.account import Account, Action, Credential, Entry, State
from aldis.directory.domain.notice import Kind, Notice


class Accounts(Protocol):
    """Accounts, and the news of them that others have not confirmed yet."""

    async def entry(self, account: Account, mechanism: str) -> Entry | None:
        """What a login by this mechanism needs; as much work for an account that does not exist."""

    async def state(self, account: Account) -> State:
        """Where the account stands."""

    async def change(
        self, account: Account, action: Action, *, now: int, credentials: Sequence[Credential] = (), notice: Notice | None = None
    ) -> None:
        """Do it if the account's state allows it, with the notice in the same transaction; raises the refusal of `after`."""

    async def listing(self, domain: str | None) -> list[tuple[Account, bool]]:
        """Every account (of the domain) in order, and whether it is disabled."""

    async def iterations(self) -> Mapping[str, tuple[tuple[int, int], ...]]:
        """By mechanism, how many accounts have which iteration count."""

    def notices(self) -> AsyncIterator[Notice]:
        """Everything that somebody still has to be told."""

    async def told(self, account: Account, kind: Kind, service: str, origin: str | None = None) -> None:
        """The service knows; of a later notice than that of `origin` it does not."""

    async def secret(self, name: str, fresh: bytes) -> bytes:
        """The secret by that name, which is `fresh` if there was none; the same for every process."""
