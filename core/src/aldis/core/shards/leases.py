"""Whose lease has lapsed, judged so that a database that is away and clocks that jump make nobody look dead.

A row's age is by the database's own clock, so that hosts' clocks don't matter. It counts only when this process, which
renews a lease itself, has meanwhile read the same row again and again without a break: while the database is away nobody
can renew, and nobody is watched.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Pace:
    """How processes that are apart look after each other, in seconds; those of one process need not."""

    beat: float = 2.0
    """Between two renewals of a lease."""
    look: float = 0.4
    """Between two looks at whose queue is there: what a process that is killed stalls its shards for, but for the take-over."""
    lease: float = 10.0
    """After which a process that does not renew counts as dead, if the bus does not say so earlier."""

    @property
    def watched(self) -> float:
        """For which a row must have been watched: time for two renewals."""
        return 2.5 * self.beat

    @property
    def break_(self) -> float:
        """Between two looks after which watching begins anew: the database, or this process, was away."""
        return 2.5 * self.beat


class Leased(Protocol):
    """A row with a lease."""

    @property
    def id(self) -> str: ...
    @property
    def renewed(self) -> float:
        """When, by the database's clock."""

    @property
    def age(self) -> float:
        """Seconds since then, by the same clock."""


class Leases:
    """What one observer saw of the others' leases."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._last: float | None = None
        self._watched: dict[str, tuple[float, float]] = {}
        """By id: the renewal that was seen, and when it was seen first."""
        self._lapsed: frozenset[str] = frozenset()

    def observe(self, rows: Iterable[Leased], now: float) -> None:
        """Take in what was just read; `now` is monotonic."""
        if self._last is None or now - self._last > self._pace.break_:
            self._watched.clear()
        self._last = now
        before, self._watched = self._watched, {}
        lapsed = []
        for row in rows:
            renewed, since = before.get(row.id, (row.renewed, now))
            if renewed != row.renewed:
                since = now
            self._watched[row.id] = row.renewed, since
            if row.age >= self._pace.lease and now - since >= self._pace.watched:
                lapsed.append(row.id)
        self._lapsed = frozenset(lapsed)

    def lapsed(self, member: str) -> bool:
        """Had its lease lapsed at the last look?"""
        return member in self._lapsed
