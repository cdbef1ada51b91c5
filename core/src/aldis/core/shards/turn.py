"""A turn: one input batch, as long as anything that it caused is under way."""

from collections.abc import Callable
from typing import Protocol

from aldis.core.bus.port import Batch


class Settler(Protocol):
    """Who acknowledges turns when they are over."""

    def settle(self) -> None: ...


class Turn:
    """Counts what is under way; a service passes it on and never looks into it."""

    __slots__ = ("_last", "_owner", "batch", "handled", "mark", "pending", "told")

    def __init__(self, owner: Settler, batch: Batch | None, mark: int) -> None:
        self._owner = owner
        self._last: Callable[[], None] | None = None
        self.batch = batch
        self.mark = mark
        self.pending = 1
        self.handled: dict[str, tuple[str, int]] = {}
        """By session id: the gateway that is told, and up to which n the turn took what came from it."""
        self.told = False
        """What it handled is on its way to the gateways, or there is nothing to tell."""

    def hold(self) -> None:
        """Something more is under way."""
        self.pending += 1

    def release(self) -> None:
        """Something is done; after the last the batch may be acknowledged."""
        self.pending -= 1
        if self.pending == 0:
            self._owner.settle()

    def lastly(self, call: Callable[[], None]) -> None:
        """Call now if the batch comes again should this owner die, and otherwise when all is done: nobody would do it again."""
        if self.batch is None:
            self._last = call
        else:
            call()

    def finish(self) -> None:
        """It is over."""
        if self.batch is not None:
            self.batch.ack()
        if self._last is not None:
            self._last()


class Turns:
    """Several turns that wait for the same publishes."""

    __slots__ = ("_turns",)

    def __init__(self, turns: list[Turn]) -> None:
        self._turns = turns

    def hold(self) -> None:
        """Something more is under way for each of them."""
        for turn in self._turns:
            turn.pending += 1

    def release(self) -> None:
        """Something is done; the owner is told once for all."""
        for turn in self._turns[:-1]:
            turn.pending -= 1
        self._turns[-1].release()


class Afterwards:
    """What is done when publishes of a turn are confirmed, as a part of it."""

    __slots__ = ("_call", "_pending", "_turn")

    def __init__(self, turn: Turn, call: Callable[[], None]) -> None:
        """Released once by its maker, after the last publish."""
        turn.hold()
        self._turn = turn
        self._call = call
        self._pending = 1

    def hold(self) -> None:
        """One more is under way."""
        self._pending += 1

    def release(self) -> None:
        """One is confirmed; after the last it is done."""
        self._pending -= 1
        if self._pending == 0:
            self._call()
            self._turn.release()
