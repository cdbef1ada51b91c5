"""Which processes there are and who owns what: the registry's rows, and what is asked of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

ROUTER: Final = "router"
LEAVING: Final = "leaving"
"""A router that hands its shards over and takes none."""
GATEWAY: Final = "gateway"


@dataclass(frozen=True, slots=True)
class Member:
    """A running process, or one that died and is not yet forgotten."""

    id: str
    kind: str
    """ROUTER, LEAVING or GATEWAY."""
    queue: str
    """Its exclusive queue on its present connection to the bus: as long as that is there, so is the process."""
    renewed: float
    """When it last renewed its lease, in seconds since 1970 by the database's clock."""
    age: float
    """Seconds since then, by the same clock."""


@dataclass(frozen=True, slots=True)
class Owned:
    """A shard's row."""

    epoch: int
    owner: str | None
    """The id of the process that owns the shard or is to take it; None if it was released for nobody."""


@dataclass(frozen=True, slots=True)
class View:
    """The registry at one moment."""

    members: tuple[Member, ...]
    owners: Mapping[int, Owned]

    def of(self, kind: str) -> list[Member]:
        """The members of one kind."""
        return [member for member in self.members if member.kind == kind]


class WrongShards(Exception):
    """The site has another number of shards than this process is set to."""

    def __init__(self, stored: int, wanted: int) -> None:
        super().__init__(
            f"bus.shards = {wanted}: the other processes of this database use {stored}, and a user's shard follows from the number; "
            f"set bus.shards = {stored} (how to change it for a whole site: docs/operations.md)"
        )
        self.stored = stored
        self.wanted = wanted


class Rolls(Protocol):
    """Where a process enters itself."""

    async def agree(self, shards: int) -> None:
        """Raise `WrongShards` unless everybody uses so many; the first one decides."""

    async def join(self, member: str, kind: str, queue: str) -> None:
        """Enter a process, or its new queue; its lease begins."""

    async def renew(self, member: str) -> bool:
        """Renew its lease; False if somebody has taken it for dead and removed it."""

    async def leave(self, member: str) -> None:
        """Remove a process that ends."""


class Registry(Rolls, Protocol):
    """What routers need to know to share shards out and to take them over; kept in the database."""

    async def view(self) -> View:
        """Everything."""

    async def forget(self, member: Member) -> None:
        """Remove a dead process, unless it has renewed its lease meanwhile."""

    async def claim(self, shard: int, owner: str, instead_of: str | None) -> int | None:
        """Own the shard under a raised epoch, which is the answer; None if its row names somebody else than these two."""

    async def release(self, shard: int, owner: str, heir: str | None) -> int | None:
        """Pass the shard's row on to the heir, or to nobody; its epoch, or None if it was not the owner's."""

    async def epoch(self, shard: int) -> int:
        """The shard's epoch just now; 0 if it never had an owner."""
