"""A gateway's session as the hub knows it: what was published for it, what it was given, what is not on its socket yet."""

from collections import deque
from typing import Protocol

from aldis.core.bus.names import router_queue
from aldis.core.contracts.envelope import Envelope


class Client(Protocol):
    """The stream behind a link. All calls are synchronous and do not fail."""

    def stanza(self, stanza: Envelope, to: str) -> None:
        """Write a stanza, addressed to `to`."""

    def bound(self, jid: str) -> None:
        """The session has its resource."""

    def bind_refused(self, error: bytes) -> None:
        """It gets none; `error` is the whole element."""

    def close(self, condition: str, text: str) -> None:
        """End the stream with this stream error."""

    def on_socket(self) -> int:
        """How many of the stanzas that it was given are on the socket."""


class Link:
    """One session's tie to its shard."""

    __slots__ = (
        "account",
        "available",
        "binding",
        "client",
        "generation",
        "given",
        "handled",
        "id",
        "jid",
        "n",
        "note",
        "number",
        "peer",
        "queue",
        "reported",
        "shard",
        "since",
        "unwritten",
    )

    def __init__(self, id: str, account: str, shard: int, client: Client, peer: str, since: float) -> None:  # noqa: A002  the field's name, and all of them
        self.id = id
        self.generation = 1
        self.account = account
        self.shard = shard
        self.queue = router_queue(shard)
        self.client = client
        self.peer = peer
        self.since = since
        self.jid = ""
        self.binding = 0
        """The number of the request for a resource that is not answered yet."""
        self.n = 0
        """How much was published for it."""
        self.handled = 0
        """Up to which n all that came from it is done."""
        self.number = 0
        """The last number it was sent."""
        self.reported = 0
        self.given = 0
        """How many stanzas the client was given; their numbers follow each other, so the last has `number`."""
        self.unwritten: deque[tuple[Envelope, str]] = deque()
        """Copies of what is not known to be on the socket, with the address each was sent to."""
        self.note = b""
        self.available = False


class Ended:
    """A session to which something may come again, or from which it may."""

    __slots__ = ("handled", "number", "shard", "when")

    def __init__(self, link: Link, when: float) -> None:
        self.shard = link.shard
        self.number = link.number
        """The last number it had."""
        self.handled = link.handled
        self.when = when
