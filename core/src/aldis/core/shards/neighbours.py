"""Which of the other processes are there: by their queues on the bus, and by their leases."""

from collections.abc import Sequence

from aldis.core.shards.leases import Leases, Pace
from aldis.core.shards.means import Means
from aldis.core.shards.members import GATEWAY, Member, View


class Neighbours:
    """Which of the others are there."""

    def __init__(self, means: Means, pace: Pace, second_look: float) -> None:
        """A gateway is gone when its queue is, at two looks that are so many seconds apart: what it owes is more than a shard's stall."""
        self._bus = means.bus
        self._now = means.now
        self._lease = pace.lease
        self._back_since: float | None = None
        self._leases = Leases(pace)
        self._second_look = second_look
        self._missing: dict[str, float] = {}
        """By queue that is not there: since when."""
        self._gone: frozenset[str] = frozenset()

    def back(self) -> None:
        """The bus is connected again, and others may still be on their way."""
        self._back_since = self._now()

    def coming_back(self, member: Member) -> bool:
        """May it be about to be back under another queue? For a lease after a reconnect, since a broker that restarts cuts all off."""
        return self._back_since is not None and self._now() - self._back_since < self._lease and member.age < self._lease

    def observe(self, view: View) -> None:
        """Look at the leases, at regular times."""
        self._leases.observe(view.members, self._now())

    async def look(self, members: Sequence[Member]) -> bool:
        """Look whose queue is gone; is that news?"""
        before, missing = self._missing, {}
        for member in members:
            if await self._bus.look(member.queue) is None:
                missing[member.queue] = before.get(member.queue, self._now())
        self._missing = missing
        gone, self._gone = self._gone, frozenset(member.id for member in members if self._is_gone(member))
        return gone != self._gone

    async def look_at(self, member: Member) -> bool:
        """Is this one gone, just now?"""
        if await self._bus.look(member.queue) is None:
            self._missing.setdefault(member.queue, self._now())
        else:
            self._missing.pop(member.queue, None)
        return self._is_gone(member)

    def _is_gone(self, member: Member) -> bool:
        since = self._missing.get(member.queue)
        if since is None or self.coming_back(member):
            return False
        return member.kind != GATEWAY or self._now() - since >= self._second_look

    def gone(self, member: Member) -> bool:
        """Is its queue gone, and itself not on its way back?"""
        return member.id in self._gone

    def dead(self, member: Member) -> bool:
        """Is it one that shards may be taken from?"""
        return self.gone(member) or self._leases.lapsed(member.id)

    def over(self, member: Member) -> bool:
        """Is it both gone and silent, so that nobody needs its row?"""
        return self.gone(member) and self._leases.lapsed(member.id)
