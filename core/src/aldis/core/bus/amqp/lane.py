"""What goes from this process to one queue: what waits, what is under way, and when the next batch may leave."""

from collections import deque
from dataclasses import dataclass
from typing import Final

from aldis.core.bus.amqp.numbers import Flight, Window
from aldis.core.bus.batching import MOST_BYTES, MOST_MESSAGES, weight
from aldis.core.bus.names import DEAD
from aldis.core.bus.port import Receipt
from aldis.core.contracts.base import Message

CONGESTED: Final = 10_000
"""Messages not yet confirmed at which edges stop taking more for the queue."""
RELIEVED: Final = 5_000
CONGESTED_BYTES: Final = 64 * 1024 * 1024
RELIEVED_BYTES: Final = 32 * 1024 * 1024
STEP: Final = 0.001
"""Seconds between batches while one is under way: what comes meanwhile goes with the next."""
LONGEST_PAUSE: Final = 1.0
"""Seconds before what the broker refused is sent again, at most."""


@dataclass(slots=True)
class Load:
    """A batch as bytes, and who waits for its confirmation."""

    body: bytes
    count: int
    weight: int
    receipts: list[Receipt]
    returned: bool = False


class Lane:
    """One destination."""

    __slots__ = (
        "bytes",
        "deep",
        "gap",
        "gap_until",
        "last",
        "messages",
        "most",
        "persistent",
        "producer",
        "queue",
        "receipts",
        "refusals",
        "refused",
        "scheduled",
        "stressed",
        "taken",
        "total",
        "unconfirmed",
        "unconfirmed_bytes",
        "waiting_bytes",
        "window",
    )

    def __init__(self, queue: str, producer: str, *, persistent: bool) -> None:
        self.queue = queue
        self.producer = producer
        """Unique to this lane: numbers count within it, and a lane that was dropped is followed by another."""
        self.persistent = persistent
        self.most = 1 if queue == DEAD else MOST_MESSAGES
        """Messages in a batch; dead letters go alone, since each is replayed or dropped by itself."""
        self.messages: deque[Message] = deque()
        self.receipts: deque[tuple[int, Receipt]] = deque()
        """Who waits for the confirmation of everything up to this place."""
        self.total = 0
        self.taken = 0
        self.waiting_bytes = 0
        self.unconfirmed = 0
        self.unconfirmed_bytes = 0
        self.window: Window[Load] = Window()
        self.gap = 0.0
        """Seconds that the consumer asks to leave between batches."""
        self.gap_until = 0.0
        self.last = 0.0
        """When a batch last left."""
        self.refused = False
        """Has the broker refused a batch that has not been sent again yet?"""
        self.refusals = 0
        """How often, without a confirmation in between."""
        self.scheduled = False
        self.stressed = False
        self.deep = False
        """Does so much wait in the queue that edges should stop taking more?"""

    def put(self, message: Message, receipt: Receipt | None) -> None:
        """Let the message wait for the next batch."""
        self.messages.append(message)
        self.total += 1
        self.unconfirmed += 1
        more = weight(message)
        self.waiting_bytes += more
        self.unconfirmed_bytes += more
        if receipt is not None:
            receipts = self.receipts
            if receipts and receipts[-1][1] is receipt:  # one hold is enough for what goes one after the other
                receipts[-1] = (self.total, receipt)
            else:
                receipt.hold()
                receipts.append((self.total, receipt))
        if self.unconfirmed > CONGESTED or self.unconfirmed_bytes > CONGESTED_BYTES:
            self.stressed = True

    @property
    def full(self) -> bool:
        """Is there a whole batch?"""
        return len(self.messages) >= MOST_MESSAGES or self.waiting_bytes >= MOST_BYTES

    def take(self) -> tuple[list[Message], int, list[Receipt]]:
        """The next batch within the bounds, its weight, and who waits for it."""
        waiting = self.messages
        if len(waiting) <= self.most and self.waiting_bytes <= MOST_BYTES:
            batch, size = list(waiting), self.waiting_bytes
            waiting.clear()
        else:
            batch, size = [], 0
            while waiting and len(batch) < self.most:
                more = weight(waiting[0])
                if batch and size + more > MOST_BYTES:
                    break
                batch.append(waiting.popleft())
                size += more
        self.waiting_bytes -= size
        self.taken += len(batch)
        receipts: list[Receipt] = []
        while self.receipts and self.receipts[0][0] <= self.taken:
            receipts.append(self.receipts.popleft()[1])
        return batch, size, receipts

    def landed(self, over: list[Flight[Load]]) -> bool:
        """Account for what is confirmed; whether the lane is relieved by that."""
        for flight in over:
            self.unconfirmed -= flight.load.count
            self.unconfirmed_bytes -= flight.load.weight
        if self.stressed and self.unconfirmed < RELIEVED and self.unconfirmed_bytes < RELIEVED_BYTES:
            self.stressed = False
            return not self.deep
        return False

    @property
    def idle(self) -> bool:
        """Is there nothing to send and nothing under way?"""
        return not self.messages and not self.window.flights
