"""RFC 6121 §4: presence is broadcast, probed for, sent to one, and withdrawn."""

from collections.abc import Awaitable, Iterable

import msgspec

from aldis.core.contracts.base import Origin
from aldis.core.contracts.envelope import Envelope, Flag, Kind
from aldis.core.contracts.sessions import SessionEnd
from aldis.core.shards.mailbox import Result
from aldis.core.shards.turn import Turn
from aldis.core.xmpp.element import parse_children
from aldis.core.xmpp.errors.stanza import BadRequest, RemoteServerNotFound
from aldis.core.xmpp.namespaces import CLIENT
from aldis.router.context import Note, Shard, User, UserSession
from aldis.router.domain.delivery import Outcome, decide

PRESENCE = int(Kind.PRESENCE)
_PRIORITY = f"{{{CLIENT}}}priority"
_DECODER = msgspec.msgpack.Decoder(Note)
_REQUEST = msgspec.msgpack.Decoder(Envelope)


class Presences:
    """Presence from and to the users of one shard."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._made = 0

    # --- from sessions

    def broadcast(self, session: UserSession, stanza: Envelope, turn: Turn) -> Result:
        """Available or unavailable presence without `to` (RFC 6121 §4.2, §4.4, §4.5)."""
        if session.replaced:
            self._shard.tools.drop("session-gone")
            return None
        if stanza.type == "unavailable":
            self._withdraw(session, stanza, turn)
            self._shard.note(session, turn)
            return None
        priority = _priority(stanza)
        user = self._shard.user(session.account)
        if user.roster is None:
            return self._load_then_show(user, session, stanza, priority, turn)
        self._show(user, session, stanza, priority, turn)
        return None

    async def _load_then_show(self, user: User, session: UserSession, stanza: Envelope, priority: int, turn: Turn) -> None:
        await self._shard.roster(user.account)
        if not session.replaced:
            self._show(user, session, stanza, priority, turn)

    def _show(self, user: User, session: UserSession, stanza: Envelope, priority: int, turn: Turn) -> None:
        session.presence = stanza = msgspec.structs.replace(stanza, to="")
        session.priority = priority
        self._shard.note(session, turn)
        self._tell(user, stanza, "presence", turn)
        self._shard.output.deliver_all(user.available(), "presence", stanza, turn)  # itself, too (RFC 6121 §4.2.2)
        if stanza.flags & Flag.INITIAL:
            self._arrive(user, session, stanza, turn)

    def _arrive(self, user: User, session: UserSession, stanza: Envelope, turn: Turn) -> None:
        """What a session gets that has just become available: others' presence, and requests (RFC 6121 §4.3, §3.1.3)."""
        if user.roster is None:
            return
        for other in user.available():
            if other is not session and other.presence is not None:
                self._shard.output.deliver(session, f"presence {other.jid}", _again(other.presence, stanza), turn)
        probe = made("probe", session.jid, "", stanza.origin)
        self._route(user.roster.subscriptions(), "probe", probe, turn)
        for index, request in enumerate(user.roster.requests()):
            asked = msgspec.structs.replace(_REQUEST.decode(request), origin=stanza.origin)
            self._shard.output.deliver(session, f"subscribe {index}", asked, turn)

    def _withdraw(self, session: UserSession, stanza: Envelope, turn: Turn) -> None:
        """Tell everybody who saw the session that it is not available any more (RFC 6121 §4.5.2)."""
        user = self._shard.users.get(session.account)
        shown = session.presence is not None
        directed, session.directed = session.directed, set()
        session.presence = None
        session.priority = 0
        stanza = msgspec.structs.replace(stanza, to="")
        if shown and user is not None:
            self._tell(user, stanza, "presence", turn)
            self._shard.output.deliver_all(
                [*user.available(), session] if not session.replaced else user.available(), "presence", stanza, turn
            )
        for target in sorted(directed):  # RFC 6121 §4.6.3
            self._send_directed(target, "directed", msgspec.structs.replace(stanza, to=target), turn)

    def direct(self, session: UserSession, stanza: Envelope, turn: Turn) -> Result:
        """Presence to one address (RFC 6121 §4.6)."""
        account = stanza.to.partition("/")[0]
        if not self._shard.local(account):
            raise RemoteServerNotFound("the domain is not served here, and this server does not federate")
        if stanza.type in {"", "unavailable"} and not session.replaced:
            user = self._shard.user(session.account)
            subscribed = user.roster is not None and user.roster.state(account).seen
            if stanza.type == "" and not subscribed and account != session.account:
                session.directed.add(stanza.to)
                self._shard.note(session, turn)
            elif stanza.type == "unavailable" and stanza.to in session.directed:
                session.directed.discard(stanza.to)
                self._shard.note(session, turn)
        self._send_directed(stanza.to, "directed", stanza, turn)
        return None

    def other(self, session: UserSession, stanza: Envelope, turn: Turn) -> Result:
        """Errors go to whom they answer; a probe is the server's to send, and an unknown type is none (RFC 6121 §4.7.1)."""
        if stanza.type == "error" and stanza.to:
            self._send_directed(stanza.to, "directed", stanza, turn)
        elif stanza.type != "probe":
            raise BadRequest("there is no such type of presence")
        else:
            self._shard.tools.drop("probe")
        return None

    def _send_directed(self, target: str, effect: str, stanza: Envelope, turn: Turn) -> None:
        account = target.partition("/")[0]
        if "@" in account:
            self._shard.output.route(account, effect, stanza, turn)

    # --- sessions that end

    def gone(self, session: UserSession, origin: Origin, turn: Turn) -> None:
        """A session has ended without saying so (RFC 6121 §4.5.1)."""
        if session.presence is not None or session.directed:
            self._withdraw(session, made("unavailable", session.jid, "", origin), turn)

    def gone_before(self, message: SessionEnd, turn: Turn) -> Awaitable[None] | None:
        """A session has ended that only an earlier owner knew: its note tells who saw it."""
        if not message.note:
            return None
        note = _DECODER.decode(message.note)
        session = UserSession(message.origin.session, message.generation, message.gateway, message.jid, "")
        session.presence = note.presence
        session.directed = set(note.directed)
        session.replaced = True
        if note.presence is None and not note.directed:
            return None
        return self._load_then_withdraw(session, message.origin, turn)

    async def _load_then_withdraw(self, session: UserSession, origin: Origin, turn: Turn) -> None:
        roster = await self._shard.roster(session.account)
        user = self._shard.users.get(session.account)
        if user is not None and session.resource in user.resources:
            return  # a later session of the same name tells for itself
        stanza = made("unavailable", session.jid, "", origin)
        if session.presence is not None:
            self._route(roster.subscribers(), "presence", stanza, turn)
            if user is not None:
                self._shard.output.deliver_all(user.available(), "presence", stanza, turn)
        for target in sorted(session.directed):
            self._send_directed(target, "directed", msgspec.structs.replace(stanza, to=target), turn)

    def own_origin(self) -> Origin:
        """An origin for what no stanza caused."""
        self._made += 1
        return Origin(f"shard {self._shard.output.shard} {self._shard.output.epoch}", self._made)

    def restore(self, session: UserSession) -> None:
        """Take in what an earlier owner noted."""
        if session.note:
            note = _DECODER.decode(session.note)
            session.presence = note.presence
            session.priority = 0 if note.presence is None else _priority(note.presence)
            session.interested = note.interested
            session.directed = set(note.directed)

    # --- to users

    def received(self, account: str, stanza: Envelope, turn: Turn) -> Result:
        """Presence for a user: delivered, or a probe answered (RFC 6121 §8.5)."""
        if not self._shard.tools.policy.authorize(stanza.label, stanza.sender, account):
            self._shard.tools.drop("policy")
            return None
        user = self._shard.users.get(account)
        if stanza.type == "probe":
            return self._probed(user, account, stanza, turn)
        resource = stanza.to.partition("/")[2]
        session = user.resources.get(resource) if user is not None and resource else None
        available = [] if user is None else user.available()
        outcome = decide(PRESENCE, stanza.type, bool(resource), session is not None, [other.priority for other in available])
        if outcome is Outcome.SESSION and session is not None:
            self._shard.output.deliver(session, f"presence {stanza.sender}", stanza, turn)
        elif outcome is Outcome.AVAILABLE:
            self._shard.output.deliver_all(available, f"presence {stanza.sender}", msgspec.structs.replace(stanza, to=""), turn)
        else:
            self._shard.tools.drop("presence-unavailable")
        return None

    def _probed(self, user: User | None, account: str, stanza: Envelope, turn: Turn) -> Result:
        """Answer a contact's probe with the presence of every available resource (RFC 6121 §4.3.2).

        Nobody asks a server about an account that is offline: its contacts learnt that when it went.
        """
        if user is None or user.roster is None:
            return None
        if not user.roster.state(stanza.sender.partition("/")[0]).seen:
            refusal = made("unsubscribed", account, stanza.sender.partition("/")[0], stanza.origin)
            self._shard.send(f"unsubscribed {account}", refusal, turn)
            return None
        for session in user.available():
            if session.presence is not None:
                answer = _again(session.presence, stanza, to=stanza.sender)
                self._shard.send(f"presence {session.jid}", answer, turn)
        return None

    # --- for subscriptions

    def announce(self, account: str, contact: str, origin: Origin, turn: Turn) -> None:
        """Send a contact the presence of each available resource (RFC 6121 §3.1.5)."""
        user = self._shard.users.get(account)
        for session in [] if user is None else user.available():
            if session.presence is not None:
                presence = msgspec.structs.replace(session.presence, origin=origin, to=contact, flags=0)
                self._shard.send(f"presence {session.jid}", presence, turn)

    def withdraw(self, account: str, contact: str, origin: Origin, turn: Turn) -> None:
        """Send a contact unavailable presence from each available resource (RFC 6121 §3.2.2)."""
        user = self._shard.users.get(account)
        for session in [] if user is None else user.available():
            self._shard.send(f"presence {session.jid}", made("unavailable", session.jid, contact, origin), turn)

    def _tell(self, user: User, stanza: Envelope, effect: str, turn: Turn) -> None:
        if user.roster is not None:
            self._route(user.roster.subscribers(), effect, stanza, turn)

    def _route(self, contacts: Iterable[str], effect: str, stanza: Envelope, turn: Turn) -> None:
        self._shard.output.route_all(
            [contact for contact in contacts if "@" in contact and self._shard.local(contact)], effect, stanza, turn
        )


def made(kind: str, sender: str, to: str, origin: Origin) -> Envelope:
    """A presence stanza that the server makes."""
    return Envelope(kind=PRESENCE, type=kind, id="", sender=sender, to=to, children=b"", names=(), origin=origin)


def _again(presence: Envelope, cause: Envelope, to: str = "") -> Envelope:
    """A presence sent before, sent again because of something new."""
    return msgspec.structs.replace(presence, origin=cause.origin, to=to, flags=0)


def _priority(stanza: Envelope) -> int:
    """RFC 6121 §4.7.2.3: -128 to 127, 0 if none is given."""
    if _PRIORITY not in stanza.names:
        return 0
    text = next(child for child in parse_children(stanza.children) if child.tag == _PRIORITY).text or ""
    try:
        priority = int(text.strip())
    except ValueError:
        priority = 1000
    if not -128 <= priority <= 127:
        raise BadRequest("a priority is a whole number from -128 to 127")
    return priority
