"""The router: its features, and the process that owns shards of users."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

import aldis.router
from aldis.core.bus.names import ANNOUNCE, DIRECTORY
from aldis.core.bus.port import Bus, BusError, Subscription
from aldis.core.contracts import operation
from aldis.core.contracts.accounts import AccountExists, AccountExistsRequest
from aldis.core.contracts.base import Message
from aldis.core.contracts.envelope import Envelope, Flag, Kind, told, trace_of
from aldis.core.contracts.services import Announce, WhoIsThere
from aldis.core.contracts.sessions import Bind, SessionEnd
from aldis.core.policy import Policy
from aldis.core.service.clock import Clock
from aldis.core.service.logging import Logger
from aldis.core.service.metrics import Level, Tally
from aldis.core.service.process import Process
from aldis.core.shards import report
from aldis.core.shards.kept import Records
from aldis.core.shards.leases import Pace
from aldis.core.shards.mailbox import Result
from aldis.core.shards.means import Means
from aldis.core.shards.oldest import Oldest
from aldis.core.shards.output import Output
from aldis.core.shards.ownership import Ownership
from aldis.core.shards.registry import SqlRegistry
from aldis.core.shards.runner import ShardRunner
from aldis.core.shards.session_store import SqlRecords
from aldis.core.shards.sessions import Most, Session, Sessions
from aldis.core.shards.store import Outbox, Secrets, SqlMarks
from aldis.core.shards.turn import Turn
from aldis.core.storage import Database, StorageUnavailable
from aldis.core.storage.migrations import MigrationSet
from aldis.core.xmpp.errors.stanza import InternalServerError, JidMalformed, StanzaError
from aldis.core.xmpp.feature import Feature, Registry
from aldis.router.context import Context, Shard, Tools, UserSession
from aldis.router.domain.roster import Limits
from aldis.router.features import rfc_3921_session, roster, xep_0030_disco, xep_0199_ping
from aldis.router.features.accounts import AccountEvents
from aldis.router.features.binding import Binding
from aldis.router.features.effects import Changes
from aldis.router.features.iqs import Iqs, unavailable
from aldis.router.features.messages import Messages
from aldis.router.features.presence import Presences
from aldis.router.features.resumption import Resumption
from aldis.router.features.subscriptions import ACTIONS, Subscriptions
from aldis.router.settings import RouterSettings
from aldis.router.store import Store

FEATURES: Final[tuple[Feature[Context], ...]] = (xep_0030_disco.feature, xep_0199_ping.feature, roster.feature, rfc_3921_session.feature)
"""What the router adds to the domains and their accounts."""
MESSAGE: Final = int(Kind.MESSAGE)
PRESENCE: Final = int(Kind.PRESENCE)
BROADCAST: Final = frozenset({"", "unavailable"})
BAD_TO: Final = int(Flag.BAD_TO)
TRACED: Final = int(Flag.TRACED)
SELDOM: Final = BAD_TO | TRACED
PATIENCE: Final = 3.0
"""Seconds that the directory has to tell whether there is an account."""
REMEMBERED: Final = 10_000
STANDSTILL: Final = 30.0
"""Seconds without progress after which a shard counts as standing still: longer than anything that it waits for."""


def migrations() -> MigrationSet:
    """The router's tables: beside the package when installed, in the service's folder in a working tree."""
    package = Path(aldis.router.__file__).parent
    installed = package / "migrations"
    return MigrationSet("router", installed if installed.is_dir() else package.parents[2] / "migrations")


class UserShard:
    """One shard of users: what comes in, by kind, to the feature that handles it."""

    def __init__(
        self,
        tools: Tools,
        registry: Registry[Context],
        output: Output,
        sessions: Sessions[UserSession],
        outbox: Outbox,
        records: Records,
    ) -> None:
        self.records = records
        self._shard = shard = Shard(tools, output, sessions, outbox, registry)
        self._messages = Messages(shard)
        self._presences = Presences(shard)
        shard.changes = changes = Changes(shard)
        self._iqs = Iqs(shard, registry)
        self._subscriptions = Subscriptions(shard, changes)
        self._binding = Binding(shard, self._messages, self._iqs, self._presences)
        resumption = Resumption(shard, self._binding, tools.resume_seconds)
        self.resumable, self.may_resume = resumption.resumable, resumption.may_resume
        self._accounts = AccountEvents(shard, self._binding, changes)
        output.overflown = self._overflown

    def restore(self, session: Session) -> UserSession:
        """Take in a session that was bound under an earlier owner."""
        restored = UserSession(session.id, session.generation, session.gateway, session.jid, session.peer)
        restored.number = session.number
        restored.last = session.last
        restored.note = session.note
        restored.since = session.since
        self._presences.restore(restored)
        self._binding.restore(restored)
        return restored

    def bind(self, message: Bind, _: object, turn: Turn) -> Result:
        """Give a session its resource, or refuse."""
        return self._binding.bind(message, turn)

    def from_session(self, session: UserSession, stanza: Envelope, turn: Turn) -> Result:
        """Handle what a session's client sent."""
        if stanza.flags & SELDOM:
            self._seldom(stanza)
        if stanza.kind == MESSAGE:
            self._messages.sent(stanza, turn)
            return None
        if stanza.kind != PRESENCE:
            return self._iqs.sent(session, stanza, turn)
        if stanza.type in ACTIONS:
            return self._subscriptions.sent(session.account, stanza, turn)
        if stanza.type in BROADCAST:
            return self._presences.direct(session, stanza, turn) if stanza.to else self._presences.broadcast(session, stanza, turn)
        return self._presences.other(session, stanza, turn)

    def orphan(self, account: str, stanza: Envelope, turn: Turn) -> Result:
        """Handle what a session sent that has ended since: as if it were still there, but for its presence and its answers."""
        ended = UserSession(stanza.origin.session, 0, "", stanza.sender, "")
        ended.replaced = True
        if stanza.kind == PRESENCE:
            self._presences.orphaned(stanza)
        return self.from_session(ended, stanza, turn)

    def _seldom(self, stanza: Envelope) -> None:
        if stanza.flags & TRACED:
            self._shard.tools.log.info("stanza.hop", hop="sender", **told(stanza))
        if stanza.flags & BAD_TO:
            raise JidMalformed("the `to` address is no JID")  # RFC 6120 §8.3.3.8

    def routed(self, account: str, stanza: Envelope, turn: Turn) -> Result:
        """Handle a stanza for one of the shard's accounts."""
        if stanza.flags & TRACED:
            self._shard.tools.log.info("stanza.hop", hop="recipient", account=account, **told(stanza))
        if stanza.kind == MESSAGE:
            self._messages.received(account, stanza, turn)
            return None
        if stanza.kind != PRESENCE:
            return self._iqs.received(account, stanza, turn)
        if stanza.type in ACTIONS:
            return self._subscriptions.received(account, stanza, turn)
        return self._presences.received(account, stanza, turn)

    def end(self, session: UserSession | None, message: SessionEnd, turn: Turn) -> Result:
        """Handle that a session is gone."""
        return self._binding.end_unknown(message, turn) if session is None else self._binding.end(session, message, turn)

    def returned(self, account: str, stanza: Envelope, turn: Turn) -> Result:
        """Handle a stanza that its session ended too early for."""
        self._binding.unsent(account, stanza, turn)
        return None

    def event(self, account: str, message: Message, turn: Turn) -> Result:
        """Handle what the directory tells of an account."""
        return self._accounts.handle(account, message, turn)

    def failed(self, account: str, work: object, error: Exception, turn: Turn) -> None:
        """Tell the sender what a handler refused, or that the fault is ours."""
        tools = self._shard.tools
        if not isinstance(work, Envelope):
            refusal = error if isinstance(error, StanzaError) else unavailable() if isinstance(error, StorageUnavailable) else None
            if refusal is None:
                tools.log.error("work.failed", work=type(work).__name__, exc_info=error)
            self._binding.failed(work, refusal or InternalServerError(), turn)
            return
        if isinstance(error, StanzaError):
            self._shard.refuse(work, error, turn, holder=account)
        elif isinstance(error, StorageUnavailable):
            tools.log.warning("storage.unavailable", trace=trace_of(work), reason=str(error))
            self._shard.refuse(work, unavailable(), turn, holder=account)
        else:
            tools.log.error("stanza.failed", trace=trace_of(work), exc_info=error)
            self._shard.refuse(work, InternalServerError(), turn, holder=account)

    def _overflown(self, session: Session, turn: Turn) -> None:
        if isinstance(session, UserSession):
            self._binding.overflown(session, turn)


class DirectoryAccounts:
    """Asks the directory who has an account, and remembers that somebody has for a minute."""

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock
        self._known: dict[str, float] = {}

    async def exists(self, account: str) -> bool:
        """Is there such an account? Raises an error of type wait if the directory does not answer."""
        now = self._clock.now()
        if self._known.get(account, 0.0) > now:
            return True
        answer = await self._ask(account)
        if answer.exists:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[account] = now + 60.0
        return answer.exists

    async def usable(self, account: str) -> bool:
        """Is there such an account, and may it be used just now? Asked anew each time."""
        answer = await self._ask(account)
        return answer.exists and not answer.disabled

    async def _ask(self, account: str) -> AccountExists:
        try:
            answer = await self._bus.request(DIRECTORY, AccountExistsRequest(account=account), deadline=PATIENCE)
        except BusError:
            raise unavailable() from None
        if not isinstance(answer, AccountExists):
            raise unavailable()
        return answer

    def forget(self, account: str) -> None:
        """The account is gone."""
        self._known.pop(account, None)


class AnnouncedOffers:
    """What the other services announced."""

    def __init__(self) -> None:
        self._announced: dict[str, Announce] = {}
        self._handlers: dict[str, str] = {}
        self._features: frozenset[str] = frozenset()

    def heard(self, message: Message) -> None:
        """Take an announcement in."""
        if isinstance(message, Announce):
            self._announced[message.service] = message
            announced = self._announced.values()
            self._handlers = {payload: service.queue for service in announced for payload in service.iqs}
            self._features = frozenset(feature for service in announced for feature in service.features)

    def features(self) -> frozenset[str]:
        """Features of the domains."""
        return self._features

    def handler(self, payload: str) -> str | None:
        """The queue of the service that answers this payload."""
        return self._handlers.get(payload)


class Router:
    """The service: start it, and it owns its share of the shards until it is stopped."""

    name: Final = "router"

    def __init__(
        self,
        *,
        settings: RouterSettings,
        bus: Bus,
        database: Database,
        clock: Clock,
        registry: CollectorRegistry,
        policy: Policy,
        process: Process,
        drop: Callable[[str], None],
        log: Logger,
        pace: Pace | None = None,
        journal: bool = False,
    ) -> None:
        """`drop` counts aldis_dropped_total, which the services of one process share; `pace` is for processes that are apart.

        `journal` if there are none, so that nothing but the database outlives this one.
        """
        self._settings = settings
        self._bus = bus
        self._database = database
        self._clock = clock
        self._policy = policy
        self._process = process
        self._drop = drop
        self._log = log
        self._pace = pace
        self._journal = journal
        self._offers = AnnouncedOffers()
        self._bounced = Tally(registry, "aldis_bounced_total", "Stanzas answered with an error, by condition.", ("reason",))
        self._takeovers = Tally(registry, "aldis_shard_takeovers_total", "Shards that were taken over.").cell()
        Level(registry, "aldis_users", "Accounts with at least one session.").read(lambda: float(len(self.users())))
        self._oldest = Oldest(lambda: self.runner.working() if self.runner is not None else {}, clock.now)
        Level(registry, "aldis_shard_oldest_seconds", "How long the oldest batch that is in work has been.").read(self._oldest.longest)
        Level(registry, "aldis_copies_held", "Copies of stanzas that are not known to have reached their client.").read(
            lambda: float(sum(shard.held for shard in self.shards()))
        )
        self._subscriptions: list[Subscription] = []
        self._ownership: Ownership[UserSession] | None = None

    @property
    def runner(self) -> ShardRunner[UserSession] | None:
        """What runs its shards, once it has started."""
        return None if self._ownership is None else self._ownership.runner

    async def start(self) -> None:
        """Own what falls to this router; returns when what is free is consumed."""
        settings, limits = self._settings, self._settings.limits
        registry = Registry(FEATURES)
        tools = Tools(
            domains=frozenset(settings.domains),
            bus=self._bus,
            store=Store(self._database),
            clock=self._clock,
            policy=self._policy,
            accounts=DirectoryAccounts(self._bus, self._clock),
            offers=self._offers,
            limits=Limits(
                items=limits.roster_items,
                bytes=limits.roster_bytes,
                groups=limits.roster_groups,
                name=limits.roster_name,
                requests=limits.subscription_requests,
            ),
            sessions_per_account=limits.sessions_per_account,
            resume_seconds=settings.sm.resume_seconds,
            secret=await Secrets(self._database).secret("ids"),
            drop=self._drop,
            bounce=self._bounce,
            log=self._log,
        )

        def make(output: Output, sessions: Sessions[UserSession]) -> UserShard:
            self._takeovers.n += 1
            outbox = Outbox(self._database, output.shard, output.epoch, self._clock.time)
            # what is remembered of accounts is as old as the ownership: only the shard's owner is told that one is gone
            own = replace(tools, accounts=DirectoryAccounts(self._bus, self._clock))
            return UserShard(own, registry, output, sessions, outbox, SqlRecords(self._database, output.shard, outbox))

        # the queues of a bus in memory die with the process: what killed it does not come again
        marks = SqlMarks(self._database, self._clock.time) if settings.bus.url.get_secret_value() else None
        most = Most(settings.limits.held_stanzas, settings.limits.held_bytes)
        means = Means(self._bus, settings.bus.shards, self._clock.now, self._clock.time, self._drop, self._log, marks, self._journal, most)
        self._ownership = ownership = Ownership(means, SqlRegistry(self._database), make, self._pace)
        self._subscriptions.append(await self._bus.listen(ANNOUNCE, self._offers.heard))
        self._bus.broadcast(ANNOUNCE, WhoIsThere())
        await ownership.start()
        _ = self._process.spawn("router progress", self._watch(ownership.runner))
        _ = self._process.spawn("router oldest work", self._oldest.keep())
        _ = self._process.spawn("router shards", ownership.run())

    async def stop(self) -> None:
        """Hand the shards over, and leave."""
        if self._ownership is not None:
            await self._ownership.stop()
        for subscription in self._subscriptions:
            await subscription.cancel()
        self._subscriptions.clear()

    async def _watch(self, runner: ShardRunner[UserSession]) -> None:
        """Be not ready while a shard stands still: whoever starts the process anew mends it, and nobody else will."""
        before: dict[int, tuple[int, int]] = {}
        while True:
            await asyncio.sleep(STANDSTILL)
            standing = runner.standing(before)
            before = runner.working()
            reason = f"no progress for {STANDSTILL:g} s in shard {', '.join(map(str, standing))}" if standing else None
            if standing:
                self._log.error("shard.stands-still", shards=sorted(standing))
            self._process.readiness.set("router progress", reason)

    def shards(self) -> tuple[operation.Shard, ...]:
        """How each shard is that this router owns, for `aldis status`."""
        return report.shards(self.runner.running if self.runner is not None else {}, self._oldest)

    def users(self) -> dict[str, list[UserSession]]:
        """The sessions of every account that has one, for `aldis status`."""
        users: dict[str, list[UserSession]] = {}
        for running in self.runner.running.values() if self.runner is not None else ():
            for bound in running.sessions.values():
                if not bound.replaced:
                    users.setdefault(bound.account, []).append(bound)
        return users

    def _bounce(self, reason: str) -> None:
        self._bounced.cell(reason).n += 1
