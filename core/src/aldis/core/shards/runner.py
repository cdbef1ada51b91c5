"""Runs a process's shards: claims one, takes it over from its gateways, consumes it, and gives it back."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Generic, Protocol

from aldis.core.bus.names import reply_queue, router_queue
from aldis.core.bus.port import Batch, Subscription
from aldis.core.contracts.sessions import Takeover, TakeoverAnswer
from aldis.core.shards.mailbox import Mailboxes
from aldis.core.shards.means import Means
from aldis.core.shards.output import Output
from aldis.core.shards.owner import ShardOwner
from aldis.core.shards.service import ShardService
from aldis.core.shards.sessions import S, Sessions

LEASE = 10.0
"""Seconds after which a gateway that does not answer is taken for dead."""
RETRY = 0.5
"""Seconds before a shard is claimed again that could not be."""


class Registry(Protocol):
    """Who owns which shard under which epoch, and which gateways there are; kept in the database."""

    async def claim(self, shard: int, owner: str) -> int:
        """Raise the shard's epoch and own it; the new epoch."""

    async def release(self, shard: int, epoch: int) -> None:
        """Own it no longer, if the epoch is still this one."""

    async def gateways(self) -> list[str]:
        """The queues of the registered gateways."""


class _Answers:
    """The consumer of the reply queue: keeps each gateway's first answer for the take-over that waits for it."""

    def __init__(self) -> None:
        self.waiting: dict[tuple[int, int], dict[str, TakeoverAnswer]] = {}
        self.came = asyncio.Event()

    def deliver(self, batch: Batch) -> None:
        for message in batch.messages:
            if isinstance(message, TakeoverAnswer):
                answers = self.waiting.get((message.shard, message.epoch))
                if answers is not None:
                    answers.setdefault(message.gateway, message)
        self.came.set()
        batch.ack()

    def lost(self) -> None:
        """A take-over under way runs into its lease."""


class Running(Generic[S]):
    """One shard that is owned."""

    def __init__(self, output: Output, owner: ShardOwner[S], sessions: Sessions[S]) -> None:
        self.output = output
        self.owner = owner
        self.sessions = sessions.by_id
        self.subscription: Subscription | None = None


class ShardRunner(Generic[S]):
    """A process's shards."""

    def __init__(
        self,
        means: Means,
        registry: Registry,
        make: Callable[[Output, Sessions[S]], ShardService[S]],
    ) -> None:
        self._means = means
        self._bus = means.bus
        self._registry = registry
        self._make = make
        self._log = means.log
        self._answers = _Answers()
        self._reply_to = reply_queue(means.bus.incarnation)
        self._wanted: set[int] = set()
        self._changed = asyncio.Event()
        self._ending: set[Mailboxes] = set()
        self._stopping = False
        self._taking = asyncio.Lock()
        self.running: dict[int, Running[S]] = {}

    async def start(self) -> None:
        """Make the queue for the gateways' answers."""
        await self._bus.declare(self._reply_to, exclusive=True)
        await self._bus.consume(self._reply_to, self._answers)

    def want(self, shard: int) -> None:
        """Own this shard from now on, and again whenever it is lost."""
        self._wanted.add(shard)
        self._changed.set()

    async def acquire(self, shard: int) -> None:
        """Own the shard; returns when it is consumed."""
        self._wanted.add(shard)
        await self._take(shard)

    async def release(self, shard: int) -> None:
        """Hand the shard over in order: acknowledge everything, cancel, release."""
        self._wanted.discard(shard)
        running = self.running.get(shard)
        if running is None:
            return
        if running.subscription is not None:
            await running.subscription.cancel()
        self.running.pop(shard, None)
        if not running.output.dead:
            running.owner.discard()
            self._ending.add(running.owner.mailboxes)
            await self._registry.release(shard, running.output.epoch)
            self._log.info("shard.released", shard=shard, epoch=running.output.epoch)

    def standing(self, before: dict[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
        """The shards with work that has not moved since `before`, an earlier answer of `working`."""
        now = self.working()
        return {shard: place for shard, place in now.items() if before.get(shard) == place}

    def working(self) -> dict[int, tuple[int, int]]:
        """Where each shard is that has work: its epoch and its oldest turn."""
        return {
            shard: (running.output.epoch, running.owner.oldest)
            for shard, running in self.running.items()
            if running.owner.oldest is not None
        }

    async def stop(self) -> None:
        """Take no more, hand every shard over, and wait for what lost ones had begun.

        Nothing is cancelled, since it may be in the middle of a transaction.
        """
        self._stopping = True
        self._changed.set()
        self._answers.came.set()
        async with self._taking:
            pass
        for shard in list(self.running):
            await self.release(shard)
        for mailboxes in self._ending:
            await mailboxes.ended()
        self._ending.clear()

    async def run(self) -> None:
        """Take wanted shards that are not owned, until it is stopped."""
        while not self._stopping:
            self._changed.clear()
            for shard in sorted(self._wanted - self.running.keys()):
                try:
                    await self._take(shard)
                except Exception as error:  # noqa: BLE001  the database or the bus may be away; the shard is tried again
                    self._log.warning("shard.claim-failed", shard=shard, error=str(error) or type(error).__name__)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._changed.wait(), RETRY)
                    self._changed.set()
            await self._changed.wait()

    async def _take(self, shard: int) -> None:
        async with self._taking:
            if not self._stopping and shard in self._wanted and shard not in self.running:
                await self._take_now(shard)

    async def _take_now(self, shard: int) -> None:
        epoch = await self._registry.claim(shard, self._bus.incarnation)
        output = Output(self._bus, shard, self._means.shards, epoch)
        sessions: Sessions[S] = Sessions()
        service = self._make(output, sessions)
        owner = ShardOwner(self._means, output, service, sessions, lambda: self._lost(shard))
        answers = await self._take_over(shard, epoch)
        if self._stopping or shard not in self._wanted:
            output.dead = True
            await self._registry.release(shard, epoch)
            return
        owner.restore(answers)
        running = Running(output, owner, sessions)
        running.subscription = await self._bus.consume(router_queue(shard), owner)
        if output.dead:
            return  # lost again before the call returned
        self.running[shard] = running
        self._log.info("shard.owned", shard=shard, epoch=epoch, sessions=sum(len(answer.sessions) for answer in answers))

    async def _take_over(self, shard: int, epoch: int) -> list[TakeoverAnswer]:
        """Ask every gateway for its sessions; one that does not answer within its lease is gone."""
        gateways = await self._registry.gateways()
        if not gateways:
            return []
        answers: dict[str, TakeoverAnswer] = {}
        self._answers.waiting[shard, epoch] = answers
        takeover = Takeover(shard=shard, shards=self._means.shards, epoch=epoch, reply_to=self._reply_to)
        for gateway in gateways:
            self._bus.publish(gateway, takeover)
        missing = set(gateways)
        try:
            async with asyncio.timeout(LEASE):
                while (missing := set(gateways) - answers.keys()) and not self._stopping:
                    self._answers.came.clear()
                    await self._answers.came.wait()
        except TimeoutError:
            self._log.warning("shard.gateway-silent", shard=shard, gateways=sorted(missing))
        finally:
            del self._answers.waiting[shard, epoch]
        return list(answers.values())

    def _lost(self, shard: int) -> None:
        running = self.running.pop(shard, None)
        if running is not None:
            self._ending = {mailboxes for mailboxes in self._ending if mailboxes.at_work} | {running.owner.mailboxes}
            self._log.warning("shard.lost", shard=shard, epoch=running.output.epoch)
        self._changed.set()
