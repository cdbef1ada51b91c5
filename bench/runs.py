"""What servers are put through, and what is asked of them."""

from dataclasses import dataclass
from typing import Final

PAIRS: Final = ("chat", "--clients", "400")
"""200 pairs of users."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a server has to reach in a run."""

    ratio: float = 0.0
    """Messages a second, at least so many times those of ejabberd."""
    p50: float = 0.0
    """Milliseconds, at most; 0 if nothing is asked."""
    p99: float = 0.0

    def __str__(self) -> str:
        parts = []
        if self.ratio:
            parts.append(f"≥ {self.ratio:g} × ejabberd")
        if self.p50:
            parts.append(f"p50 ≤ {self.p50:g} ms")
        if self.p99:
            parts.append(f"p99 ≤ {self.p99:g} ms")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Run:
    """One way to put a server to work."""

    name: str
    title: str
    words: tuple[str, ...]
    """What the load client is told."""
    only: frozenset[str] = frozenset()
    """The servers that it is for; empty for all that are not `special`."""


RUNS: Final = (
    Run("chat", "one-to-one chat: 200 pairs, 4 messages of each on their way", (*PAIRS, "--window", "4")),
    Run("chat-sm", "the same with XEP-0198, an acknowledgement for every 5", (*PAIRS, "--window", "4", "--sm", "5")),
    Run("latency", "1,000 messages a second over 200 pairs", (*PAIRS, "--rate", "1000")),
    Run("gateways", "3,200 messages a second over 200 pairs", (*PAIRS, "--rate", "3200"), frozenset({"rabbit-8"})),
)

SPECIAL: Final = frozenset({"rabbit-8"})
"""Servers that are in those runs only that name them."""

GOALS: Final = {
    ("chat", "aldis"): Goal(ratio=2.5),
    ("chat", "rabbit-1"): Goal(ratio=1.0),
    ("chat", "rabbit-2"): Goal(ratio=0.8),
    ("chat-sm", "rabbit-1"): Goal(ratio=0.8),
    ("chat-sm", "rabbit-2"): Goal(ratio=0.8),
    ("latency", "aldis"): Goal(p50=1, p99=5),
    ("latency", "rabbit-1"): Goal(p50=2, p99=10),
    ("latency", "rabbit-2"): Goal(p50=5, p99=25),
    ("gateways", "rabbit-8"): Goal(p50=20),
}


def takes(run: Run, server: str) -> bool:
    """Is the run for this server?"""
    return server in run.only if run.only else server not in SPECIAL
