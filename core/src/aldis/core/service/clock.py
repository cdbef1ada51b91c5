"""The clock as a port: what needs the time is given one, so that tests need not wait."""

import time
from typing import Protocol


class Clock(Protocol):
    """Two times: one for lengths, one for dates."""

    def now(self) -> float:
        """Seconds that only ever grow, for time limits."""

    def time(self) -> float:
        """Seconds since 1970 in UTC, for what is stored or shown."""


class SystemClock:
    """The machine's own."""

    now = staticmethod(time.monotonic)
    time = staticmethod(time.time)


class ManualClock:
    """A clock that stands until it is moved, for tests."""

    def __init__(self, *, now: float = 0.0, time: float = 1_700_000_000.0) -> None:
        self._now = now
        self._time = time

    def now(self) -> float:
        return self._now

    def time(self) -> float:
        return self._time

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        if seconds < 0:
            raise ValueError("time does not run backwards; use set_time for a wall clock that is put right")
        self._now += seconds
        self._time += seconds

    def set_time(self, time: float) -> None:
        """Put the wall clock right, as NTP does; what is measured in lengths must not care."""
        self._time = time
