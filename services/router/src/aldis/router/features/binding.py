"""RFC 6120 §7: resources are bound, taken over and let go."""

from aldis.core.contracts.accounts import AccountDeleted, AccountDisabled
from aldis.core.contracts.envelope import Envelope, Kind
from aldis.core.contracts.sessions import Bind, SessionEnd
from aldis.core.shards.turn import Turn
from aldis.core.xmpp.errors.stanza import BadRequest, JidMalformed, ResourceConstraint, StanzaError
from aldis.core.xmpp.jid import Jid
from aldis.router.context import Shard, UserSession
from aldis.router.features.iqs import Iqs
from aldis.router.features.messages import Messages
from aldis.router.features.presence import Presences


class Binding:
    """The sessions of one shard's users as they come and go."""

    def __init__(self, shard: Shard, messages: Messages, iqs: Iqs, presences: Presences) -> None:
        self._shard = shard
        self._messages = messages
        self._iqs = iqs
        self._presences = presences

    def bind(self, message: Bind, turn: Turn) -> None:
        """Give a session its resource; whoever has it already loses it (RFC 6120 §7.7.2.2)."""
        known = self._shard.sessions.by_id.get(message.origin.session)
        if known is not None:  # an earlier owner bound it, and may have died before it told
            self._replace(known, message, turn)
            self._shard.output.bound(known, message.origin.n, turn)
            return
        try:
            jid = self._address(message)
        except StanzaError as error:
            self._shard.output.refuse_bind(message, error.to_xml(), turn)
            return
        session = UserSession(message.origin.session, message.generation, message.gateway, str(jid), message.peer)
        self._replace(session, message, turn)
        self._shard.user(session.account).resources[session.resource] = session
        self._shard.sessions.add(session, message.origin.n)
        self._shard.output.bound(session, message.origin.n, turn)
        self._shard.tools.log.info("session.bound", jid=session.jid, session=session.id, peer=session.peer)

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

    def _replace(self, session: UserSession, message: Bind, turn: Turn) -> None:
        user = self._shard.users.get(session.account)
        old = user.resources.get(session.resource) if user is not None else None
        if user is None or old is None or old is session:
            return
        old.replaced = True
        del user.resources[old.resource]
        self._presences.gone(old, message.origin, turn)
        self._shard.output.close(old, "conflict", "another client took this resource", turn)

    def end(self, session: UserSession, message: SessionEnd, turn: Turn) -> None:
        """A stream is gone: its contacts are told, and what it did not get goes elsewhere or back."""
        user = self._shard.users.get(session.account)
        if user is not None and user.resources.get(session.resource) is session:
            del user.resources[session.resource]
        if not session.replaced:
            self._presences.gone(session, message.origin, turn)
        for stanza in message.unwritten:
            self.unsent(session.account, stanza, turn)
        if user is not None and not user.resources:
            self._shard.users.pop(session.account, None)
        self._shard.tools.log.info("session.ended", jid=session.jid, session=session.id)

    def unsent(self, account: str, stanza: Envelope, turn: Turn) -> None:
        """What was on its way to a session that is gone: to the user's other resources, or back."""
        match stanza.kind:
            case Kind.MESSAGE if stanza.type != "error":
                self._messages.unsent(account, stanza, turn)
            case Kind.IQ:
                self._iqs.unsent(stanza, turn)
            case _:
                self._shard.tools.drop("session-gone")

    def expelled(self, account: str, message: AccountDeleted | AccountDisabled, turn: Turn) -> None:
        """The account may not be used any more: its streams end."""
        user = self._shard.users.get(account)
        if user is None:
            return
        text = "the account was deleted" if isinstance(message, AccountDeleted) else "the account is disabled"
        for session in list(user.resources.values()):
            self._shard.output.close(session, "not-authorized", text, turn)

    def overflown(self, session: UserSession, turn: Turn) -> None:
        """A client that does not read: end it before it costs more; what it was sent goes elsewhere or back."""
        if not session.replaced:
            user = self._shard.users.get(session.account)
            if user is not None and user.resources.get(session.resource) is session:
                del user.resources[session.resource]
            session.replaced = True
            self._presences.gone(session, self._presences.own_origin(), turn)
            self._shard.output.close(session, "resource-constraint", "too much waits for this client to be read", turn)
