"""RFC 6120 §8.2.3 and RFC 6121 §8.5: IQs between clients, and to the server or an account."""

from collections.abc import Awaitable

from lxml import etree

from aldis.core.bus.port import BusError
from aldis.core.contracts.envelope import Envelope, Flag, Kind
from aldis.core.contracts.services import IqRequest, IqResult
from aldis.core.shards.mailbox import Result
from aldis.core.shards.turn import Turn
from aldis.core.xmpp.element import parse_children, to_bytes
from aldis.core.xmpp.errors.stanza import (
    BadRequest,
    ErrorType,
    FeatureNotImplemented,
    InternalServerError,
    PolicyViolation,
    RemoteServerNotFound,
    ServiceUnavailable,
    StanzaError,
)
from aldis.core.xmpp.feature import At, Registry
from aldis.core.xmpp.jid import Jid
from aldis.core.xmpp.stanza import Iq, IqType
from aldis.router.context import Context, Shard, UserSession, bounced
from aldis.router.domain.delivery import Outcome, decide

IQ = int(Kind.IQ)
SEALED = int(Flag.SEALED)
ASKED = frozenset({"get", "set"})
TYPES = frozenset({"get", "set", "result", "error"})
PATIENCE = 4.0
"""Seconds that another service has for an answer: less than a batch may stay unacknowledged."""


class Iqs:
    """IQs from and to the users of one shard."""

    def __init__(self, shard: Shard, registry: Registry[Context]) -> None:
        self._shard = shard
        self._registry = registry

    def sent(self, session: UserSession, stanza: Envelope, turn: Turn) -> Result:
        """Handle a user's IQ, or send it on."""
        if stanza.type not in TYPES or not stanza.id or (stanza.type in ASKED and len(stanza.names) != 1):
            raise BadRequest("an IQ has an id, a type and, if it asks something, exactly one payload")  # RFC 6120 §8.2.3
        account, _, resource = stanza.to.partition("/")
        at, domain = account.rpartition("@")[1:]
        if domain not in self._shard.tools.domains:
            raise RemoteServerNotFound("the domain is not served here, and this server does not federate")
        if at and (resource or account != session.account):
            if stanza.flags & SEALED:
                raise BadRequest("what is sealed is for the directory")
            self._shard.output.route(account, "iq", stanza, turn)
            return None
        if stanza.type not in ASKED:
            return None  # the answer to a roster push or the like
        if resource:
            raise ServiceUnavailable
        return self._answer(At.ACCOUNT if at else At.SERVER, stanza, turn, session)

    def received(self, account: str, stanza: Envelope, turn: Turn) -> Result:
        """Deliver an IQ to a session, or handle it on behalf of the account."""
        user = self._shard.users.get(account)
        resource = stanza.to.partition("/")[2]
        session = user.resources.get(resource) if user is not None and resource else None
        outcome = decide(IQ, stanza.type, bool(resource), session is not None, ())
        if outcome is Outcome.SESSION and session is not None:
            if self._between_clients(stanza) and not self._shard.tools.policy.authorize(stanza.label, stanza.sender, account):
                raise PolicyViolation("security policy does not allow this request to this recipient")
            self._shard.output.deliver(session, stanza.type, stanza, turn)
            return None
        if outcome is Outcome.ACCOUNT and stanza.type in ASKED:
            return self._answer(At.ACCOUNT, stanza, turn, None)
        if stanza.type in ASKED:
            raise ServiceUnavailable
        self._shard.tools.drop("iq-answer")
        return None

    @staticmethod
    def _between_clients(stanza: Envelope) -> bool:
        """Is the stanza subject to policy? Errors are exempt (XEP-0258 §5), and what the server itself answers is its own."""
        return stanza.type != "error" and "/" in stanza.sender

    def unsent(self, stanza: Envelope, turn: Turn) -> None:
        """An IQ that was on its way to a session that is gone (RFC 6121 §8.5.3.2.3)."""
        if stanza.type in ASKED:
            self._shard.refuse(stanza, ServiceUnavailable(), turn, holder="")

    def _answer(self, at: At, stanza: Envelope, turn: Turn, session: UserSession | None) -> Awaitable[None]:
        handler = self._registry.iqs.get((at, IqType(stanza.type), stanza.names[0]))
        if handler is None:
            queue = self._shard.tools.offers.handler(stanza.names[0])
            if queue is None or (at is At.ACCOUNT and session is None):
                if at is At.ACCOUNT and session is None:
                    raise ServiceUnavailable  # RFC 6121 §8.5.1: no more than for an account that does not exist
                raise self._unknown(at, stanza)
            return self._ask(queue, stanza, turn, _holder(session))
        return self._handle(Context(self._shard, session, stanza, turn), at)

    def _unknown(self, at: At, stanza: Envelope) -> StanzaError:
        """Tell a payload that is not known from one that does not go with this type or address."""
        known = any(key[2] == stanza.names[0] for key in self._registry.iqs)
        return FeatureNotImplemented() if known and at is At.SERVER else ServiceUnavailable()

    async def _handle(self, context: Context, at: At) -> None:
        stanza = context.stanza
        iq = _iq(stanza)
        answer = await self._registry.iqs[at, iq.type, stanza.names[0]](context, iq)
        if not context.answered:
            payload = b"" if answer is None else to_bytes(answer) if isinstance(answer, etree._Element) else answer  # noqa: SLF001
            self._shard.answer(stanza, payload, context.turn, holder=_holder(context.session))

    async def _ask(self, queue: str, stanza: Envelope, turn: Turn, holder: str) -> None:
        """Have another service answer."""
        try:
            answer = await self._shard.tools.bus.request(queue, IqRequest(stanza=stanza), deadline=PATIENCE)
        except BusError:
            self._shard.refuse(stanza, unavailable(), turn, holder=holder)
            return
        if isinstance(answer, IqResult) and answer.error:
            self._shard.tools.bounce("service")
            self._shard.send("error", bounced(stanza, answer.error), turn, holder=holder)
        elif isinstance(answer, IqResult):
            self._shard.answer(stanza, answer.payload, turn, holder=holder)


def _holder(session: UserSession | None) -> str:
    return "" if session is None else session.account


def unavailable() -> StanzaError:
    """What is needed can't be reached just now."""
    return InternalServerError("the server can't do this just now; try again later", type=ErrorType.WAIT)


def _iq(stanza: Envelope) -> Iq:
    sender = Jid.parse(stanza.sender)
    payload = parse_children(stanza.children)[0]
    return Iq(IqType(stanza.type), stanza.id, sender, Jid.parse(stanza.to) if stanza.to else sender.bare, payload, stanza.lang)
