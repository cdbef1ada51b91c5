"""What the database keeps of sessions, for when no gateway can tell of them any more."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from aldis.core.contracts.resumption import Copy, Managed


class State(msgspec.Struct, frozen=True, array_like=True):
    """One session, as it was when it was last written; only grows, since it is kept as bytes."""

    jid: str
    gateway: str
    """Its gateway's queue, empty if that is gone."""
    generation: int
    note: bytes
    peer: str
    since: float
    number: int
    managed: Managed | None
    until: float
    """If it waits for its client: when it ends, in seconds since 1970."""
    exact: bool
    """`number` and the copies are what they are, and not only what they were a while ago."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A session as it is read."""

    session: str
    handled: int
    state: State
    copies: tuple[Copy, ...] = ()


@dataclass(slots=True)
class Changes:
    """What is written together."""

    rows: dict[str, tuple[int, State]] = field(default_factory=dict)
    """By session: up to which n it was handled, and the rest."""
    handled: dict[str, int] = field(default_factory=dict)
    """Only that, of sessions whose rows are there."""
    copies: list[tuple[str, Copy]] = field(default_factory=list)
    had: dict[str, int] = field(default_factory=dict)
    """By session: up to which number copies are needed no more."""
    ended: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.rows or self.handled or self.copies or self.had or self.ended)


class Records(Protocol):
    """One shard's rows, under its owner's epoch."""

    async def load(self) -> Sequence[Kept]:
        """Read every session."""

    async def save(self, changes: Changes) -> None:
        """Write; raises `Fenced` if the shard has a newer owner, `StorageUnavailable` if the database is away."""


def decode(state: bytes) -> State:
    """As it was."""
    return _STATES.decode(state)


def encode(state: State | Copy) -> bytes:
    """As it is kept."""
    return _ENCODER.encode(state)


def decode_copy(copy: bytes) -> Copy:
    """As it was."""
    return _COPIES.decode(copy)


_ENCODER = msgspec.msgpack.Encoder()
_STATES = msgspec.msgpack.Decoder(State)
_COPIES = msgspec.msgpack.Decoder(Copy)
