"""Batch numbers without I/O: a producer sends again from the first that is not confirmed, a receiver refuses the rest.

Each batch from one producer to one queue bears the next number. The broker may take some twice (a confirmation was lost
with a connection) or refuse one and take those behind it, so the producer goes back to the first that is not confirmed
(go-back-N) and the receiver takes only what continues what it took.

A receiver that has not heard a producer can't tell a gap from what an earlier consumer had. So a producer sends one at a
time until the first confirmation, and again for a while after a refusal. What remains open is a first refusal and a
change of consumers within the same milliseconds; brokers refuse only where a policy limits a queue, which ours forbids.
"""

from collections import OrderedDict, deque
from enum import Enum
from typing import Final, Generic, TypeVar

WINDOW: Final = 4
"""Batches of one producer under way to one queue."""
TRUST_AFTER: Final = 64
"""Confirmations in a row after which a broker that refused a batch gets several at a time again."""
MOST_PRODUCERS: Final = 4_096
"""Whom a queue's receiver remembers; the one unheard for longest is forgotten first."""

T = TypeVar("T")


class Flight(Generic[T]):
    """A batch that was sent and is not known to have arrived."""

    __slots__ = ("confirmed", "load", "number")

    def __init__(self, number: int, load: T) -> None:
        self.number = number
        self.load = load
        self.confirmed = False


class Window(Generic[T]):
    """The producer's side: what is under way, in order."""

    def __init__(self) -> None:
        self.number = 0
        self.flights: deque[Flight[T]] = deque()
        self._distrust = 1
        """Confirmations to come before more than one is under way."""

    @property
    def full(self) -> bool:
        """Must the next batch wait for a confirmation?"""
        return len(self.flights) >= (1 if self._distrust else WINDOW)

    def take_off(self, load: T) -> Flight[T]:
        """Number a batch; it is under way from here on."""
        self.number += 1
        flight = Flight(self.number, load)
        self.flights.append(flight)
        return flight

    def confirm(self, flight: Flight[T]) -> list[Flight[T]]:
        """This one has arrived; the flights that are over with it, in order."""
        flight.confirmed = True
        if self._distrust:
            self._distrust -= 1
        over: list[Flight[T]] = []
        while self.flights and self.flights[0].confirmed:
            over.append(self.flights.popleft())
        return over

    def refused(self) -> None:
        """The broker did not take one."""
        self._distrust = TRUST_AFTER

    def back(self) -> list[Flight[T]]:
        """What is sent again, from the first that is not confirmed: also what lies behind it, since the receiver refused that."""
        for flight in self.flights:
            flight.confirmed = False
        return list(self.flights)


class Verdict(Enum):
    """What becomes of a batch that came."""

    NEXT = "next"
    REPEAT = "repeat"
    GAP = "gap"


class _Producer:
    """What is known of one producer."""

    __slots__ = ("acked", "first", "next", "old")

    def __init__(self, first: int) -> None:
        self.first = first
        """Where this subscription began to hear it."""
        self.next = first + 1
        self.acked = 0
        self.old = False
        """Known from an earlier subscription: between then and now others may have consumed the queue."""


class Receiver:
    """The consumer's side for one queue; it outlives subscriptions, because what was acknowledged may still come again."""

    def __init__(self) -> None:
        self._producers: OrderedDict[str, _Producer] = OrderedDict()

    def take(self, producer: str, number: int) -> Verdict:
        """Judge a batch in the order of delivery."""
        known = self._producers.get(producer)
        if known is None:
            self._producers[producer] = _Producer(number)
            if len(self._producers) > MOST_PRODUCERS:
                self._producers.popitem(last=False)
            return Verdict.NEXT
        self._producers.move_to_end(producer)
        if number == known.next:
            if known.old:
                known.old, known.first = False, number
            known.next += 1
            return Verdict.NEXT
        if number <= known.acked:
            return Verdict.REPEAT
        if known.old or number < known.first:
            # An earlier consumer may have had what lies between, or this is what it never got: only the keys can tell.
            known.old, known.first, known.next = False, number, number + 1
            return Verdict.NEXT
        return Verdict.REPEAT if number < known.next else Verdict.GAP

    def acknowledge(self, producer: str, number: int) -> None:
        """All that this batch caused is done."""
        known = self._producers.get(producer)
        if known is not None:
            known.acked = max(known.acked, number)

    def begin(self) -> None:
        """A new subscription: what was not acknowledged may come again."""
        for known in self._producers.values():
            known.old, known.next = True, known.acked + 1
