"""What the ends of the bus say to each other."""

from aldis.core.contracts.base import Message


class Pace(Message, frozen=True, kw_only=True, tag="pace"):
    """A consumer asks its producers to leave at least `gap` seconds between two batches to each of its queues."""

    queues: tuple[str, ...]
    gap: float
