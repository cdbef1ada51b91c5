"""RFC 6121 §2: the roster is asked for, changed and pushed."""

from aldis.core.shards.effects import Effect
from aldis.core.xmpp.errors.stanza import Forbidden, ServiceUnavailable
from aldis.core.xmpp.feature import At, Feature
from aldis.core.xmpp.namespaces import ROSTER
from aldis.core.xmpp.stanza import Iq, IqType
from aldis.router.context import Context, Decision, result
from aldis.router.domain.roster import RosterSet, Step
from aldis.router.features.effects import How, owed, pushed, subscription_stanza

QUERY = f"{{{ROSTER}}}query"

feature = Feature[Context]("roster", disco=(ROSTER,), account_disco=(ROSTER,))


@feature.iq(IqType.GET, QUERY, at=(At.ACCOUNT,))
async def fetch(context: Context, iq: Iq) -> bytes:
    """Send the roster; from now on this resource gets pushes (RFC 6121 §2.1.3, §2.2)."""
    session = context.session
    if session is None:
        raise ServiceUnavailable if not iq.from_owner else Forbidden("a roster is its owner's alone")
    roster = await context.shard.roster(session.account)
    if not session.interested:
        session.interested = True
        context.shard.note(session, context.turn)
    return roster.to_xml()


@feature.iq(IqType.SET, QUERY, at=(At.ACCOUNT,))
async def change(context: Context, iq: Iq) -> None:
    """Add, change or remove an item, and push it to the user's interested resources (RFC 6121 §2.3 to §2.5)."""
    session = context.session
    if session is None:
        raise Forbidden("a roster is its owner's alone")  # RFC 6121 §2.1.5
    shard, account, stanza = context.shard, session.account, context.stanza
    wanted = RosterSet.from_xml(iq.payload, account, shard.tools.limits)
    roster = await shard.roster(account)
    key = f"push {wanted.jid}"
    push_id = shard.make_id(stanza.origin, key)

    def step() -> Step:
        return roster.remove(wanted.jid) if wanted.remove else roster.put(wanted, shard.tools.limits)

    def effects(step: Step) -> tuple[Effect, ...]:
        return (
            pushed(account, step, stanza.origin, key, push_id),
            Effect(How.SEND, account, "result", result(stanza, b"")),
            *(subscription_stanza(action.value, account, step.jid, stanza.origin) for action in step.farewell),
            *owed(account, step, stanza.origin),
        )

    await context.shard.changes.commit(Decision(account, roster, stanza.origin, step, effects), context.turn)
    context.answered = True
