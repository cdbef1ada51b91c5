"""RFC 3921 §3: a session is asked for after binding; here binding made it, so the answer is yes.

COMPAT: clients of RFC 3921 (before 2011) ask without looking whether the offer says `optional`.
"""

from typing import Final

from aldis.core.xmpp.errors.stanza import ServiceUnavailable
from aldis.core.xmpp.feature import EVERYWHERE, Feature
from aldis.core.xmpp.namespaces import SESSION
from aldis.core.xmpp.stanza import Iq, IqType
from aldis.router.context import Context

feature: Final = Feature[Context]("session")


@feature.iq(IqType.SET, f"{{{SESSION}}}session", at=EVERYWHERE)
async def begin(context: Context, iq: Iq) -> None:
    """Let it begin; somebody else's account does not answer, or it would tell that it exists."""
    if iq.to.local is not None and context.session is None:
        raise ServiceUnavailable
