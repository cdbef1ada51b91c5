"""What the ends of the bus say to each other."""

from aldis.core.contracts.base import Message


class Pace(Message, frozen=True, kw_only=True, tag="pace"):
    """A consumer asks its producers to leave at least `gap` seconds between two batches to each of its queues."""

    queues: tuple[str, ...]
    gap: float


class DeadLetter(Message, frozen=True, kw_only=True, tag="dead"):
    """What was put aside because it could not be handled: kept until an operator replays or drops it."""

    queue: str
    """Where it was, and where it goes when it is replayed."""
    at: float
    """When, in seconds since 1970."""
    reason: str
    batch: bytes
    """As it stood in the queue."""
