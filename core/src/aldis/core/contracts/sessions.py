"""What gateways and the routers' shards say to each other about sessions and their stanzas.

A session is addressed by (id, generation), never by its full JID alone. Everything to a session travels in its
gateway's one queue, in order; everything from it in its shard's one queue, in order.
"""

import msgspec

from aldis.core.contracts.base import Message, Origin
from aldis.core.contracts.envelope import Envelope
from aldis.core.contracts.resumption import Copy, Managed

# --- gateway → shard


class Bind(Message, frozen=True, kw_only=True, tag="bind"):
    """A client asks for a resource (RFC 6120 §7)."""

    origin: Origin
    generation: int
    gateway: str
    """The gateway's queue, where every answer goes."""
    account: str
    """The authenticated bare JID."""
    resource: str = ""
    """What the client asked for, not yet prepared; empty lets the server choose."""
    peer: str = ""
    """The client's address, for `aldis status` and logs."""
    since: float = 0.0
    """When the client asked to be authenticated, in seconds since 1970: an account that went since has no session."""


class FromSession(Message, frozen=True, kw_only=True, tag="from", gc=False):
    """A stanza that a session's client sent."""

    generation: int
    stanza: Envelope


class SessionEnd(Message, frozen=True, kw_only=True, tag="end"):
    """The stream is gone; `note` is what the shard last gave to keep, `unwritten` what had not reached the socket."""

    origin: Origin
    generation: int
    jid: str
    """The full JID, so that an owner that never saw the session can end it all the same."""
    gateway: str
    note: bytes = b""
    unwritten: tuple[Envelope, ...] = ()


class Returned(Message, frozen=True, kw_only=True, tag="returned"):
    """A stanza that came to the gateway when its session had ended there already."""

    account: str
    stanza: Envelope


class Written(Message, frozen=True, kw_only=True, tag="written"):
    """Up to which number each session's stanzas are on the socket: the shard forgets its copies."""

    gateway: str
    sessions: tuple[tuple[str, str, int], ...]
    """(bare JID, session id, number)."""


# --- shard → gateway


class Recipient(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One session that a stanza goes to; `number` is its place among what this session was sent."""

    session: str
    generation: int
    number: int
    to: str = ""
    """The session's full JID where the envelope leaves `to` open."""


class Deliver(Message, frozen=True, kw_only=True, tag="deliver", gc=False):
    """One stanza with the sessions of this gateway that get it.

    (origin, `effect`, recipient) is the key by which doing the work again is seen. `mark` counts the shard's input
    batches; keys of batches up to `acked` can be forgotten.
    """

    shard: int
    epoch: int
    mark: int
    acked: int
    effect: str
    stanza: Envelope
    recipients: tuple[Recipient, ...]


class Bound(Message, frozen=True, kw_only=True, tag="bound"):
    """The answer to the `Bind` with number `n`: the session is `jid` from here on."""

    shard: int
    epoch: int
    session: str
    generation: int
    n: int
    jid: str


class BindRefused(Message, frozen=True, kw_only=True, tag="bind-refused"):
    """The answer to the `Bind` with number `n` that gives no resource; `error` is the whole `<error/>` element."""

    shard: int
    epoch: int
    session: str
    generation: int
    n: int
    error: bytes


class CloseSession(Message, frozen=True, kw_only=True, tag="close"):
    """End the stream with this stream error (RFC 6120 §4.9.3), after all that came before."""

    shard: int
    epoch: int
    session: str
    generation: int
    condition: str
    text: str = ""


class Note(Message, frozen=True, kw_only=True, tag="note"):
    """What the gateway keeps for the shard and gives back at a take-over; opaque to the gateway."""

    shard: int
    epoch: int
    session: str
    generation: int
    state: bytes


class Handled(Message, frozen=True, kw_only=True, tag="handled"):
    """Up to which number what came from each session is done, with all its effects confirmed: it is taken no more."""

    shard: int
    epoch: int
    sessions: tuple[tuple[str, int], ...]
    """(session id, n)."""


# --- take-over


class Takeover(Message, frozen=True, kw_only=True, tag="takeover"):
    """A shard has a new owner: answer with its sessions, then refuse older epochs."""

    shard: int
    shards: int
    epoch: int
    reply_to: str


class SessionSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """A bound session as its gateway knows it."""

    session: str
    generation: int
    jid: str
    number: int
    """The last number the session was sent."""
    note: bytes
    seen: tuple[tuple[str, int, str], ...]
    """(origin session, origin n, effect) of recent deliveries whose inputs may come again."""
    peer: str = ""
    since: float = 0.0
    handled: int = 0
    """Up to which n all that came from it is done."""
    managed: Managed | None = None
    """If its client counts stanzas."""
    copies: tuple[Copy, ...] = ()
    """What it was sent and is not known to have."""


class TakeoverAnswer(Message, frozen=True, kw_only=True, tag="takeover-answer"):
    """One gateway's sessions of the shard, after everything of older epochs in its queue."""

    shard: int
    epoch: int
    gateway: str
    sessions: tuple[SessionSnapshot, ...]
    binding: tuple[str, ...] = ()
    """Sessions that have asked for a resource and not been answered."""
    newest: int = 0
    """The counter in the newest session id: a `Bind` up to it that is in neither list is a repeat of one long over."""
    ended: tuple[tuple[str, int], ...] = ()
    """(session id, n) of sessions that ended lately: up to which n all that came from each is done."""
    noted: tuple[tuple[str, bytes], ...] = ()
    """(session id, note) of sessions that ended lately and of which something was noted only after that."""
    moved: tuple[tuple[str, tuple[tuple[str, int, str], ...]], ...] = ()
    """(session id, keys) of sessions that have gone on elsewhere: what each was given here lately, as `SessionSnapshot.seen`."""


# --- shard → shard


class Routed(Message, frozen=True, kw_only=True, tag="routed", gc=False):
    """A stanza on its second hop: one body for every account of the receiving shard in `accounts`, or for `stanza.to`."""

    shard: int
    """The sending shard; with `epoch`, `mark` and `acked` as in `Deliver`."""
    epoch: int
    mark: int
    acked: int
    effect: str
    stanza: Envelope
    accounts: tuple[str, ...] = ()
    """Bare JIDs, if it goes to more than one."""
