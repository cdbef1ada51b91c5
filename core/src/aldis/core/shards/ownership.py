"""Shares the shards out among the processes that are there: each decides alone, by the same rows and the same rule.

A process is there while its exclusive queue is on the bus and its lease in the database is renewed. The queue says within
one look that a process was killed; the lease, that one can't reach the database any more. While the database is away
nothing changes hands.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Generic

from aldis.core.bus.names import SHARDS, router_queue
from aldis.core.bus.port import BusError, Subscription
from aldis.core.contracts.base import Message
from aldis.core.contracts.shards import MembersChanged, ShardMoved
from aldis.core.shards.assign import assign
from aldis.core.shards.leases import Pace
from aldis.core.shards.means import Means
from aldis.core.shards.members import GATEWAY, LEAVING, ROUTER, Member, Registry, View
from aldis.core.shards.membership import Membership
from aldis.core.shards.neighbours import Neighbours
from aldis.core.shards.output import Output
from aldis.core.shards.runner import RETRY, ShardRunner
from aldis.core.shards.service import ShardService
from aldis.core.shards.sessions import S, Sessions
from aldis.core.shards.takeover import Takeovers
from aldis.core.storage.errors import StorageUnavailable

START = 30.0
"""Seconds that the first shards have to be taken over when the process starts."""
NOTHING = View((), {})


class Ownership(Generic[S]):
    """This process among the owners."""

    def __init__(
        self,
        means: Means,
        registry: Registry,
        make: Callable[[Output, Sessions[S]], ShardService[S]],
        pace: Pace | None,
    ) -> None:
        """`pace` is None where everything is in one process: then nobody dies alone, and nothing is looked at regularly."""
        self._means = means
        self._bus = means.bus
        self._registry = registry
        usual = pace or Pace()
        self._neighbours = Neighbours(means, usual, 0.0 if pace is None else 0.9 * pace.look)
        self._takeovers = Takeovers(means, registry, self._neighbours.look_at, usual.lease)
        self.runner = ShardRunner(means, registry, self._takeovers, make)
        self.runner.contested = self.poke
        self._pace = pace
        self._membership = Membership(registry, means.bus, ROUTER, means.log)
        self._me = self._membership.id
        self._view = NOTHING
        self._told: frozenset[str] = frozenset()
        self._connection = 0
        self._beat_at = 0.0
        self._poked = asyncio.Event()
        self._stopping = False
        self._failing = ""
        self._ended = asyncio.Event()
        self._ended.set()
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Join, and own what is free; returns when that is taken over."""
        if self._pace is not None:
            await self._registry.agree(self._means.shards)
        for shard in range(self._means.shards):
            await self._bus.declare(router_queue(shard))
        self._subscription = await self._bus.listen(SHARDS, self._heard)
        self._bus.on_connection(self._connection_changed)
        self._bus.on_gone(self._publish_returned)
        await self._enter()
        view = await self._read()
        await self._neighbours.look(self._others(view))
        self._share_out(view)
        await self.runner.settled(START)

    async def run(self) -> None:
        """Look after the shards until it is stopped."""
        self._ended.clear()
        try:
            while await self._woken():
                if self._bus.up:
                    await self._step()
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """Hand every shard over to those who stay, then leave."""
        self._stopping = True
        self._poked.set()
        await self._ended.wait()
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await self._hand_all_over()
            await subscription.cancel()
        await self.runner.stop()
        try:
            await self._membership.leave()
        except StorageUnavailable as error:  # others see that the queue is gone
            self._tell(error)

    def poke(self) -> None:
        """Something may have changed."""
        self._poked.set()

    # --- what is heard

    def _heard(self, message: Message) -> None:
        if isinstance(message, MembersChanged) or (isinstance(message, ShardMoved) and not message.owner):
            self.poke()
        elif isinstance(message, ShardMoved):
            if message.owner != self._me:
                self.runner.moved(message.shard, message.epoch)
            elif not self._stopping and not self.runner.busy(message.shard):
                self.runner.want(message.shard)

    def _connection_changed(self, up: bool) -> None:
        if up:
            self._neighbours.back()
            self.poke()

    def _publish_returned(self, queue: str) -> None:
        if any(member.queue == queue for member in self._view.members):
            self.poke()

    # --- one step

    async def _woken(self) -> bool:
        """Wait until there is something to look at; False if it is to stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._poked.wait(), None if self._pace is None else self._pace.look)
        return not self._stopping

    async def _step(self) -> None:
        poked = self._poked.is_set()
        self._poked.clear()
        try:
            if self._connection != self._bus.connection:
                await self._enter()
            beat = self._pace is not None and self._means.now() >= self._beat_at
            if beat:
                await self._renew()
            if beat or poked or await self._neighbours.look(self._others(self._view)):
                await self._attend(beat=beat)
            self._failing = ""
        except (BusError, StorageUnavailable) as error:
            self._tell(error)
            await asyncio.sleep(RETRY)
            self._poked.set()

    async def _attend(self, *, beat: bool) -> None:
        """Read the registry, look who is there, and do what follows from it."""
        view = await self._read()
        if beat:
            self._neighbours.observe(view)
        await self._neighbours.look(self._others(view))
        self._tell_of_gateways(view)
        self._share_out(view)
        if beat:
            await self._forget(view)

    async def _enter(self) -> None:
        """Enter this process into the registry under the queue that it has on the present connection."""
        connection = self._bus.connection
        await self._membership.join(await self._takeovers.open())
        self._connection = connection

    async def _renew(self) -> None:
        if self._pace is not None:
            self._beat_at = self._means.now() + self._pace.beat
        await self._membership.renew()

    async def _read(self) -> View:
        self._view = view = await self._registry.view()
        return view

    def _others(self, view: View) -> list[Member]:
        return [member for member in view.members if member.id != self._me]

    def _tell(self, error: Exception) -> None:
        """Log the first failure of a row."""
        reason = str(error) or type(error).__name__
        if reason != self._failing:
            self._means.log.warning("shards.unattended", reason=reason)
        self._failing = reason

    # --- what follows

    def _share_out(self, view: View) -> None:
        """Take what falls to this process and hand over what does not."""
        dead = {member.id for member in self._others(view) if self._neighbours.dead(member)}
        there = {member.id for member in view.members if member.kind != GATEWAY} - dead
        takers = {member.id for member in view.of(ROUTER)} - dead | {self._me}
        held = {shard: owned.owner for shard, owned in view.owners.items() if owned.owner in takers}
        runner = self.runner
        for shard, owner in assign(self._means.shards, takers, held).items():
            holder = view.owners[shard].owner if shard in view.owners else None
            if owner == self._me:
                if not runner.busy(shard) and (holder is None or holder == self._me or holder not in there):
                    runner.want(shard, holder)
            elif holder == self._me:
                _ = runner.release(shard, owner)
            elif shard in view.owners:
                runner.moved(shard, view.owners[shard].epoch)
                if holder in takers:
                    runner.pass_on(shard)

    async def _hand_all_over(self) -> None:
        try:
            await self._membership.join(await self._takeovers.open(), LEAVING)
            view = await self._read()
        except (BusError, StorageUnavailable) as error:
            self._tell(error)
            return
        stay = {member.id for member in view.of(ROUTER) if member.id != self._me and not self._neighbours.dead(member)}
        heirs = assign(self._means.shards, stay, {shard: owned.owner for shard, owned in view.owners.items() if owned.owner in stay})
        mine = [shard for shard, owned in view.owners.items() if owned.owner == self._me]
        if mine:
            await asyncio.wait([self.runner.release(shard, heirs.get(shard)) for shard in mine])

    def _tell_of_gateways(self, view: View) -> None:
        """Tell the shards of gateways that have gone."""
        gone = frozenset(member.queue for member in view.of(GATEWAY) if self._neighbours.gone(member))
        for queue in gone - self._told:
            self._means.log.warning("gateway.gone", queue=queue)
            for running in list(self.runner.running.values()):
                running.owner.gateway_gone(queue)
        self._told = gone

    async def _forget(self, view: View) -> None:
        for member in self._others(view):
            if self._neighbours.over(member):
                await self._registry.forget(member)
                self._means.log.info("member.forgotten", member=member.id, kind=member.kind, silent_seconds=round(member.age))
