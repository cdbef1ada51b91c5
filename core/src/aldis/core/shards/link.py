"""A gateway's session as the hub knows it: what was published for it, what it was given, what is not on its socket yet."""

from collections import deque
from typing import Protocol

from aldis.core.bus.names import router_queue
from aldis.core.contracts.envelope import Envelope
from aldis.core.contracts.resumption import Managed, Resumed
from aldis.core.xmpp.sm import Counters


class Client(Protocol):
    """The stream behind a link. All calls are synchronous and do not fail."""

    def stanza(self, stanza: Envelope, to: str) -> None:
        """Write a stanza, addressed to `to`."""

    def bound(self, jid: str) -> None:
        """The session has its resource."""

    def bind_refused(self, error: bytes) -> None:
        """It gets none; `error` is the whole element."""

    def close(self, condition: str, text: str) -> None:
        """End the session, its stream with this stream error."""

    def enabled(self, previd: str, seconds: int) -> None:
        """Stanzas are counted from here (XEP-0198 §3); with an id if the stream can be resumed."""

    def handled(self) -> None:
        """More of what the client sent is done, and it waits to hear of that."""

    def resumed(self, previd: str, h: int) -> None:
        """The stream is a former one's (XEP-0198 §5)."""

    def resume_failed(self, condition: str, h: int | None) -> None:
        """It is not; `condition` is a stanza error's."""

    def too_high(self, h: int, sent: int) -> None:
        """The client claims to have more than it was sent (XEP-0198 §6)."""

    def on_socket(self) -> int:
        """How many of the stanzas that it was given are on the socket."""


class Uncounted:
    """What a client does with XEP-0198 that does not speak it."""

    def enabled(self, previd: str, seconds: int) -> None:
        """It never asks."""

    def handled(self) -> None:
        """It never waits for this."""

    def resumed(self, previd: str, h: int) -> None:
        """It never asks."""

    def resume_failed(self, condition: str, h: int | None) -> None:
        """It never asks."""

    def too_high(self, h: int, sent: int) -> None:
        """It never counts."""


class Link:
    """One session's tie to its shard."""

    __slots__ = (
        "account",
        "available",
        "binding",
        "client",
        "counters",
        "enabling",
        "floor",
        "generation",
        "given",
        "handled",
        "id",
        "jid",
        "managed",
        "n",
        "note",
        "number",
        "peer",
        "queue",
        "reported",
        "resuming",
        "shard",
        "since",
        "until",
        "unwritten",
        "wanted",
    )

    def __init__(self, id: str, account: str, shard: int, peer: str, since: float) -> None:  # noqa: A002  the field's name
        self.id = id
        self.generation = 1
        self.account = account
        self.shard = shard
        self.queue = router_queue(shard)
        self.client: Client
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
        self.unwritten: deque[tuple[int, str, Envelope]] = deque()
        """Number, effect and copy of what is not known to be on the socket or, if the client counts, with the client."""
        self.note = b""
        self.available = False
        self.enabling = False
        """The client has asked for its stanzas to be counted, once and for all."""
        self.resuming = 0
        """The number of the request to resume that is not answered yet."""
        self.managed: Managed | None = None
        self.counters: Counters | None = None
        """Set with `managed`, if the client counts stanzas (XEP-0198)."""
        self.floor = 0
        """Up to which n a resumption has acknowledged."""
        self.until = 0.0
        """While it waits for its client: when it ends."""
        self.wanted = 0
        """Up to which n the client waits to hear that it is done."""

    @property
    def previd(self) -> str:
        """What the client must know to resume."""
        managed = self.managed
        return f"{self.id}:{managed.token}" if managed is not None and managed.token else ""

    @property
    def h(self) -> int:
        """What can be acknowledged to the client, as it counts."""
        return self.counters.h(max(self.handled, self.floor)) if self.counters is not None else 0

    def trim(self) -> int:
        """Forget the copies of what has arrived; return the number up to which all has."""
        upto = self.number - (self.given - self.client.on_socket())
        counters = self.counters
        if counters is not None:
            upto = max(counters.acked, min(upto, counters.base_out))
        unwritten = self.unwritten
        while unwritten and unwritten[0][0] <= upto:
            unwritten.popleft()
        return upto

    def become(self, message: Resumed) -> None:
        """Take the place of a session that goes on here."""
        self.id = message.session
        self.generation = message.generation
        self.jid = message.jid
        self.n = message.accepted
        self.handled = message.handled
        self.floor = message.accepted
        self.number = self.reported = message.number
        self.given = 0
        self.unwritten.clear()
        self.note = message.note
        self.available = message.available
        self.enabling = True
        self.resuming = 0
        self.manage(message.managed)

    def manage(self, managed: Managed) -> None:
        """From here on the client counts."""
        self.managed = managed
        self.counters = Counters(managed.base_in, managed.base_out)
        self.counters.acked = max(self.number, managed.base_out)


class Ended:
    """A session to which something may come again, or from which it may."""

    __slots__ = ("generation", "handled", "moved", "note", "number", "shard", "when")

    def __init__(self, link: Link, when: float, moved: bool) -> None:
        self.shard = link.shard
        self.generation = link.generation
        self.number = link.number
        """The last number it had."""
        self.handled = link.handled
        self.note = b""
        """What came for the next owner to know when it was over already."""
        self.when = when
        self.moved = moved
        """It is no longer here, but not over: another stream has it."""
