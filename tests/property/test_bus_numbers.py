"""Batch numbers: whatever the broker refuses, takes twice or gives back, a consumer gets everything once and in order."""

from collections import deque

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aldis.core.bus.amqp.numbers import MOST_PRODUCERS, WINDOW, Flight, Receiver, Verdict, Window


class OneConsumer(RuleBasedStateMachine):
    """A producer, a broker that may refuse or repeat, and a consumer that may lose its subscription but is the only one."""

    def __init__(self) -> None:
        super().__init__()
        self.window: Window[int] = Window()
        self.receiver = Receiver()
        self.queue: deque[int] = deque()
        self.unacked: deque[tuple[int, bool]] = deque()
        """With the consumer: the number, and whether it was taken."""
        self.confirmations: deque[tuple[Flight[int], bool]] = deque()
        self.handled: list[int] = []

    def send(self, flight: Flight[int], *, taken: bool) -> None:
        if taken:
            self.queue.append(flight.number)
        self.confirmations.append((flight, taken))

    @precondition(lambda self: not self.window.full)
    @rule(taken=st.booleans())
    def publish(self, taken: bool) -> None:
        self.send(self.window.take_off(0), taken=taken)

    @precondition(lambda self: self.confirmations)
    @rule(taken=st.lists(st.booleans(), min_size=WINDOW, max_size=WINDOW))
    def confirm(self, taken: list[bool]) -> None:
        flight, good = self.confirmations.popleft()
        if good:
            self.window.confirm(flight)
            return
        self.confirmations.clear()  # what lies behind it counts no more
        self.window.refused()
        for again, good in zip(self.window.back(), taken, strict=False):
            self.send(again, taken=good)

    @rule(taken=st.lists(st.booleans(), min_size=WINDOW, max_size=WINDOW))
    def producer_reconnects(self, taken: list[bool]) -> None:
        self.confirmations.clear()
        for again, good in zip(self.window.back(), taken, strict=False):
            self.send(again, taken=good)

    @precondition(lambda self: self.queue)
    @rule()
    def deliver(self) -> None:
        number = self.queue.popleft()
        self.unacked.append((number, self.receiver.take("p", number) is Verdict.NEXT))

    @precondition(lambda self: self.unacked)
    @rule()
    def acknowledge(self) -> None:
        number, taken = self.unacked.popleft()
        if taken:
            self.handled.append(number)
            self.receiver.acknowledge("p", number)

    @precondition(lambda self: all(good for _, good in self.confirmations))  # see the module: this one case is left open
    @rule()
    def consumer_is_lost(self) -> None:
        self.queue.extendleft(number for number, _ in reversed(self.unacked))
        self.unacked.clear()
        self.receiver.begin()

    @invariant()
    def everything_is_handled_once_and_in_order(self) -> None:
        assert self.handled == list(range(1, len(self.handled) + 1))

    @invariant()
    def no_more_is_under_way_than_the_window(self) -> None:
        assert len(self.window.flights) <= WINDOW

    def teardown(self) -> None:
        """In the end the broker takes everything, and everything is handled."""
        self.confirmations.clear()
        for again in self.window.back():
            self.send(again, taken=True)
        while self.confirmations:
            self.window.confirm(self.confirmations.popleft()[0])
        while self.queue:
            self.deliver()
        while self.unacked:
            self.acknowledge()
        assert not self.window.flights
        assert self.handled == list(range(1, self.window.number + 1))


TestOneConsumer = OneConsumer.TestCase


class TwoOwners(RuleBasedStateMachine):
    """A broker that takes everything, a producer that reconnects, and a queue that changes between two owners at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.window: Window[int] = Window()
        self.receivers = [Receiver(), Receiver()]
        self.owner = 0
        self.queue: deque[int] = deque()
        self.unacked: deque[tuple[int, bool]] = deque()
        self.confirmations: deque[Flight[int]] = deque()
        self.taken: list[int] = []

    @precondition(lambda self: not self.window.full)
    @rule()
    def publish(self) -> None:
        flight = self.window.take_off(0)
        self.queue.append(flight.number)
        self.confirmations.append(flight)

    @precondition(lambda self: self.confirmations)
    @rule()
    def confirm(self) -> None:
        self.window.confirm(self.confirmations.popleft())

    @rule()
    def producer_reconnects(self) -> None:
        self.confirmations.clear()
        for again in self.window.back():
            self.queue.append(again.number)
            self.confirmations.append(again)

    @precondition(lambda self: self.queue)
    @rule()
    def deliver(self) -> None:
        number = self.queue.popleft()
        taken = self.receivers[self.owner].take("p", number) is Verdict.NEXT
        self.unacked.append((number, taken))
        if taken:
            self.taken.append(number)

    @precondition(lambda self: self.unacked)
    @rule()
    def acknowledge(self) -> None:
        number, taken = self.unacked.popleft()
        if taken:
            self.receivers[self.owner].acknowledge("p", number)

    @rule()
    def owner_changes(self) -> None:
        self.queue.extendleft(number for number, _ in reversed(self.unacked))
        self.unacked.clear()
        self.owner = 1 - self.owner
        self.receivers[self.owner].begin()

    @invariant()
    def nothing_is_skipped(self) -> None:
        """Repeats are for the keys to see; a first arrival never comes before an older one's."""
        firsts = list(dict.fromkeys(self.taken))
        assert firsts == list(range(1, len(firsts) + 1))

    def teardown(self) -> None:
        while self.queue:
            self.deliver()
        assert set(self.taken) == set(range(1, self.window.number + 1))


TestTwoOwners = TwoOwners.TestCase


def test_a_receiver_remembers_no_more_producers_than_it_may() -> None:
    receiver = Receiver()
    for n in range(2 * MOST_PRODUCERS):
        assert receiver.take(f"p{n}", 1) is Verdict.NEXT
    assert len(receiver._producers) == MOST_PRODUCERS
    assert receiver.take(f"p{2 * MOST_PRODUCERS - 1}", 1) is Verdict.REPEAT


def test_a_gap_is_refused_until_the_producer_has_gone_back() -> None:
    receiver = Receiver()
    verdicts = [receiver.take("p", number) for number in (1, 3, 4, 2, 3, 4)]
    assert verdicts == [Verdict.NEXT, Verdict.GAP, Verdict.GAP, Verdict.NEXT, Verdict.NEXT, Verdict.NEXT]
