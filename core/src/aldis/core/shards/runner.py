"""Runs a process's shards: takes those that it is told to, hands them over, and drops them at once when they are lost."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Generic

from aldis.core.bus.names import SHARDS, router_queue
from aldis.core.bus.port import BusAway, Consumption
from aldis.core.contracts.shards import ShardMoved
from aldis.core.shards.aside import Asides, Held, leave
from aldis.core.shards.mailbox import Mailboxes
from aldis.core.shards.means import Means
from aldis.core.shards.members import Registry
from aldis.core.shards.output import Output
from aldis.core.shards.owner import ShardOwner
from aldis.core.shards.poison import Careful
from aldis.core.shards.service import ShardService
from aldis.core.shards.sessions import S, Sessions
from aldis.core.shards.takeover import Takeovers

RETRY = 0.5
"""Seconds before a shard is claimed again that could not be."""
DRAIN = 3.0
"""Seconds that a shard which is handed over has to finish what it began; then the next owner does it again."""
SOON, LATER = 0.01, 0.5
"""Seconds between two looks whether the owner before has left the queue: at first, and at last."""


class Running(Generic[S]):
    """One shard that is owned."""

    def __init__(self, output: Output, owner: ShardOwner[S], sessions: Sessions[S]) -> None:
        self.output = output
        self.owner = owner
        self.sessions = sessions.by_id
        self.subscription: Consumption | None = None

    def drop(self) -> None:
        """Forget everything, send and acknowledge nothing more."""
        self.owner.discard()
        if self.subscription is not None:
            self.subscription.abandon()


class ShardRunner(Generic[S]):
    """A process's shards. Which ones, somebody else decides (`ownership`); nothing that it has begun is ever cancelled."""

    def __init__(
        self,
        means: Means,
        registry: Registry,
        takeovers: Takeovers,
        make: Callable[[Output, Sessions[S]], ShardService[S]],
    ) -> None:
        self.means = means
        self._bus = means.bus
        self._registry = registry
        self._takeovers = takeovers
        self._make = make
        self._log = means.log
        self.me = means.bus.incarnation
        self._wanted: dict[int, str | None] = {}
        """Shards to own, each with the dead process that it may be taken from."""
        self._takes: dict[int, asyncio.Task[None]] = {}
        self._releases: dict[int, asyncio.Task[None]] = {}
        self._asides = Asides(self._bus)
        self._ending: set[Mailboxes] = set()
        self._wake = asyncio.Event()
        self.contested: Callable[[], None] = lambda: None
        """Called when a shard turns out to be somebody else's."""
        self.running: dict[int, Running[S]] = {}

    # --- what to own

    def want(self, shard: int, instead_of: str | None = None) -> None:
        """Own this shard from now on, and again whenever it is lost; `instead_of` is a dead process that it may be taken from."""
        self._wanted[shard] = instead_of
        self._begin(shard)

    def _begin(self, shard: int) -> None:
        if self.busy(shard) or shard not in self._wanted:
            return
        task = asyncio.get_running_loop().create_task(self._take(shard), name=f"take shard {shard}")
        self._takes[shard] = task
        task.add_done_callback(lambda _: self._take_ended(shard))

    def release(self, shard: int, heir: str | None) -> asyncio.Task[None]:
        """Begin to hand the shard over to the heir, or to nobody: finish, acknowledge, cancel, pass the row on, say so."""
        self._unwant(shard)
        known = self._releases.get(shard)
        if known is not None:
            return known
        task = asyncio.get_running_loop().create_task(self._release(shard, heir, self._takes.get(shard)), name=f"release shard {shard}")
        self._releases[shard] = task
        task.add_done_callback(lambda _: self._release_ended(shard))
        return task

    def _take_ended(self, shard: int) -> None:
        del self._takes[shard]
        self._begin(shard)  # if it was lost meanwhile

    def _release_ended(self, shard: int) -> None:
        del self._releases[shard]
        self._begin(shard)  # if it was asked for meanwhile

    def moved(self, shard: int, epoch: int) -> None:
        """Somebody else owns the shard under this epoch: if it is a newer one, drop everything at once."""
        running = self.running.get(shard)
        if running is not None and running.output.epoch < epoch:
            self._unwant(shard)
            running.drop()
            self._lost(shard, running.output)

    def pass_on(self, shard: int) -> None:
        """The shard is somebody else's for good: what this process held when it lost it goes there."""
        self._asides.pass_on(shard)

    def busy(self, shard: int) -> bool:
        """Is it owned, being taken or being handed over?"""
        return shard in self.running or shard in self._takes or shard in self._releases

    async def settled(self, seconds: float) -> None:
        """Wait until nothing is being taken or handed over, `seconds` at most."""
        if under_way := [*self._takes.values(), *self._releases.values()]:
            await asyncio.wait(under_way, timeout=seconds)

    async def stop(self) -> None:
        """Take no more, and wait for what was begun, in lost shards as well."""
        self._wanted.clear()
        self._wakes()
        while under_way := [*self._takes.values(), *self._releases.values()]:
            await asyncio.wait(under_way)
        for shard in list(self.running):
            await self.release(shard, None)
        for mailboxes in self._ending:
            await mailboxes.ended()
        self._ending.clear()
        await self._asides.ended()

    # --- how it goes

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

    # --- handing over

    async def _release(self, shard: int, heir: str | None, take: asyncio.Task[None] | None) -> None:
        if take is not None:
            await asyncio.wait({take})
        running = self.running.get(shard)
        if running is not None:
            aside = await self._drain(running)
            if self.running.pop(shard, None) is not None:
                self._ending.add(running.owner.mailboxes)
                # a gateway may die before it is asked
                leave(self._bus, shard, running.output.epoch, (copies for _, copies in aside), ordered=True)
        try:
            epoch = await self._registry.release(shard, self.me, heir)
        except Exception as error:  # noqa: BLE001  the database may be away; whoever decides finds the row as it was
            self._log.warning("shard.release-failed", shard=shard, error=str(error) or type(error).__name__)
            self.contested()
            return
        if epoch is not None:
            self._bus.broadcast(SHARDS, ShardMoved(shard=shard, epoch=epoch, owner=heir or ""))
            self._log.info("shard.released", shard=shard, epoch=epoch, heir=heir)

    @staticmethod
    async def _drain(running: Running[S]) -> tuple[Held, ...]:
        """Stop the input, finish what came and forget everything; what takes too long is left to the next owner, who does it again."""
        subscription = running.subscription
        if subscription is None:
            return running.owner.leave()
        leaving = asyncio.get_running_loop().create_task(subscription.cancel())
        done, _ = await asyncio.wait({leaving}, timeout=DRAIN)
        if done:
            # what no batch stands for as well, such as the end of a session whose gateway is gone
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN):
                    while not running.owner.idle and not running.owner.over:  # noqa: ASYNC110  nobody tells
                        await asyncio.sleep(SOON)
            await running.owner.stored()
            return running.owner.leave()
        aside = running.owner.leave()
        subscription.abandon()
        await asyncio.wait({leaving})
        return aside

    # --- taking

    async def _take(self, shard: int) -> None:
        told = ""
        while self._wants(shard) and shard not in self.running:
            try:
                if not await self._taken(shard):
                    self._unwant(shard)
                    self.contested()
                    return
            except Exception as error:  # noqa: BLE001  the database or the bus may be away; the shard is tried again
                reason = str(error) or type(error).__name__
                if reason != told:
                    self._log.warning("shard.claim-failed", shard=shard, error=reason)
                told = reason
                await self._pause(RETRY)

    def _wants(self, shard: int) -> bool:
        return shard in self._wanted and shard not in self._releases

    async def _taken(self, shard: int) -> bool:
        """Take the shard, unless it is not wanted any more or lost again at once; False if it is somebody else's."""
        if not self._bus.up:
            raise BusAway("the bus is away")
        epoch = await self._registry.claim(shard, self.me, self._wanted.get(shard))
        if epoch is None:
            return False
        self._asides.claimed(shard, epoch)
        self._bus.broadcast(SHARDS, ShardMoved(shard=shard, epoch=epoch, owner=self.me))
        output = Output(self._bus, shard, self.means.shards, epoch, self.means.most)
        sessions: Sessions[S] = Sessions()
        service = self._make(output, sessions)
        owner = ShardOwner(self.means, output, service, sessions, service.records, lambda: self._lost(shard, output))
        running = Running(output, owner, sessions)
        await self._vacant(shard, epoch)
        answers = await self._takeovers.ask(shard, epoch, lambda: self._wants(shard))
        kept = await owner.kept()
        if not self._wants(shard):
            owner.discard()
            return True
        owner.restore(answers, kept)
        try:
            queue = router_queue(shard)
            marks = self.means.marks
            consumer = owner if marks is None else Careful(owner, shard, queue, self.means, marks)
            running.subscription = await self._bus.consume(queue, consumer)
            current = await self._registry.epoch(shard)
            aside, successor = await self._asides.needed(shard)
        except Exception:
            running.drop()
            raise
        if current != epoch:  # claimed meanwhile by one who saw no consumer yet; whoever claims later sees this one
            running.drop()
            return False
        if not output.dead:
            self.running[shard] = running
            self._log.info("shard.owned", shard=shard, epoch=epoch, sessions=sum(len(answer.sessions) for answer in answers))
            owner.take_aside(aside, successor=successor)
            self._asides.taken(shard)
            owner.begin()
        return True

    async def _vacant(self, shard: int, epoch: int) -> None:
        """Wait until the owner before has left the queue: what it handles now, gateways must still take, and it acknowledges.

        One that lives hears that it is none any more; the broker ends one that does not.
        """
        queue = router_queue(shard)
        pause, told = SOON, False
        while self._wants(shard):
            state = await self._bus.look(queue)
            if state is None:
                await self._bus.declare(queue)
            elif not state.consumers:
                return
            if pause == LATER:
                if not told:
                    self._log.warning("shard.occupied", shard=shard, epoch=epoch)
                told = True
                self._bus.broadcast(SHARDS, ShardMoved(shard=shard, epoch=epoch, owner=self.me))
            await self._pause(pause)
            pause = min(2 * pause, LATER)

    def _lost(self, shard: int, output: Output) -> None:
        """The shard's owner under this output is one no more; it has discarded everything."""
        running = self.running.get(shard)
        if running is None or running.output is not output:
            return
        del self.running[shard]
        running.drop()
        self._ending = {mailboxes for mailboxes in self._ending if mailboxes.at_work} | {running.owner.mailboxes}
        self._log.warning("shard.lost", shard=shard, epoch=output.epoch)
        self._asides.keep(shard, output.epoch, running.owner.aside)
        self._begin(shard)

    def _unwant(self, shard: int) -> None:
        self._wanted.pop(shard, None)
        self._wakes()

    def _wakes(self) -> None:
        self._wake.set()
        self._takeovers.wake()

    async def _pause(self, seconds: float) -> None:
        self._wake.clear()
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return
