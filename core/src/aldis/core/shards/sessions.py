"""A session as its shard sees it: where it is, what it was sent, and what of that is not yet on its socket."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from aldis.core.contracts.envelope import Envelope
from aldis.core.contracts.resumption import Copy, Managed


@dataclass(frozen=True, slots=True)
class Most:
    """What one session may hold; 0 is no limit."""

    stanzas: int = 20_000
    """More than what a queue holds when edges stop (`memory_queue.CONGESTED`), since all of it may be handled before any is reported."""
    bytes: int = 16 * 1024 * 1024


USUAL = Most()


class Session:
    """One bound resource; a service's own session class adds its state.

    `number` counts what the session was sent, `last` is the n of the last thing that came from it (None until the
    first one after a take-over), `held` keeps what was sent until its gateway reports it written.
    """

    __slots__ = (
        "account",
        "crashed",
        "gateway",
        "generation",
        "handled",
        "held",
        "held_bytes",
        "id",
        "jid",
        "kept",
        "last",
        "managed",
        "note",
        "number",
        "peer",
        "replaced",
        "seen",
        "since",
        "stored",
        "unsure",
        "until",
    )

    def __init__(self, id: str, generation: int, gateway: str, jid: str, peer: str) -> None:  # noqa: A002  the field's name
        self.id = id
        self.generation = generation
        self.gateway = gateway
        self.jid = jid
        self.account = jid.partition("/")[0]
        self.peer = peer
        self.since = 0.0
        """When its client asked to be authenticated, in seconds since 1970."""
        self.last: int | None = None
        self.unsure = False
        """More than `last` may have been taken: its gateway was not told, when what told it was lost with a queue."""
        self.handled = 0
        """Up to which n all that came from it is done."""
        self.managed: Managed | None = None
        """Set if its client counts stanzas (XEP-0198)."""
        self.kept = False
        """What it is sent goes to the database too."""
        self.stored = False
        """Copies of it are in the database."""
        self.until = 0.0
        """While its gateway is gone and it waits for its client: when it ends, in seconds since 1970."""
        self.crashed: int | None = None
        """It was kept over the death of the one process: after this number, nobody knows what its client got."""
        self.number = 0
        self.note = b""
        self.replaced = False
        """Another session took its resource; it is only waited for to end."""
        self.seen: set[tuple[str, int, str]] | None = None
        """Keys that it got from an earlier owner."""
        self.held: deque[tuple[int, str, Envelope]] = deque()
        """Number, effect and stanza of each copy."""
        self.held_bytes = 0

    def hold(self, effect: str, stanza: Envelope) -> int:
        """Number the stanza and keep a copy of it."""
        self.number = number = self.number + 1
        self.held.append((number, effect, stanza))
        self.held_bytes += len(stanza.children)
        return number

    def holds(self, copies: Iterable[Copy]) -> None:
        """Keep copies again that somebody else had; the work that sent them sends them no more."""
        for copy in copies:
            origin = copy.stanza.origin
            if self.seen is None:
                self.seen = set()
            self.seen.add((origin.session, origin.n, copy.effect))
            self.held.append((copy.number, copy.effect, copy.stanza))
            self.held_bytes += len(copy.stanza.children)

    def written(self, number: int) -> None:
        """Forget the copies up to this number."""
        held = self.held
        while held and held[0][0] <= number:
            self.held_bytes -= len(held.popleft()[2].children)

    @property
    def available(self) -> bool:
        """Has it sent presence?"""
        return False

    def exceeds(self, most: Most) -> bool:
        """Is more held than a session may cost?"""
        return 0 < most.bytes < self.held_bytes or 0 < most.stanzas < len(self.held)


S = TypeVar("S", bound=Session)


class Sessions(Generic[S]):
    """Every session of one shard."""

    def __init__(self) -> None:
        self.by_id: dict[str, S] = {}
        self.journal = False
        """What they are sent is kept in the database."""

    def add(self, session: S, n: int) -> None:
        """A session was bound by its n-th message; what comes from it counts from there."""
        session.last = n
        session.kept = self.journal
        self.by_id[session.id] = session
