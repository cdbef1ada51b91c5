"""RFC 6120 §7: resources are bound, taken over and let go."""

from collections import OrderedDict
from collections.abc import Awaitable
from typing import Final

from aldis.core.contracts.base import Origin
from aldis.core.contracts.envelope import Envelope, Kind
from aldis.core.contracts.sessions import Bind, SessionEnd
from aldis.core.shards.mailbox import Result
from aldis.core.shards.turn import Turn
from aldis.core.xmpp.errors.stanza import BadRequest, JidMalformed, NotAuthorized, ResourceConstraint, StanzaError
from aldis.core.xmpp.jid import Jid
from aldis.router.context import Shard, UserSession
from aldis.router.features.iqs import Iqs
from aldis.router.features.messages import Messages
from aldis.router.features.presence import Presences

MOST_EXPELLED: Final = 1_000
GONE: Final = "the account was deleted or disabled; authenticate again"


class Binding:
    """The sessions of one shard's users as they come and go."""

    def __init__(self, shard: Shard, messages: Messages, iqs: Iqs, presences: Presences) -> None:
        self._shard = shard
        self._messages = messages
        self._iqs = iqs
        self._presences = presences
        self._over: dict[str, list[UserSession]] = {}
        """By full JID: sessions that an earlier owner ended, and that perhaps not everybody was told of."""
        self._expelled: OrderedDict[str, float] = OrderedDict()
        """Accounts that went lately, and when."""
        self._began = shard.tools.clock.time()
        """Who authenticated before this owner began may have lost the account under an earlier one."""

    def restore(self, session: UserSession) -> None:
        """Take in a session that was bound under an earlier owner."""
        if session.replaced:
            self._over.setdefault(session.jid, []).append(session)
        else:
            self._shard.user(session.account).resources[session.resource] = session

    def bind(self, message: Bind, turn: Turn) -> Result:
        """Give a session its resource; whoever has it already loses it (RFC 6120 §7.7.2.2)."""
        session = self._shard.sessions.by_id.get(message.origin.session)
        if session is not None:  # an earlier owner bound it, and may have died before it told
            return self._take(session, message, turn)
        if message.since <= self._began:
            return self._bind_checked(message, turn)
        return self._bind_new(message, turn)

    async def _bind_checked(self, message: Bind, turn: Turn) -> None:
        """Ask first whether the account may be used, which an earlier owner may have been told."""
        if not await self._shard.tools.accounts.usable(message.account):
            self._shard.output.refuse_bind(message, NotAuthorized(GONE).to_xml(), turn)
            return
        bound = self._bind_new(message, turn)
        if bound is not None:
            await bound

    def _bind_new(self, message: Bind, turn: Turn) -> Result:
        try:
            self._check(message)
            jid = self._address(message)
        except StanzaError as error:
            self._shard.output.refuse_bind(message, error.to_xml(), turn)
            return None
        session = UserSession(message.origin.session, message.generation, message.gateway, str(jid), message.peer)
        session.since = message.since
        return self._take(session, message, turn)

    def _take(self, session: UserSession, message: Bind, turn: Turn) -> Result:
        """End who has the resource, then bind: the answer goes out last, so that who has it knows that the rest is done."""
        session.bound_by = message.origin
        user = self._shard.user(session.account)
        olds = [old for old in self._over.get(session.jid, ()) if old.over == message.origin]
        holder = user.resources.get(session.resource)
        if holder is not None and holder is not session:
            olds.append(holder)
        for old in olds:
            self._end_early(old, message.origin, turn)
        told = [result for old in olds if (result := self._presences.gone(old, message.origin, turn)) is not None]
        if told:
            return self._take_after(told, olds, session, message, turn)
        self._taken(olds, session, message, turn)
        return None

    async def _take_after(
        self, told: list[Awaitable[None]], olds: list[UserSession], session: UserSession, message: Bind, turn: Turn
    ) -> None:
        for result in told:
            await result
        self._taken(olds, session, message, turn)

    def _taken(self, olds: list[UserSession], session: UserSession, message: Bind, turn: Turn) -> None:
        for old in olds:
            self._shard.output.close(old, "conflict", "another client took this resource", turn)
        self._shard.user(session.account).resources[session.resource] = session
        if session.id not in self._shard.sessions.by_id:
            self._shard.sessions.add(session, message.origin.n)
            self._shard.tools.log.info("session.bound", jid=session.jid, session=session.id, peer=session.peer)
        # after what this has posted for others, and before what waits for the account, which may be for this session
        self._shard.output.mailboxes.post(session.id, self._answer, session, message, turn)

    def is_expelled(self, account: str, since: float) -> bool:
        """Did the account go after this client asked to be authenticated?"""
        return since <= self._expelled.get(account, -1.0)

    def _check(self, message: Bind) -> None:
        if self.is_expelled(message.account, message.since):
            raise NotAuthorized(GONE)

    def failed(self, work: object, error: StanzaError, turn: Turn) -> None:
        """Something went wrong that is our fault: a request for a resource is refused, and no stanza of a dead session is lost."""
        match work:
            case Bind():
                self._shard.output.refuse_bind(work, error.to_xml(), turn)
            case SessionEnd():
                for stanza in work.unwritten:
                    self.unsent(stanza.to.partition("/")[0], stanza, turn)
            case _:
                pass

    def _address(self, message: Bind) -> Jid:
        account = Jid.parse(message.account)
        resource = message.resource or self._shard.make_id(message.origin, "resource")
        try:
            jid = account.with_resource(resource)
        except JidMalformed as error:
            raise BadRequest(f"the resource can't be used: {error.text}") from None  # RFC 6120 §7.7.2.1
        user = self._shard.users.get(message.account)
        most = self._shard.tools.sessions_per_account
        if user is not None and most and len(user.resources) >= most and jid.resource not in user.resources:
            raise ResourceConstraint(f"the account has {most} sessions, which is the most")  # RFC 6120 §7.6.2.1
        return jid

    def _answer(self, session: UserSession, message: Bind, turn: Turn) -> None:
        self._shard.output.bound(session, message.origin.n, turn)

    def _end_early(self, session: UserSession, cause: Origin, turn: Turn) -> None:
        """From here on the session is only waited for to end; who saw it is noted until everybody was told."""
        session.replaced = True
        session.over = cause
        user = self._shard.users.get(session.account)
        if user is not None and user.resources.get(session.resource) is session:
            del user.resources[session.resource]
        self._shard.note(session, turn)

    def end(self, session: UserSession, message: SessionEnd, turn: Turn) -> Result:
        """A stream is gone: its contacts are told, and what it did not get goes elsewhere or back."""
        user = self._shard.users.get(session.account)
        if user is not None and user.resources.get(session.resource) is session:
            del user.resources[session.resource]
        self._over.pop(session.jid, None)
        told = None if session.replaced else self._presences.gone(session, message.origin, turn)
        if told is not None:
            return self._ended_after(told, session, message, turn)
        self._ended(session, message, turn)
        return None

    async def _ended_after(self, told: Awaitable[None], session: UserSession, message: SessionEnd, turn: Turn) -> None:
        await told
        self._ended(session, message, turn)

    def _ended(self, session: UserSession, message: SessionEnd, turn: Turn) -> None:
        for stanza in message.unwritten:
            self.unsent(session.account, stanza, turn)
        user = self._shard.users.get(session.account)
        if user is not None and not user.resources:
            del self._shard.users[session.account]
        self._shard.tools.log.info("session.ended", jid=session.jid, session=session.id)

    def end_unknown(self, message: SessionEnd, turn: Turn) -> Result:
        """A session is gone that only an earlier owner knew."""
        account, _, resource = message.jid.partition("/")
        for stanza in message.unwritten:
            self.unsent(account, stanza, turn)
        user = self._shard.users.get(account)
        later = None if user is None else user.resources.get(resource)
        return self._presences.gone_before(message, later, turn)

    def unsent(self, account: str, stanza: Envelope, turn: Turn) -> None:
        """What was on its way to a session that is gone: to the user's other resources, or back."""
        match stanza.kind:
            case Kind.MESSAGE if stanza.type != "error":
                self._messages.unsent(account, stanza, turn)
            case Kind.IQ:
                self._iqs.unsent(stanza, turn)
            case _:
                self._shard.tools.drop("session-gone")

    def expelled(self, account: str, at: float, text: str, turn: Turn) -> None:
        """The account might not be used any more `at` that time: who has authenticated before gets no resource, or loses it."""
        self._expelled[account] = max(at, self._expelled.pop(account, 0.0))
        if len(self._expelled) > MOST_EXPELLED:
            self._expelled.popitem(last=False)
        for session in self._of(account):
            if session.since <= at:
                self._shard.output.close(session, "not-authorized", text, turn)

    def deleted(self, account: str, at: float, cause: Origin, turn: Turn) -> None:
        """The account was deleted `at` that time: its sessions do nothing more, and their contacts are told with the change itself."""
        for session in self._of(account):
            if session.since <= at:
                self._end_early(session, cause, turn)
                session.presence = None
                session.directed = set()
        user = self._shard.users.get(account)
        if user is not None and not user.resources:
            del self._shard.users[account]

    def _of(self, account: str) -> list[UserSession]:
        return [session for session in self._shard.sessions.by_id.values() if session.account == account]

    def overflown(self, session: UserSession, turn: Turn) -> None:
        """A client that does not read: end it before it costs more; what it was sent goes elsewhere or back."""
        if session.replaced:
            return
        session.replaced = True
        user = self._shard.users.get(session.account)
        if user is not None and user.resources.get(session.resource) is session:
            del user.resources[session.resource]
        self._shard.output.mailboxes.post(session.account, self._overflown, session, None, turn)
        self._shard.output.close(session, "resource-constraint", "too much waits for this client to be read", turn)

    def _overflown(self, session: UserSession, _: object, turn: Turn) -> Result:
        return self._presences.gone(session, self._presences.own_origin(), turn)
