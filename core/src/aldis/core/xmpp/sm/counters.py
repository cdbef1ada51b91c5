"""The counts of XEP-0198 §4, joined to numbers that never wrap."""

from aldis.core.xmpp.sm.elements import MOST, HandledCountTooHigh


class Counters:
    """One session's: both sides count from `<enable/>` and `<enabled/>` on, modulo 2³².

    `base_in` is the number of what came last before `<enable/>`, `base_out` of what went last before `<enabled/>`.
    """

    __slots__ = ("acked", "base_in", "base_out")

    def __init__(self, base_in: int, base_out: int) -> None:
        self.base_in = base_in
        self.base_out = base_out
        self.acked = base_out
        """The number of the last stanza that the client has acknowledged."""

    def h(self, n: int) -> int:
        """How the n-th of what came is counted on the stream."""
        return (n - self.base_in) % MOST

    def acknowledge(self, h: int, number: int) -> int:
        """Take the client's count, `number` being the last that it was sent; return the number up to which it has all.

        A count that is lower than an earlier one says nothing new. Raises `HandledCountTooHigh`.
        """
        more = (h - (self.acked - self.base_out)) % MOST
        if more <= number - self.acked:
            self.acked += more
        elif more < MOST // 2:
            raise HandledCountTooHigh(h, (number - self.base_out) % MOST)
        return self.acked
