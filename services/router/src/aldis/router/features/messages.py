"""RFC 6121 §5 and §8: one-to-one messages. The hot path: between online users nothing waits and nothing is parsed."""

import msgspec

from aldis.core.contracts.envelope import Envelope, Flag, Kind
from aldis.core.shards.mailbox import Result
from aldis.core.shards.turn import Turn
from aldis.core.xmpp.errors.stanza import PolicyViolation, RemoteServerNotFound, ServiceUnavailable
from aldis.router.context import Shard, User, UserSession
from aldis.router.domain.delivery import Outcome, chosen, decide

MESSAGE = int(Kind.MESSAGE)


class Messages:
    """Messages from and to the users of one shard."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._domains = shard.tools.domains
        self._policy = shard.tools.policy
        self._route = shard.output.route
        self._deliver = shard.output.deliver
        self._users = shard.users

    def sent(self, stanza: Envelope, turn: Turn) -> None:
        """Send a user's message on to its recipient's account."""
        account = stanza.to.partition("/")[0]
        at, domain = account.rpartition("@")[1:]
        if domain not in self._domains:
            raise RemoteServerNotFound("the domain is not served here, and this server does not federate")
        if not at:
            raise ServiceUnavailable("a domain takes no messages")
        self._route(account, "message", stanza, turn)

    def received(self, account: str, stanza: Envelope, turn: Turn) -> None:
        """Deliver a message to its recipient (RFC 6121 §8.5), unless a session has ended to which an earlier owner did."""
        if (passed := self._shard.output.passed) and (account, stanza.origin.session, stanza.origin.n, _effect(stanza)) in passed:
            self._shard.tools.drop("repeat")
        else:
            self._received(account, stanza, turn)

    def _received(self, account: str, stanza: Envelope, turn: Turn) -> None:
        if stanza.type != "error" and not self._policy.authorize(stanza.label, stanza.sender, account):  # XEP-0258 §5: errors are exempt
            raise PolicyViolation("security policy does not allow this message to this recipient")
        user = self._users.get(account)
        effect = _effect(stanza)
        resource = stanza.to.partition("/")[2]
        if user is not None and resource:
            session = user.resources.get(resource)
            if session is not None:
                self._deliver(session, effect, stanza, turn)
                return
        available = [] if user is None else user.available()
        priorities = [session.priority for session in available]
        outcome = decide(MESSAGE, stanza.type, bool(resource), False, priorities)
        recipients = [available[index] for index in chosen(outcome, priorities)]
        if user is not None and _delivered_otherwise(user, recipients, stanza, effect):
            self._shard.tools.drop("repeat")
            return
        if outcome is Outcome.BOUNCE or outcome is Outcome.OFFLINE:  # offline storage is not there, so the sender is told
            raise ServiceUnavailable
        if outcome is Outcome.DROP:
            self._shard.tools.drop(f"message-{stanza.type or 'normal'}")
            return
        if len(recipients) > 1:
            stanza = msgspec.structs.replace(stanza, flags=stanza.flags | Flag.COPIED)
        self._shard.output.deliver_all(recipients, effect, stanza, turn)

    def unsent(self, account: str, stanza: Envelope, turn: Turn) -> None:
        """A message that was on its way to a session that is gone: to the user's other resources, or back.

        What went to several sessions at once is not sent to others: one of the rest has it, as long as there is any.
        """
        if not stanza.flags & Flag.COPIED:
            self._shard.output.mailboxes.post(account, self._again, account, stanza, turn)
        elif not any(other.priority >= 0 for other in self._available(account)):
            self._shard.refuse(stanza, ServiceUnavailable(), turn, holder="")

    def _again(self, account: str, stanza: Envelope, turn: Turn) -> Result:
        self._received(account, stanza, turn)
        return None

    def _available(self, account: str) -> list[UserSession]:
        user = self._users.get(account)
        return [] if user is None else user.available()


def _effect(stanza: Envelope) -> str:
    return "message" if stanza.type != "error" else "error"


def _delivered_otherwise(user: User, recipients: list[UserSession], stanza: Envelope, effect: str) -> bool:
    """Did an earlier owner deliver this to other sessions than it would go to now?

    Work that is done again finds the priorities that the sessions have by now, and not those of the first time.
    """
    key = (stanza.origin.session, stanza.origin.n, effect)
    had = [session for session in user.resources.values() if session.seen is not None and key in session.seen]
    return bool(had) and not any(session in recipients for session in had)
