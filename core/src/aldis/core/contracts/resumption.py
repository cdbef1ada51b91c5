"""What gateways and shards say to each other about XEP-0198: stanzas that clients acknowledge, streams that go on."""

import msgspec

from aldis.core.contracts.base import Message, Origin
from aldis.core.contracts.envelope import Envelope

# --- what the next owner of a shard must know


class Managed(msgspec.Struct, frozen=True, array_like=True):
    """A session whose client counts stanzas."""

    token: str
    """With the session's id what a client must know to go on with it; empty if it can't be resumed."""
    seconds: int
    """For how long after its stream it can be."""
    base_in: int
    """The n of the last thing that came before the count began."""
    base_out: int
    """The number of the last thing that it was sent before."""
    by: tuple[str, ...] = ()
    """The last requests that resumed it, by the sessions that made them."""
    past: tuple[tuple[int, int], ...] = ()
    """(generation, n): up to where what came under an earlier generation was accepted."""


class Copy(msgspec.Struct, frozen=True, array_like=True):
    """A stanza that a session was sent and that its client is not known to have."""

    number: int
    effect: str
    stanza: Envelope


# --- gateway → shard


class Enable(Message, frozen=True, kw_only=True, tag="enable"):
    """A client wants its stanzas counted from here (XEP-0198 §3)."""

    origin: Origin
    generation: int
    resume: bool
    seconds: int = 0
    """For how long it would like to be able to resume; 0 leaves that to the server."""


class Resume(Message, frozen=True, kw_only=True, tag="resume"):
    """A client wants to go on with a former stream instead of binding a resource (XEP-0198 §5)."""

    origin: Origin
    """Of the new stream, which has no resource."""
    gateway: str
    """The queue where the answer goes, and everything to the session from then on."""
    account: str
    """The authenticated bare JID."""
    session: str
    token: str
    h: int
    """What the client has of the former stream, as it counts."""
    peer: str = ""
    since: float = 0.0
    """When the client asked to be authenticated, in seconds since 1970."""


# --- shard → gateway


class Enabled(Message, frozen=True, kw_only=True, tag="enabled"):
    """The answer to `Enable`: the counts begin after its number `n`, and after `number` in the other direction."""

    shard: int
    epoch: int
    session: str
    generation: int
    n: int
    number: int
    token: str = ""
    seconds: int = 0


class Resumed(Message, frozen=True, kw_only=True, tag="resumed"):
    """The answer to the `Resume` with number `n`: its stream is the session's from here on; what the client lacks follows."""

    shard: int
    epoch: int
    request: str
    """The session that asked."""
    n: int
    session: str
    generation: int
    """The session's new one."""
    jid: str
    managed: Managed
    accepted: int
    """The n of the last thing that the shard took of the session."""
    handled: int
    """Up to which n all that came from it is done."""
    number: int
    """The number of the last stanza that the client has."""
    note: bytes
    available: bool
    """Whether it has sent presence."""
    peer: str = ""
    since: float = 0.0


class ResumeFailed(Message, frozen=True, kw_only=True, tag="resume-failed"):
    """The answer to the `Resume` with number `n`: the stream can't go on; `condition` is a stanza error's."""

    shard: int
    epoch: int
    session: str
    """The session that asked."""
    n: int
    condition: str
    h: int = -1
    """What had come from the former session, as its client counts; -1 if that is not known."""
    sent: int = -1
    """If the client claims to have more than it was sent: how much that was, as it counts."""


class LetGo(Message, frozen=True, kw_only=True, tag="let-go"):
    """The session goes on elsewhere, or is over: close this generation's stream, without ending the session."""

    shard: int
    epoch: int
    session: str
    generation: int
    over: bool = False
