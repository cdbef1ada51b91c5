"""What is said when a connection to the broker broke and is back: sessions that are still here, copies that may have been lost."""

import msgspec

from aldis.core.contracts.base import Message
from aldis.core.contracts.resumption import Copy
from aldis.core.contracts.sessions import SessionSnapshot

# --- gateway → shard


class Rejoin(Message, frozen=True, kw_only=True, tag="rejoin"):
    """A gateway is back under another queue, with these sessions; what its former queue held is gone."""

    gateway: str
    sessions: tuple[SessionSnapshot, ...]


class Leaving(Message, frozen=True, kw_only=True, tag="leaving"):
    """A gateway stops in order: its sessions wait with their shards, which let it go when they have written them down."""

    gateway: str


# --- shard → its next owner


class Left(msgspec.Struct, frozen=True, array_like=True):
    """A session's copies that nobody else may have."""

    session: str
    jid: str
    copies: tuple[Copy, ...]
    told: tuple[tuple[int, str, int], ...] = ()
    """Numbers of those that were caused by something not acknowledged yet, though its gateway was told that it is done; and what it
    was: the n-th message of a session. If the gateway has not heard it, the work is done again."""


class Aside(Message, frozen=True, kw_only=True, tag="aside"):
    """What the owner of `epoch` held when it lost the broker: published and confirmed, and perhaps gone with a gateway's queue."""

    epoch: int
    sessions: tuple[Left, ...]
    ordered: bool = False
    """It handed the shard over in order: whatever gateway is still there has it all."""
