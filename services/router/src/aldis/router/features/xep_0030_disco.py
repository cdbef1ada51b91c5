"""XEP-0030: Service Discovery, of the domains and of accounts."""

from lxml import etree

from aldis.core.xmpp import disco
from aldis.core.xmpp.errors.stanza import ItemNotFound, ServiceUnavailable
from aldis.core.xmpp.feature import EVERYWHERE, Feature, Identity
from aldis.core.xmpp.namespaces import DISCO_INFO, DISCO_ITEMS
from aldis.core.xmpp.stanza import Iq, IqType
from aldis.router.context import Context

feature = Feature[Context]("disco", xep=30, version="2.5.0", disco=(DISCO_INFO, DISCO_ITEMS), account_disco=(DISCO_INFO, DISCO_ITEMS))
SERVER = Identity("server", "im", "Aldis")
ACCOUNT = Identity("account", "registered")


async def _may_see(context: Context, iq: Iq) -> None:
    """Tell an account's features to its owner and to who sees its presence (XEP-0030 §8), and nobody whether it exists."""
    if iq.to.local is None or iq.from_owner:
        return
    roster = await context.shard.roster(str(iq.to))
    if not roster.state(str(iq.sender.bare)).seen:
        raise ServiceUnavailable


@feature.iq(IqType.GET, f"{{{DISCO_INFO}}}query", at=EVERYWHERE)
async def info(context: Context, iq: Iq) -> etree._Element:
    """Identities and features (§3)."""
    await _may_see(context, iq)
    if iq.payload.get("node"):
        raise ItemNotFound("there is no such node")  # XEP-0030 §7
    if iq.to.local is not None:
        return disco.info([ACCOUNT], context.shard.account_features)
    return disco.info([SERVER], context.shard.features | context.shard.tools.offers.features())


@feature.iq(IqType.GET, f"{{{DISCO_ITEMS}}}query", at=EVERYWHERE)
async def items(context: Context, iq: Iq) -> etree._Element:
    """What is there beside: for an account the available resources, to who may see them (§4, §8)."""
    await _may_see(context, iq)
    if iq.payload.get("node"):
        return disco.items([])
    user = context.shard.users.get(str(iq.to)) if iq.to.local is not None else None
    return disco.items([disco.Item(session.jid) for session in user.available()] if user is not None else [])
