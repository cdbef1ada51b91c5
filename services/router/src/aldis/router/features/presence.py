"""RFC 6121 §4: presence is broadcast, probed for, sent to one, and withdrawn."""

import re
from collections import OrderedDict
from collections.abc import Awaitable, Iterable

import msgspec

from aldis.core.contracts.base import Origin
from aldis.core.contracts.envelope import Envelope, Flag, Kind
from aldis.core.contracts.sessions import SessionEnd
from aldis.core.shards.mailbox import Result
from aldis.core.shards.turn import Turn
from aldis.core.storage import StorageUnavailable
from aldis.core.xmpp.element import parse_children
from aldis.core.xmpp.errors.stanza import BadRequest, RemoteServerNotFound, ResourceConstraint
from aldis.core.xmpp.namespaces import CLIENT
from aldis.router.context import Left, Note, Shard, User, UserSession
from aldis.router.domain.delivery import Outcome, decide
from aldis.router.domain.roster import Roster

PRESENCE = int(Kind.PRESENCE)
MOST_DIRECTED = 1_000
"""Addresses to which one session may send presence without taking it back."""
MOST_ORPHANED = 1_000
_PRIORITY = f"{{{CLIENT}}}priority"
_NUMBER = re.compile(r"[+-]?[0-9]{1,4}")
_DECODER = msgspec.msgpack.Decoder(Note)
_REQUEST = msgspec.msgpack.Decoder(Envelope)


class Presences:
    """Presence from and to the users of one shard."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._made = 0
        self._orphaned: OrderedDict[str, UserSession] = OrderedDict()
        """By session that has ended: what of its presence came again to this owner."""

    # --- from sessions

    def broadcast(self, session: UserSession, stanza: Envelope, turn: Turn) -> Result:
        """Available or unavailable presence without `to` (RFC 6121 §4.2, §4.4, §4.5)."""
        if session.replaced:
            self._shard.tools.drop("session-gone")
            return None
        if stanza.type == "unavailable":
            return self._shard.with_roster(session.account, lambda roster: self._leave(roster, session, stanza, turn))
        priority = _priority(stanza)
        return self._shard.with_roster(session.account, lambda roster: self._show(roster, session, stanza, priority, turn))

    def _show(self, roster: Roster, session: UserSession, stanza: Envelope, priority: int, turn: Turn) -> None:
        if session.replaced:
            return  # while the roster was read
        user = self._shard.user(session.account)
        # the first one may have been refused, or handled by an owner that died over it
        arrives = bool(stanza.flags & Flag.INITIAL) or session.presence is None or _arrives_again(session)
        session.presence = stanza = msgspec.structs.replace(stanza, to="", flags=stanza.flags | (Flag.INITIAL if arrives else 0))
        session.priority = priority
        session.announces = False
        self._shard.note(session, turn)
        self._route(roster.subscribers(), f"presence {session.jid}", stanza, turn)
        there = [other for other in user.available() if not _arrives_again(other)]
        self._shard.output.deliver_all(there, "presence", stanza, turn)  # itself, too (RFC 6121 §4.2.2)
        if arrives:
            self._arrive(roster, user, session, stanza, turn)

    def _arrive(self, roster: Roster, user: User, session: UserSession, stanza: Envelope, turn: Turn) -> None:
        """What a session gets that has just become available: others' presence, and requests (RFC 6121 §4.3, §3.1.3)."""
        for other in user.available():
            if other is not session and other.presence is not None and not _told(session, other, other.presence):
                self._shard.output.deliver(session, f"presence {other.jid}", _again(other.presence, stanza), turn)
        probe = made("probe", session.jid, "", stanza.origin)
        self._route(roster.subscriptions(), "probe", probe, turn)
        for request in roster.requests():
            asked = msgspec.structs.replace(_REQUEST.decode(request), origin=stanza.origin)
            self._shard.output.deliver(session, f"subscribe {asked.sender}", asked, turn)

    def _leave(self, roster: Roster, session: UserSession, stanza: Envelope, turn: Turn) -> None:
        """Tell everybody who saw the session that it is not available any more (RFC 6121 §4.5.2).

        An earlier owner may have done so and noted it, and died before everybody was told: then it is done again.
        """
        left = session.left
        if left is None or left.n != stanza.origin.n:
            left = Left(stanza.origin.n, session.presence is not None, tuple(sorted(session.directed)))
        session.left = left
        session.presence = None
        session.priority = 0
        session.directed = set()
        self._tell(roster, session, left.directed, stanza, turn, shown=left.shown, itself=True)
        self._shard.note(session, turn)

    def _tell(
        self, roster: Roster, session: UserSession, directed: Iterable[str], stanza: Envelope, turn: Turn, *, shown: bool, itself: bool
    ) -> None:
        """Tell that a session is unavailable to who was told that it is available, each once."""
        stanza = msgspec.structs.replace(stanza, to="")
        account = session.account
        user = self._shard.users.get(account)
        if shown:
            self._route(roster.subscribers(), f"presence {session.jid}", stanza, turn)
            there = [] if user is None else user.available()
            self._shard.output.deliver_all([*there, session] if itself else there, "presence", stanza, turn)
        told = set(directed)
        for target in sorted(told):  # RFC 6121 §4.6.3
            bare = target.partition("/")[0]
            if shown and (bare == account or roster.state(bare).seen):
                continue
            if target == bare or bare not in told:
                self._send_directed(msgspec.structs.replace(stanza, to=target), turn)

    def direct(self, session: UserSession, stanza: Envelope, turn: Turn) -> Result:
        """Presence to one address (RFC 6121 §4.6)."""
        account = stanza.to.partition("/")[0]
        if not self._shard.local(account):
            raise RemoteServerNotFound("the domain is not served here, and this server does not federate")
        if "@" not in account:
            self._shard.tools.drop("presence-domain")
            return None
        if stanza.type == "":
            if session.replaced:
                self._shard.tools.drop("session-gone")  # nobody would tell that it is unavailable
                return None
            if stanza.to not in session.directed:
                if len(session.directed) >= MOST_DIRECTED:
                    raise ResourceConstraint(f"a session sends presence to {MOST_DIRECTED} addresses at most")
                session.directed.add(stanza.to)
                self._shard.note(session, turn)
        elif stanza.to in session.directed:
            session.directed.discard(stanza.to)
            self._shard.note(session, turn)
        self._send_directed(stanza, turn)
        return None

    def other(self, session: UserSession, stanza: Envelope, turn: Turn) -> Result:
        """Errors go to whom they answer; a probe is the server's to send, and an unknown type is none (RFC 6121 §4.7.1)."""
        if stanza.type == "error" and stanza.to:
            self._send_directed(stanza, turn)
        elif stanza.type != "probe":
            raise BadRequest("there is no such type of presence")
        else:
            self._shard.tools.drop("probe")
        return None

    def _send_directed(self, stanza: Envelope, turn: Turn) -> None:
        account = stanza.to.partition("/")[0]
        if "@" in account:
            self._shard.output.route(account, f"directed {stanza.to}", stanza, turn)

    # --- sessions that end

    def gone(self, session: UserSession, origin: Origin, turn: Turn) -> Result:
        """A session has ended without saying so (RFC 6121 §4.5.1)."""
        shown, directed = session.presence is not None, session.directed
        session.presence = None
        session.priority = 0
        session.directed = set()
        if not shown and not directed:
            return None
        stanza = made("unavailable", session.jid, "", origin)
        told = self._shard.with_roster(
            session.account, lambda roster: self._tell(roster, session, directed, stanza, turn, shown=shown, itself=False)
        )
        return None if told is None else self._tried(session, told)

    async def _tried(self, session: UserSession, told: Awaitable[None]) -> None:
        """A database that is away must not keep a session from ending."""
        try:
            await told
        except StorageUnavailable as error:
            self._shard.tools.log.warning("presence.untold", jid=session.jid, reason=str(error))

    def gone_before(self, message: SessionEnd, later: UserSession | None, turn: Turn) -> Result:
        """A session has ended that only an earlier owner knew: its note tells who saw it. `later` has its resource now."""
        before = self._orphaned.pop(message.origin.session, None)
        if not message.note and before is None:
            return None
        note = _DECODER.decode(message.note) if message.note else Note()
        session = UserSession(message.origin.session, message.generation, message.gateway, message.jid, "")
        session.presence = note.presence
        session.directed = set(note.directed)
        if before is not None:
            session.presence = before.presence or session.presence
            session.directed |= before.directed
        session.replaced = True
        if note.over is not None and (later is None or note.over != later.bound_by):
            return None  # told by the owner that ended it; else that owner's work was done again, by who did not know the session
        if later is not None and later.presence is not None:
            return None  # its contacts have seen the next one of its name already
        return self.gone(session, note.over or message.origin, turn)

    def orphaned(self, stanza: Envelope) -> None:
        """Remember whom the presence of a session that has ended may have been shown to, by an owner that died over it."""
        session = self._orphaned.get(stanza.origin.session)
        if session is None:
            session = self._orphaned[stanza.origin.session] = UserSession(stanza.origin.session, 0, "", stanza.sender, "")
            if len(self._orphaned) > MOST_ORPHANED:
                self._orphaned.popitem(last=False)
        if stanza.type == "" and not stanza.to:
            session.presence = stanza
        elif stanza.type == "" and len(session.directed) < MOST_DIRECTED:
            session.directed.add(stanza.to)
        elif stanza.type == "unavailable":
            session.directed.discard(stanza.to)

    def own_origin(self) -> Origin:
        """An origin for what no stanza caused."""
        self._made += 1
        return Origin(f"shard {self._shard.output.shard} {self._shard.output.epoch}", self._made)

    def restore(self, session: UserSession) -> None:
        """Take in what an earlier owner noted."""
        if session.note:
            note = _DECODER.decode(session.note)
            session.presence = note.presence
            session.announces = note.presence is not None and session.last is not None and note.presence.origin.n > session.last
            session.priority = 0 if note.presence is None else _priority(note.presence)
            session.interested = note.interested
            session.directed = set(note.directed)
            session.left = note.left
            session.over = note.over
            session.replaced = note.over is not None

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
        if user is None:
            return None
        return self._shard.with_roster(account, lambda roster: self._answer_probe(roster, user, stanza, turn))

    def _answer_probe(self, roster: Roster, user: User, stanza: Envelope, turn: Turn) -> None:
        contact = stanza.sender.partition("/")[0]
        if not roster.state(contact).seen:
            self._shard.send(f"unsubscribed {user.account}", made("unsubscribed", user.account, contact, stanza.origin), turn)
            return
        for session in user.available():
            if session.presence is not None:
                answer = _again(session.presence, stanza, to=stanza.sender)
                self._shard.send(f"presence {session.jid}", answer, turn)

    def _route(self, contacts: Iterable[str], effect: str, stanza: Envelope, turn: Turn) -> None:
        self._shard.output.route_all(
            [contact for contact in contacts if "@" in contact and self._shard.local(contact)], effect, stanza, turn
        )


def _told(session: UserSession, other: UserSession, presence: Envelope) -> bool:
    """Has one session been told of the other's presence by an earlier owner, or will it be when that comes again?"""
    origin = presence.origin
    return other.announces or (session.seen is not None and (origin.session, origin.n, "presence") in session.seen)


def _arrives_again(session: UserSession) -> bool:
    """Will it be told of the others when its own presence comes again?"""
    return session.announces and session.presence is not None and bool(session.presence.flags & Flag.INITIAL)


def made(kind: str, sender: str, to: str, origin: Origin) -> Envelope:
    """A presence stanza that the server makes."""
    return Envelope(kind=PRESENCE, type=kind, id="", sender=sender, to=to, children=b"", names=(), origin=origin)


def shown(presence: Envelope, to_contact: Envelope) -> Envelope:
    """A session's presence, for a contact who may see it from now on (RFC 6121 §3.1.5)."""
    return _again(presence, to_contact, to=to_contact.to)


def hidden(session: str, to_contact: Envelope) -> Envelope:
    """The end of a session's presence, for a contact who may see it no longer (RFC 6121 §3.2.2)."""
    return made("unavailable", session, to_contact.to, to_contact.origin)


def _again(presence: Envelope, cause: Envelope, to: str = "") -> Envelope:
    """A presence sent before, sent again because of something new."""
    return msgspec.structs.replace(presence, origin=cause.origin, to=to, flags=0)


def _priority(stanza: Envelope) -> int:
    """RFC 6121 §4.7.2.3: -128 to 127, 0 if none is given."""
    if _PRIORITY not in stanza.names:
        return 0
    text = (next(child for child in parse_children(stanza.children) if child.tag == _PRIORITY).text or "").strip()
    if _NUMBER.fullmatch(text) is None or not -128 <= int(text) <= 127:
        raise BadRequest("a priority is a whole number from -128 to 127")
    return int(text)
