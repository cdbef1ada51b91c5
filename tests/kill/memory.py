"""How much memory processes use while a part runs."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from typing import Final

import psutil

from tests.kill.running import Running

EVERY: Final = 0.25


class Memory:
    """The most memory that each process had since it was last asked."""

    def __init__(self, processes: Iterable[Running]) -> None:
        self._processes = list(processes)
        self._most: defaultdict[str, float] = defaultdict(float)

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator["Memory"]:
        """Look at it often until the block ends."""
        task = asyncio.create_task(self._look())
        await asyncio.sleep(0)
        try:
            yield self
        finally:
            task.cancel()

    def most(self) -> dict[str, float]:
        """In MB by name, and begin anew."""
        most, self._most = dict(self._most), defaultdict(float)
        return most

    async def _look(self) -> None:
        while True:
            for process in self._processes:
                if process.alive:
                    with contextlib.suppress(psutil.Error):
                        self._most[process.name] = max(self._most[process.name], process.rss)
            await asyncio.sleep(EVERY)
