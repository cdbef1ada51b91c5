"""XEP-0199: XMPP Ping, of the server and of one's own account."""

from aldis.core.xmpp.errors.stanza import ServiceUnavailable
from aldis.core.xmpp.feature import EVERYWHERE, Feature
from aldis.core.xmpp.stanza import Iq, IqType
from aldis.router.context import Context

NS = "urn:xmpp:ping"

feature = Feature[Context]("ping", xep=199, version="2.0.1", disco=(NS,), account_disco=(NS,))


@feature.iq(IqType.GET, f"{{{NS}}}ping", at=EVERYWHERE)
async def pong(context: Context, iq: Iq) -> None:
    """Answer with an empty result (§4.1, §4.2); somebody else's account does not answer, or it would tell that it exists."""
    if iq.to.local is not None and context.session is None:
        raise ServiceUnavailable
