"""What others still have to be told of an account; kept until they have been."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from aldis.directory.domain.account import Account


class Kind(StrEnum):
    """What happened to the account."""

    DELETED = "deleted"
    DISABLED = "disabled"


KEEPERS: Final = ("router",)
"""Services that keep something of an account: each has to forget it before the name is free."""
BUS: Final = ("bus",)
"""Who has to take the news that an account is disabled: it is done when the bus has it."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One piece of news and the services that have not confirmed it; repeats bear the same origin."""

    account: Account
    kind: Kind
    origin: str
    services: tuple[str, ...]
    at: float
    """When it happened, in seconds since 1970."""
