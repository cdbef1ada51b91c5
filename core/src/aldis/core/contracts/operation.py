"""What an operator's command and the running processes say to each other. Asked by broadcast: nobody needs to know who there is."""

import msgspec

from aldis.core.contracts.base import Message


class HowAreYou(Message, frozen=True, kw_only=True, tag="how?"):
    """Every process that hears this tells how it is, in the queue `reply_to`."""

    reply_to: str
    sessions: bool = False
    """Whether each session is to be listed."""


class Listening(msgspec.Struct, frozen=True):
    """A port that clients connect to."""

    name: str
    """`STARTTLS` or `TLS`."""
    host: str
    port: int


class Certificate(msgspec.Struct, frozen=True):
    """What a gateway shows to clients."""

    path: str
    expires: float
    """In seconds since 1970."""
    self_signed: bool = False
    sha256: str = ""


class Shard(msgspec.Struct, frozen=True):
    """A shard as its owner sees it."""

    shard: int
    epoch: int
    sessions: int = 0
    turns: int = 0
    """Batches that are handled and not yet acknowledged."""
    oldest_seconds: float = 0.0
    """How long the oldest of them has been."""
    held: int = 0
    """Copies of stanzas that are not known to have reached their client."""
    held_bytes: int = 0


class Session(msgspec.Struct, frozen=True):
    """A resource that is there."""

    jid: str
    peer: str = ""


class Process(Message, frozen=True, kw_only=True, tag="how"):
    """How a process is."""

    service: str
    name: str
    incarnation: str
    version: str
    host: str
    pid: int
    uptime: float
    not_ready: tuple[str, ...] = ()
    """Why it is not ready, a line each."""
    blocked: str = ""
    """Why the broker takes nothing from it."""
    sessions: int = 0
    connections: int = 0
    listening: tuple[Listening, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    shards: tuple[Shard, ...] = ()


class Sessions(Message, frozen=True, kw_only=True, tag="how-sessions"):
    """A part of a process's sessions; the parts follow its `Process`."""

    incarnation: str
    sessions: tuple[Session, ...]


class Echo(Message, frozen=True, kw_only=True, tag="echo"):
    """What a process sends to itself through the broker, to see that it passes messages on."""


class Trace(Message, frozen=True, kw_only=True, tag="trace!"):
    """Gateways mark what this account's clients send from now on, so that every process on its way logs it."""

    account: str
    seconds: float
    """For how long; 0 ends it."""
