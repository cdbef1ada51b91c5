"""Queues that nobody empties: looked at once a second where something is published, so that edges stop before they fill."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from aldis.core.bus.amqp.publisher import Publisher
from aldis.core.bus.port import BusAway, QueueState

EVERY: Final = 1.0
"""Seconds between two looks: one question to the broker for each queue that was published to since the last."""
DEEP: Final = 1_000
"""Batches that wait in a queue at which edges stop taking more for it: a second's worth for its consumer."""
SHALLOW: Final = 250


class DepthWatch:
    """Marks lanes whose queues are deep."""

    def __init__(self, publisher: Publisher, look: Callable[[str], Awaitable[QueueState | None]]) -> None:
        self._publisher = publisher
        self._look = look
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Look, until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            since = self._loop.time() - 2 * EVERY
            for lane in [each for each in self._publisher.lanes() if each.persistent and (each.last > since or each.deep)]:
                try:
                    state = await self._look(lane.queue)
                except BusAway:
                    break
                waiting = 0 if state is None else state.messages
                if waiting > DEEP:
                    lane.deep = True
                elif lane.deep and waiting < SHALLOW:
                    lane.deep = False
                    if not lane.stressed:
                        self._publisher.relieved(lane.queue)
