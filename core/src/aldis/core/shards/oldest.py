"""How long the oldest work of each shard has been under way, found by looking now and then: nothing is timed for each batch."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

LOOK: Final = 0.5
"""Seconds between two looks: how exact the answer is."""

Places = Mapping[int, tuple[int, int]]
"""By shard: its epoch and its oldest turn."""


class Oldest:
    """What was seen at the looks."""

    def __init__(self, working: Callable[[], Places], now: Callable[[], float]) -> None:
        self._working = working
        self._now = now
        self._since: dict[int, tuple[tuple[int, int], float]] = {}

    def look(self) -> None:
        """See what each shard works on."""
        now, before = self._now(), self._since
        self._since = {
            shard: before[shard] if shard in before and before[shard][0] == place else (place, now)
            for shard, place in self._working().items()
        }

    async def keep(self) -> None:
        """Look again and again."""
        while True:
            self.look()
            await asyncio.sleep(LOOK)

    def seconds(self, shard: int) -> float:
        """How long the shard's oldest turn has been the oldest; 0 if it has none, or a new one."""
        place, since = self._since.get(shard, (None, 0.0))
        return self._now() - since if place is not None and self._working().get(shard) == place else 0.0

    def longest(self) -> float:
        """Over all shards."""
        return max(map(self.seconds, self._since), default=0.0)
