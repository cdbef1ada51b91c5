"""A client's half of XEP-0198: what it sent and may have to send again, and how much it got."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

WRAP: Final = 1 << 32


class Disagreement(Exception):
    """The server's count can't be (XEP-0198 §4): it goes back, or covers what was never sent."""


@dataclass(slots=True)
class Sent:
    """A stanza that the server may not have; `key` names the message in the ledger, if it is one."""

    data: bytes
    key: tuple[int, int] | None = None


@dataclass
class Acks:
    """The counters of one session (XEP-0198 §4, §5)."""

    received: int = 0
    """Stanzas that came, by which `h` to the server is made."""
    acknowledged: int = 0
    written: int = 0
    """Stanzas that went out at least once in this session."""
    queue: deque[Sent] = field(default_factory=deque)
    """What is not acknowledged, in order; the first `written - acknowledged` of it went out."""

    @property
    def h(self) -> int:
        """What the server is told."""
        return self.received % WRAP

    @property
    def outstanding(self) -> bool:
        """Whether something went out that the server has not acknowledged."""
        return self.written > self.acknowledged

    def put(self, item: Sent) -> None:
        """Keep a stanza; `unwritten` gives it."""
        self.queue.append(item)

    def unwritten(self) -> list[Sent]:
        """Give what has not gone out in this session, and count it as gone out."""
        began = self.written - self.acknowledged
        items = [self.queue[n] for n in range(began, len(self.queue))]
        self.written += len(items)
        return items

    def acknowledge(self, h: int) -> list[Sent]:
        """Take the server's count; what it covers and was not covered before."""
        step = (h - self.acknowledged) % WRAP
        if step > self.written - self.acknowledged:
            raise Disagreement(f"h={h} after {self.acknowledged % WRAP}, with {self.written % WRAP} stanzas sent")
        self.acknowledged += step
        return [self.queue.popleft() for _ in range(step)]

    def resumed(self, h: int) -> tuple[list[Sent], list[Sent]]:
        """Take the count of `<resumed/>`: what it covers, and what has to be sent again (XEP-0198 §5)."""
        done = self.acknowledge(h)
        return done, [self.queue[n] for n in range(self.written - self.acknowledged)]

    def renewed(self) -> "Acks":
        """Begin a new session that has to send what the old one could not: messages only, its presence is its own."""
        return Acks(queue=deque(item for item in self.queue if item.key is not None))
