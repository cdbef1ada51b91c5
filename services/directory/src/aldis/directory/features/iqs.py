"""IQs that the router hands over, because the directory announced their payload (RFC 6120 §8.2.3)."""

from collections.abc import Awaitable, Callable

from aldis.core.contracts.envelope import Envelope, Flag
from aldis.core.contracts.services import IqRequest, IqResult
from aldis.core.seal import SealError, context
from aldis.core.xmpp.element import parse_children, to_bytes
from aldis.core.xmpp.errors.stanza import BadRequest, JidMalformed, ResourceConstraint, ServiceUnavailable
from aldis.core.xmpp.feature import At, Registry
from aldis.core.xmpp.jid import Jid
from aldis.core.xmpp.stanza import Iq, IqType
from aldis.directory.context import Context


def answering(registry: Registry[Context]) -> Callable[[Context, IqRequest], Awaitable[IqResult]]:
    """Answer with whichever feature claims the payload."""

    async def answer(ctx: Context, request: IqRequest) -> IqResult:
        iq = _read(ctx, request.stanza)
        where = At.SERVER if iq.to.is_domain else At.ACCOUNT
        handler = registry.iqs.get((where, iq.type, str(iq.payload.tag)))
        if handler is None:
            raise ServiceUnavailable  # RFC 6120 §8.4
        result = await handler(ctx, iq)
        if result is None:
            return IqResult()
        return IqResult(payload=result if isinstance(result, bytes) else to_bytes(result))

    return answer


def _read(ctx: Context, stanza: Envelope) -> Iq:
    try:
        sender = Jid.parse(stanza.sender)
        to = Jid.parse(stanza.to).bare if stanza.to else sender.bare
    except JidMalformed:
        raise BadRequest("the IQ is from or to nobody") from None
    if stanza.type not in (IqType.GET, IqType.SET):
        raise BadRequest("an IQ asks by get or set")
    children = parse_children(_opened(ctx, stanza) if stanza.flags & Flag.SEALED else stanza.children)
    if len(children) != 1:  # RFC 6120 §8.2.3
        raise BadRequest("an IQ has one payload")
    return Iq(IqType(stanza.type), stanza.id, sender, to, children[0], stanza.lang)


def _opened(ctx: Context, stanza: Envelope) -> bytes:
    """The payload that the gateway sealed, because it may hold a password."""
    try:
        return ctx.key.open(stanza.children, context("iq", stanza.sender.partition("/")[0]))
    except SealError:  # the directory has another key since; the gateway asks for it each minute
        raise ResourceConstraint("this can't be done just now; try again in a minute") from None
