"""The new owner's side of a take-over: every registered gateway is asked for its sessions, and waited for or given up."""

import asyncio
from collections.abc import Awaitable, Callable

from aldis.core.bus.names import reply_queue
from aldis.core.bus.port import Batch
from aldis.core.contracts.sessions import Takeover, TakeoverAnswer
from aldis.core.shards.means import Means
from aldis.core.shards.members import GATEWAY, Member, Registry

LOOK = 0.25
"""Seconds of silence after which it is looked whether those who have not answered are still there."""


class Takeovers:
    """Asks gateways; as the consumer of the process's reply queue it keeps what they answer."""

    def __init__(self, means: Means, registry: Registry, gone: Callable[[Member], Awaitable[bool]], patience: float) -> None:
        """`patience` is for a gateway that does not answer, in seconds; `gone` tells whether one is, and not about to be back."""
        self._means = means
        self._bus = means.bus
        self._registry = registry
        self._gone = gone
        self._patience = patience
        self._waiting: dict[tuple[int, int], dict[str, TakeoverAnswer]] = {}
        self._came = asyncio.Event()
        self._queue = ""
        self._opening = asyncio.Lock()

    async def open(self) -> str:
        """Make the queue for the answers on the present connection, if it is not there; its name."""
        async with self._opening:
            queue = reply_queue(self._bus.incarnation, self._bus.connection)
            if queue != self._queue:
                await self._bus.declare(queue, exclusive=True)
                await self._bus.consume(queue, self)
                self._queue = queue
            return queue

    def deliver(self, batch: Batch) -> None:
        """Keep each gateway's first answer for the take-over that waits for it."""
        for message in batch.messages:
            if isinstance(message, TakeoverAnswer):
                answers = self._waiting.get((message.shard, message.epoch))
                if answers is not None:
                    answers.setdefault(message.gateway, message)
        self._came.set()
        batch.ack()

    def lost(self) -> None:
        """With the connection; a take-over under way begins again when that is back."""

    def wake(self) -> None:
        """Have those who wait look whether they still need to."""
        self._came.set()

    async def ask(self, shard: int, epoch: int, needed: Callable[[], bool]) -> list[TakeoverAnswer]:
        """Every gateway's answer, but of those that are gone and those that are silent for the length of a lease."""
        reply_to = ""
        answers = self._waiting[shard, epoch] = {}
        asked: dict[str, float] = {}
        gateways: list[Member] = []
        try:
            while needed():
                if reply_to != (reply_to := await self.open()):  # what was answered to the queue before is gone with it
                    asked.clear()
                    answers.clear()
                gateways = (await self._registry.view()).of(GATEWAY)
                self._ask_new(gateways, asked, Takeover(shard=shard, shards=self._means.shards, epoch=epoch, reply_to=reply_to))
                while needed() and await self._wait_for({gateway.queue for gateway in gateways} - answers.keys()):
                    pass
                missing = [gateway for gateway in gateways if gateway.queue not in answers]
                silent = [gateway for gateway in missing if self._means.now() - asked[gateway.queue] >= self._patience]
                if silent:
                    self._means.log.warning("shard.gateway-silent", shard=shard, gateways=[gateway.queue for gateway in silent])
                if not [gateway for gateway in missing if gateway not in silent and not await self._gone(gateway)]:
                    break
            return [answers[gateway.queue] for gateway in gateways if gateway.queue in answers]
        finally:
            del self._waiting[shard, epoch]

    def _ask_new(self, gateways: list[Member], asked: dict[str, float], question: Takeover) -> None:
        for gateway in gateways:
            if gateway.queue not in asked:
                asked[gateway.queue] = self._means.now()
                self._bus.publish(gateway.queue, question)

    async def _wait_for(self, missing: set[str]) -> bool:
        """Wait until something comes; False if nothing is missing or nothing comes."""
        if not missing:
            return False
        self._came.clear()
        try:
            await asyncio.wait_for(self._came.wait(), LOOK)
        except TimeoutError:
            return False
        return True
