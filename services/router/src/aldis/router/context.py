"""What the router's features work on: the users of one shard, and how stanzas leave it."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from aldis.core.bus.port import Bus
from aldis.core.contracts.base import Origin
from aldis.core.contracts.envelope import Envelope, Kind
from aldis.core.policy import Policy
from aldis.core.service.clock import Clock
from aldis.core.shards.effects import Effect
from aldis.core.shards.mailbox import Result
from aldis.core.shards.output import Output
from aldis.core.shards.sessions import Session, Sessions
from aldis.core.shards.turn import Turn
from aldis.core.storage import Transaction
from aldis.core.xmpp.errors.stanza import StanzaError
from aldis.core.xmpp.feature import Registry
from aldis.router.domain.roster import Limits, Roster, Step
from aldis.router.store import Store


class Left(msgspec.Struct, frozen=True, array_like=True):
    """The last time that a session made itself unavailable, and whom that concerned: it may have to be told again."""

    n: int
    """Of the stanza that did it."""
    shown: bool
    directed: tuple[str, ...]


class Note(msgspec.Struct, frozen=True, array_like=True):
    """What the next owner of the shard must know of a session; its gateway keeps it."""

    presence: Envelope | None = None
    interested: bool = False
    directed: tuple[str, ...] = ()
    left: Left | None = None
    over: Origin | None = None
    """What ended the session before its stream: another session that took its resource, or the end of its account."""


class UserSession(Session):
    """A bound resource and its presence."""

    __slots__ = ("announces", "bound_by", "directed", "interested", "left", "over", "presence", "priority", "resource")

    def __init__(self, id: str, generation: int, gateway: str, jid: str, peer: str) -> None:  # noqa: A002  the field's name
        super().__init__(id, generation, gateway, jid, peer)
        self.resource = jid.partition("/")[2]
        self.presence: Envelope | None = None
        """The last presence without `to`; None while unavailable."""
        self.announces = False
        """An earlier owner noted the presence and did not finish with it: it comes again, and everybody is told then."""
        self.priority = 0
        self.interested = False
        """It asked for the roster, so it gets pushes (RFC 6121 §2.2)."""
        self.directed: set[str] = set()
        """Whom it sent presence to, subscribed or not (RFC 6121 §4.6)."""
        self.left: Left | None = None
        self.bound_by: Origin | None = None
        """What this owner bound it by; None if an earlier one did."""
        self.over: Origin | None = None
        """What ended it, once it is only waited for to end."""

    @property
    def available(self) -> bool:
        """Has it sent presence?"""
        return self.presence is not None


class User:
    """An account with at least one session."""

    __slots__ = ("account", "resources", "roster")

    def __init__(self, account: str) -> None:
        self.account = account
        self.resources: dict[str, UserSession] = {}
        self.roster: Roster | None = None
        """Read when the first session asks for it or becomes available."""

    def available(self) -> list[UserSession]:
        """The sessions that sent presence, in the order in which they were bound."""
        return [session for session in self.resources.values() if session.presence is not None]


class Accounts(Protocol):
    """Who has an account; asked of the directory."""

    async def exists(self, account: str) -> bool:
        """Is there such an account? Raises `StanzaError` of type wait if that can't be told now."""

    async def usable(self, account: str) -> bool:
        """Is there such an account, and may it be used just now? Raises the same."""

    def forget(self, account: str) -> None:
        """It is gone."""


class Offers(Protocol):
    """What all services offer together."""

    def features(self) -> frozenset[str]:
        """The other services' features of the domain."""

    def handler(self, payload: str) -> str | None:
        """The queue of the service that answers this payload."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A change of a roster, decided only if its origin's work was not done before: then it would be decided otherwise."""

    account: str
    roster: Roster
    origin: Origin
    step: Callable[[], Step]
    """Decides, or refuses."""
    effects: Callable[[Step], tuple[Effect, ...]]
    """What it causes."""


class Committer(Protocol):
    """Commits what a handler decided for a roster, and sends what it causes."""

    async def commit(self, decision: Decision, turn: Turn) -> None:
        """Store the step with its effects, apply it, send them; done before, send them again."""


class Once(Protocol):
    """The outbox."""

    async def once(self, origin: Origin, decide: Callable[[Transaction], Awaitable[tuple[Effect, ...]]]) -> tuple[Effect, ...]:
        """Commit a change and its effects, once for each origin."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What one router process has for all its shards."""

    domains: frozenset[str]
    bus: Bus
    store: Store
    clock: Clock
    policy: Policy
    accounts: Accounts
    offers: Offers
    limits: Limits
    sessions_per_account: int
    resume_seconds: int
    """For how long a session waits for its client (XEP-0198)."""
    secret: bytes
    """Keys the ids that are made here: unpredictable, and the same when the work is done again."""
    drop: Callable[[str], None]
    bounce: Callable[[str], None]
    log: Any


class Shard:
    """One shard of users while it is owned here."""

    def __init__(
        self,
        tools: Tools,
        output: Output,
        sessions: Sessions[UserSession],
        outbox: Once,
        registry: "Registry[Context]",
    ) -> None:
        self.tools = tools
        self.features = frozenset(registry.disco)
        self.account_features = frozenset(registry.account_disco)
        self.changes: Committer
        self.output = output
        self.sessions = sessions
        self.outbox = outbox
        self.users: dict[str, User] = {}

    # --- users

    def user(self, account: str) -> User:
        """The user, made if there is none; only for an account that gets a session."""
        user = self.users.get(account)
        if user is None:
            user = self.users[account] = User(account)
        return user

    async def roster(self, account: str) -> Roster:
        """The account's roster, from memory if it has a session."""
        user = self.users.get(account)
        if user is None:
            return await self.tools.store.roster(account)
        if user.roster is None:
            user.roster = await self.tools.store.roster(account)
        return user.roster

    def distrust(self, account: str) -> None:
        """What is in memory of the account may not be what is stored: read that before it is used again."""
        if user := self.users.get(account):
            user.roster = None

    def with_roster(self, account: str, work: Callable[[Roster], None]) -> Result:
        """Do this with the account's roster, at once if it is in memory; after a take-over it is not."""
        user = self.users.get(account)
        if user is not None and user.roster is not None:
            work(user.roster)
            return None
        return self._with_loaded(account, work)

    async def _with_loaded(self, account: str, work: Callable[[Roster], None]) -> None:
        work(await self.roster(account))

    def note(self, session: UserSession, turn: Turn) -> None:
        """Have what matters of the session survive this process."""
        note = Note(session.presence, session.interested, tuple(sorted(session.directed)), session.left, session.over)
        self.output.note(session, msgspec.msgpack.encode(note), turn)

    def make_id(self, origin: Origin, purpose: str) -> str:
        """An id for something that this origin causes."""
        return hmac.new(self.tools.secret, f"{purpose}\0{origin.session}\0{origin.n}".encode(), hashlib.sha256).hexdigest()[:24]

    # --- answers

    def send(self, effect: str, stanza: Envelope, turn: Turn, *, holder: str = "") -> None:
        """Route a stanza that the server makes to where its `to` says, if that is served here.

        `holder` is the account whose work this is: an answer to one of its own sessions goes there at once, for by way of
        its mailbox it would come behind what else waits there.
        """
        account, _, resource = stanza.to.partition("/")
        if account == holder and resource:
            user = self.users.get(account)
            session = None if user is None else user.resources.get(resource)
            if session is None:
                self.tools.drop("session-gone")
            else:
                self.output.deliver(session, effect, stanza, turn)
        elif self.local(account):
            self.output.route(account, effect, stanza, turn)
        else:
            self.tools.drop("remote")

    def answer(self, request: Envelope, payload: bytes, turn: Turn, *, holder: str) -> None:
        """Answer an IQ with a result."""
        self.send("result", result(request, payload), turn, holder=holder)

    def refuse(self, stanza: Envelope, error: StanzaError, turn: Turn, *, holder: str) -> None:
        """Answer a stanza with an error, unless it is one itself or an answer (RFC 6120 §8.3.1)."""
        if stanza.type == "error" or (stanza.kind == Kind.IQ and stanza.type == "result"):
            self.tools.drop(error.condition)
            return
        self.tools.bounce(error.condition)
        self.send("error", bounced(stanza, error.to_xml()), turn, holder=holder)

    def local(self, account: str) -> bool:
        """Is this bare JID, or domain, served here?"""
        return account.rpartition("@")[2] in self.tools.domains


@dataclass(slots=True)
class Context:
    """What the handler of an IQ has beside the IQ itself."""

    shard: Shard
    session: UserSession | None
    """Who asks, if it is one of the account's own sessions that asks its own server."""
    stanza: Envelope
    turn: Turn
    answered: bool = False
    """The handler has sent the result itself, with a change that was committed."""


def result(request: Envelope, payload: bytes) -> Envelope:
    """The result of an IQ."""
    return Envelope(
        kind=Kind.IQ,
        type="result",
        id=request.id,
        sender=request.to or request.sender.partition("/")[0],
        to=request.sender,
        children=payload,
        names=(),
        origin=request.origin,
        trace=request.trace,
    )


def bounced(stanza: Envelope, error: bytes) -> Envelope:
    """The error that answers a stanza; what the stanza held is not sent back."""
    return Envelope(
        kind=stanza.kind,
        type="error",
        id=stanza.id,
        sender=stanza.to or stanza.sender.partition("/")[0],
        to=stanza.sender,
        children=error,
        names=(),
        origin=stanza.origin,
        trace=stanza.trace,
    )
