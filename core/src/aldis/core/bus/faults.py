"""The memory bus's fault mode: what a broker and a dying process may do to anybody, drawn from a seed.

It repeats batches, delays a queue, lets a shard's consumer die before, within or after its effects and always before
its acknowledgement, and asks for a shard to be moved. What it does is legal for the bus: a service that loses, repeats
or reorders under it has a defect.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from random import Random

MOST_DEATHS = 3
"""A batch kills no more consumers than this, so that every run ends."""


class Death(Enum):
    """Where in the handling of a batch its consumer dies."""

    BEFORE = "before"
    """Nothing was done."""
    WITHIN = "within"
    """Some of what it published got out."""
    AFTER = "after"
    """All of it got out; only the acknowledgement did not."""


@dataclass(slots=True)
class Faults:
    """Probabilities for each batch, and the dice."""

    seed: int
    repeat: float = 0.05
    delay: float = 0.05
    die: float = 0.03
    move: float = 0.02
    longest_delay: float = 0.01
    """Seconds."""
    on_move: Callable[[str], None] | None = None
    """Called with a queue whose owner should hand over."""
    dice: Random = field(init=False)
    counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dice = Random(self.seed)  # noqa: S311  the same seed must give the same faults

    def repeats(self) -> bool:
        """Shall this batch come twice?"""
        return self._happens("repeat", self.repeat)

    def pause(self) -> float:
        """Seconds for which the queue stands still, usually 0."""
        return self.dice.uniform(0, self.longest_delay) if self._happens("delay", self.delay) else 0.0

    def death(self, redelivered: int) -> Death | None:
        """Does the consumer die of this batch, and where?"""
        if redelivered >= MOST_DEATHS or not self._happens("die", self.die):
            return None
        return self.dice.choice(tuple(Death))

    def survivors(self) -> int:
        """How many of the publishes get out when it dies within them."""
        return self.dice.randrange(0, 4)

    def moves(self, queue: str) -> None:
        """Perhaps ask for the queue's shard to be moved."""
        if self.on_move is not None and self._happens("move", self.move):
            self.on_move(queue)

    def _happens(self, what: str, probability: float) -> bool:
        if self.dice.random() >= probability:
            return False
        self.counts[what] = self.counts.get(what, 0) + 1
        return True
