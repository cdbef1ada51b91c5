"""Who sent what, and what became of it: each message is known by its body, and counted when it is sent, acknowledged and received."""

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

TIMES = 255


class Flow:
    """What one client sends to another, numbered from 0."""

    def __init__(self, sender: int, recipient: int) -> None:
        self.sender, self.recipient = sender, recipient
        self.at = array("d")
        self.parts = array("H")
        self.acknowledged = bytearray()
        self.received = bytearray()
        """How many times."""
        self.bounced = bytearray()
        self.late = bytearray()
        """Came first after one with a higher number."""
        self.newest = -1

    def __len__(self) -> int:
        return len(self.at)


@dataclass
class Count:
    """What the messages of a part, or of several, came to."""

    sent: int = 0
    acknowledged: int = 0
    received: int = 0
    bounced: int = 0
    lost: int = 0
    """Acknowledged, and neither received nor answered with an error."""
    repeated: int = 0
    reordered: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    def add(self, flow: Flow, n: int) -> None:
        """Count one message."""
        received, bounced, acknowledged = flow.received[n], flow.bounced[n], flow.acknowledged[n]
        self.sent += 1
        self.acknowledged += acknowledged
        self.received += bool(received)
        self.bounced += bounced
        self.lost += bool(acknowledged and not received and not bounced)
        self.repeated += max(0, received - 1)
        self.reordered += flow.late[n]


@dataclass
class Part:
    """A stretch of the run with one thing that happens in it."""

    name: str
    may_repeat: bool = False
    """Whether sessions that resumed may get something twice."""
    seconds: list[float] = field(default_factory=list)
    """From the wish to send to the first receipt."""
    unresumed: set[int] = field(default_factory=set)
    """Clients whose session could not be resumed."""
    resumptions: int = 0
    conditions: Counter[str] = field(default_factory=Counter)
    """Errors that bounced messages, stream errors and failed logins bore."""
    complaints: list[str] = field(default_factory=list)
    """What no server may do."""
    remarks: list[str] = field(default_factory=list)
    """Figures that are for people."""

    def percentile(self, share: float) -> float:
        """Seconds that this share of the messages took at most."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0

    @property
    def longest(self) -> float:
        """The longest time that a message took."""
        return max(self.seconds, default=0.0)


class Ledger:
    """Every message of a run."""

    def __init__(self) -> None:
        self.flows: list[Flow] = []
        self.parts: list[Part] = []

    def flow(self, sender: int, recipient: int) -> int:
        """Begin to count from one client to another; the flow's number."""
        self.flows.append(Flow(sender, recipient))
        return len(self.flows) - 1

    def begin(self, name: str, *, may_repeat: bool = False) -> Part:
        """Count what is sent from now on to this part."""
        self.parts.append(Part(name, may_repeat))
        return self.parts[-1]

    @property
    def part(self) -> Part:
        """The present part."""
        return self.parts[-1]

    def sent(self, flow: int, now: float) -> int:
        """Note the wish to send a message; its number."""
        f = self.flows[flow]
        f.at.append(now)
        f.parts.append(len(self.parts) - 1)
        for column in (f.acknowledged, f.received, f.bounced, f.late):
            column.append(0)
        return len(f) - 1

    def acknowledged(self, flow: int, n: int) -> None:
        """Note that the server says that it has it."""
        self.flows[flow].acknowledged[n] = 1

    def received(self, flow: int, n: int, now: float, recipient: int) -> None:
        """Note that it came to a client."""
        f = self.flows[flow] if 0 <= flow < len(self.flows) else None
        if f is None or not 0 <= n < len(f) or f.recipient != recipient:
            self.part.complaints.append(f"client {recipient} got message {n} of flow {flow}, which is not for it")
            return
        if not f.received[n]:
            self.parts[f.parts[n]].seconds.append(now - f.at[n])
            f.late[n] = n < f.newest
            f.newest = max(n, f.newest)
        f.received[n] = min(TIMES, f.received[n] + 1)

    def bounced(self, flow: int, n: int, condition: str) -> None:
        """Note that it was answered with an error."""
        self.flows[flow].bounced[n] = 1
        self.part.conditions[condition] += 1

    def unresumed(self, client: int) -> None:
        """Note that a client's session is lost: what goes from and to it in this part may repeat."""
        self.part.unresumed.add(client)

    def open(self) -> int:
        """How many messages still wait for something: an acknowledgement, or a receipt."""
        return sum(not (f.acknowledged[n] and (f.received[n] or f.bounced[n])) for f, n in self._messages(len(self.parts) - 1))

    def count(self, part: Part, *, resumed: bool) -> Count:
        """Count a part's messages whose sessions, at both ends, could be resumed all the time; or those of the others."""
        total, index = Count(), self.parts.index(part)
        for f, n in self._messages(index):
            if ({f.sender, f.recipient} & part.unresumed == set()) is resumed:
                total.add(f, n)
        return total

    def faults(self, part: Part) -> list[str]:
        """Say what must not be in a part: see the design's promise for sessions that resumed, and for others."""
        resumed, others = self.count(part, resumed=True), self.count(part, resumed=False)
        promised = {"lost": resumed.lost, "repeated": 0 if part.may_repeat else resumed.repeated, "reordered": resumed.reordered}
        found = part.complaints + [f"{number} {name} of sessions that resumed" for name, number in promised.items() if number]
        if others.lost:
            found.append(f"{others.lost} lost of sessions that did not resume")
        if unanswered := (resumed + others).sent - (resumed + others).acknowledged:
            found.append(f"{unanswered} never acknowledged")
        return found

    def _messages(self, part: int) -> Iterator[tuple[Flow, int]]:
        for f in self.flows:
            # A flow's parts only rise, so its messages of one part stand together.
            n = f.parts.index(part) if part in f.parts else len(f)
            while n < len(f) and f.parts[n] == part:
                yield f, n
                n += 1
