"""The minimum gap: a process that gets too many batches asks its producers to send fewer and fatter ones.

What a batch costs its consumer hardly depends on what is in it, and batches thin out with producers × queues. So a
consumer counts what comes, aims at no more than 1,000 batches a second, and tells the gap that it wants, 0 to 10 ms, to
everybody (ADR 12).
"""

import asyncio
from collections.abc import Callable
from typing import Final

from aldis.core.contracts.bus import Pace

AIM: Final = 1_000.0
"""Batches a second that one process is to get, at most."""
EASY: Final = 600.0
"""Below this the gap is narrowed again."""
LONGEST_GAP: Final = 0.010
SHORTEST_GAP: Final = 0.001
LOOK_EVERY: Final = 0.1
SAY_AGAIN: Final = 1.0
GOOD_FOR: Final = 3.0
"""Seconds for which a producer heeds what it heard; a consumer that has died can't take it back."""


def next_gap(gap: float, rate: float) -> float:
    """The gap that follows from this one and the batches a second that came with it."""
    if rate > AIM:
        return min(LONGEST_GAP, max(SHORTEST_GAP, gap * min(2.0, rate / AIM)))
    if rate < EASY and gap:
        return gap / 2 if gap / 2 >= SHORTEST_GAP else 0.0
    return gap


class Pacer:
    """Counts a process's batches and tells its producers; runs only while something comes."""

    def __init__(self, tell: Callable[[Pace], None]) -> None:
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._count = 0
        self._queues: set[str] = set()
        self._since = 0.0
        self._told = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.gap = 0.0

    def came(self, queue: str) -> None:
        """One more batch."""
        self._count += 1
        self._queues.add(queue)
        if self._timer is None:
            self._since = self._loop.time()
            self._timer = self._loop.call_later(LOOK_EVERY, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        gap = next_gap(self.gap, self._count / (now - self._since))
        if gap != self.gap or (gap and now - self._told > SAY_AGAIN):
            self.gap, self._told = gap, now
            self._tell(Pace(queues=tuple(sorted(self._queues)), gap=gap))
        idle = not self._count and not gap
        self._count, self._since = 0, now
        if idle:
            self._queues.clear()
        self._timer = None if idle else self._loop.call_later(LOOK_EVERY, self._look)

    def stop(self) -> None:
        """Count no more."""
        if self._timer is not None:
            self._timer.cancel()
