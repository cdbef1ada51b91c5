"""Whose lease has lapsed, judged so that a database that is away and clocks that jump make nobody look dead.

A row's age is by the database's own clock, so that hosts' clocks don't matter. It counts only when this process, which
renews a lease itself, has meanwhile read the same row again and again without a break: while the database is away nobody
can renew, and nobody is watched.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

LEASE: Final = 10.0
"""Seconds after which a process that does not renew its lease counts as dead, if the broker does not say so earlier."""
BEAT: Final = 2.0
"""Seconds between two renewals."""
WATCHED: Final = 5.0
"""Seconds that a row must have been watched: time for two renewals."""
BREAK: Final = 2.5 * BEAT
"""Seconds between two looks after which watching begins anew: the database, or this process, was away."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often processes that are apart look after each other; those of one process need not."""

    beat: float = BEAT
    look: float = 0.5
    """Seconds between two looks at who is there: what a process that dies may stall its shards, but for the take-over."""


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

    def __init__(self) -> None:
        self._last: float | None = None
        self._watched: dict[str, tuple[float, float]] = {}
        """By id: the renewal that was seen, and when it was seen first."""
        self._lapsed: frozenset[str] = frozenset()

    def observe(self, rows: Iterable[Leased], now: float) -> None:
        """Take in what was just read; `now` is monotonic."""
        if self._last is None or now - self._last > BREAK:
            self._watched.clear()
        self._last = now
        before, self._watched = self._watched, {}
        lapsed = []
        for row in rows:
            renewed, since = before.get(row.id, (row.renewed, now))
            if renewed != row.renewed:
                since = now
            self._watched[row.id] = row.renewed, since
            if row.age >= LEASE and now - since >= WATCHED:
                lapsed.append(row.id)
        self._lapsed = frozenset(lapsed)

    def lapsed(self, member: str) -> bool:
        """Had its lease lapsed at the last look?"""
        return member in self._lapsed
