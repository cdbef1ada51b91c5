"""A turn: one input batch, as long as anything that it caused is under way."""

from typing import Protocol

from aldis.core.bus.port import Batch


class Settler(Protocol):
    """Who acknowledges turns when they are over."""

    def settle(self) -> None: ...


class Turn:
    """Counts what is under way; a service passes it on and never looks into it."""

    __slots__ = ("_owner", "batch", "mark", "pending")

    def __init__(self, owner: Settler, batch: Batch | None, mark: int) -> None:
        self._owner = owner
        self.batch = batch
        self.mark = mark
        self.pending = 1

    def hold(self) -> None:
        """Something more is under way."""
        self.pending += 1

    def release(self) -> None:
        """Something is done; after the last the batch may be acknowledged."""
        self.pending -= 1
        if self.pending == 0:
            self._owner.settle()
