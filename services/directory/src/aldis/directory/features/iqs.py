"""IQs that the router hands over, because the directory announced their payload (RFC 6120 §8.2.3)."""

from collections.abc import Awaitable, Callable

from aldis.core.contracts.envelope import Envelope
from aldis.core.contracts.services import IqRequest, IqResult
from aldis.core.xmpp.element import parse_children, to_bytes
from aldis.core.xmpp.errors.stanza import BadRequest, JidMalformed, ServiceUnavailable
from aldis.core.xmpp.feature import At, Registry
from aldis.core.xmpp.jid import Jid
from aldis.core.xmpp.stanza import Iq, IqType
from aldis.directory.context import Context


def answering(registry: Registry[Context]) -> Callable[[Context, IqRequest], Awaitable[IqResult]]:
    """Answer with whichever feature claims the payload."""

    async def answer(ctx: Context, request: IqRequest) -> IqResult:
        iq = _read(request.stanza)
        where = At.SERVER if iq.to.is_domain else At.ACCOUNT
        handler = registry.iqs.get((where, iq.type, str(iq.payload.tag)))
        if handler is None:
            raise ServiceUnavailable  # RFC 6120 §8.4
        result = await handler(ctx, iq)
        if result is None:
            return IqResult()
        return IqResult(payload=result if isinstance(result, bytes) else to_bytes(result))

    return answer


def _read(stanza: Envelope) -> Iq:
    try:
        sender = Jid.parse(stanza.sender)
        to = Jid.parse(stanza.to).bare if stanza.to else sender.bare
    except JidMalformed:
        raise BadRequest("the IQ is from or to nobody") from None
    if stanza.type not in (IqType.GET, IqType.SET):
        raise BadRequest("an IQ asks by get or set")
    children = parse_children(stanza.children)
    if len(children) != 1:  # RFC 6120 §8.2.3
        raise BadRequest("an IQ has one payload")
    return Iq(IqType(stanza.type), stanza.id, sender, to, children[0], stanza.lang)
