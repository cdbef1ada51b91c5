"""Batching: what is published to one queue within a loop turn travels as one batch."""

from collections.abc import Callable

from aldis.core.bus.port import Receipt
from aldis.core.contracts.base import Message
from aldis.core.contracts.sessions import Deliver, FromSession, Routed

MOST_MESSAGES = 256
MOST_BYTES = 256 * 1024
OVERHEAD = 200
"""Bytes that a message takes beside its children, roughly."""


_WITH_STANZA = (FromSession, Deliver, Routed)


def weight(message: Message) -> int:
    """Roughly how many bytes the message takes."""
    if isinstance(message, _WITH_STANZA):
        return OVERHEAD + len(message.stanza.children)
    return OVERHEAD


class Lane:
    """What goes from one connection to one queue, in order."""

    __slots__ = ("messages", "queue", "receipts")

    def __init__(self, queue: str) -> None:
        self.queue = queue
        self.messages: list[Message] = []
        self.receipts: list[Receipt] = []

    def take(self) -> tuple[list[Message], list[Receipt]]:
        """Everything that waits, leaving nothing."""
        taken = self.messages, self.receipts
        self.messages, self.receipts = [], []
        return taken


def split(messages: list[Message], send: Callable[[list[Message], int], None]) -> None:
    """Send the messages as batches within the bounds, each with its weight; one that is larger than a batch goes alone."""
    whole = sum(map(weight, messages))
    if len(messages) <= MOST_MESSAGES and whole <= MOST_BYTES:
        send(messages, whole)
        return
    batch: list[Message] = []
    size = 0
    for message in messages:
        more = weight(message)
        if batch and (len(batch) == MOST_MESSAGES or size + more > MOST_BYTES):
            send(batch, size)
            batch, size = [], 0
        batch.append(message)
        size += more
    send(batch, size)
