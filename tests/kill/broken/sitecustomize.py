"""Loaded by a server's Python when the kill test puts this folder on its path: makes it break a promise, to see that the test finds out.

Nothing of this is in the product. `KILL_SABOTAGE` names the promise; without it nothing happens.
"""

import os
from typing import Any


def _h_before_the_confirm() -> None:
    """Tell clients that all is done that was published for them, whether the bus has it or not (XEP-0198 §4)."""
    from aldis.core.shards.link import Link  # noqa: PLC0415  only if asked for

    def h(self: Link) -> int:
        return self.counters.h(max(self.n, self.floor)) if self.counters is not None else 0

    Link.h = property(h)  # type: ignore[method-assign,assignment]


def _acks_out_of_order() -> None:
    """Acknowledge a batch of a shard's queue when its effects are there, though those of earlier ones are not."""
    from aldis.core.shards.owner import ShardOwner  # noqa: PLC0415  only if asked for

    def settle(self: ShardOwner[Any]) -> None:
        self._telling.tell(self._turns)
        turns = self._turns
        over = [place for place, turn in enumerate(turns) if turn.pending == 0]
        for _ in range(over[-1] + 1 if over else 0):
            turn = turns.popleft()
            self._output.acked = turn.mark
            if turn.batch is not None and not self._output.dead:
                turn.batch.ack()

    ShardOwner.settle = settle  # type: ignore[method-assign]


SABOTAGE = {"h-before-the-confirm": _h_before_the_confirm, "acks-out-of-order": _acks_out_of_order}

if name := os.environ.get("KILL_SABOTAGE"):
    SABOTAGE[name]()
