"""RFC 6121 §5 and §8: one-to-one messages. The hot path: between online users nothing waits and nothing is parsed."""

from aldis.core.contracts.envelope import Envelope, Kind
from aldis.core.shards.turn import Turn
from aldis.core.xmpp.errors.stanza import PolicyViolation, RemoteServerNotFound, ServiceUnavailable
from aldis.router.context import Shard, UserSession
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
        """Deliver a message to its recipient (RFC 6121 §8.5)."""
        if stanza.type != "error" and not self._policy.authorize(stanza.label, stanza.sender, account):  # XEP-0258 §5: errors are exempt
            raise PolicyViolation("security policy does not allow this message to this recipient")
        user = self._users.get(account)
        resource = stanza.to.partition("/")[2]
        if user is not None and resource:
            session = user.resources.get(resource)
            if session is not None:
                self._deliver(session, "message", stanza, turn)
                return
        available = [] if user is None else user.available()
        priorities = [session.priority for session in available]
        outcome = decide(MESSAGE, stanza.type, bool(resource), False, priorities)
        if outcome is Outcome.BOUNCE or outcome is Outcome.OFFLINE:  # offline storage is not there, so the sender is told
            raise ServiceUnavailable
        if outcome is Outcome.DROP:
            self._shard.tools.drop(f"message-{stanza.type or 'normal'}")
            return
        self._shard.output.deliver_all([available[index] for index in chosen(outcome, priorities)], "message", stanza, turn)

    def unsent(self, account: str, stanza: Envelope, turn: Turn) -> None:
        """A message that was on its way to a session that is gone: to the user's other resources, or back."""
        if stanza.to.partition("/")[2]:
            self._route(account, "message", stanza, turn)
        elif not any(other.priority >= 0 for other in self._available(account)):
            self._shard.refuse(stanza, ServiceUnavailable(), turn)

    def _available(self, account: str) -> list[UserSession]:
        user = self._users.get(account)
        return [] if user is None else user.available()
