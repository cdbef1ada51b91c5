"""RFC 6121 §3: presence subscriptions, seen from both sides; the contact lives in Juliet's shard or in another."""

from collections.abc import Awaitable, Callable

import pytest

from aldis.core.testing.actor import Actor
from aldis.core.testing.cites import rfc
from aldis.core.testing.patterns import error
from tests.support.cases import case
from tests.support.friends import befriend, follows, has_roster, item, managed, push, quiet, roster

Enter = Callable[..., Awaitable[Actor]]
ELSEWHERE, BESIDE = "romeo@montague.lit", "mercutio@montague.lit"
"""In another shard than Juliet's, and in hers."""


@pytest.fixture(params=[ELSEWHERE, BESIDE], ids=["elsewhere", "beside"])
async def contact(enter: Enter, request: pytest.FixtureRequest) -> Actor:
    """Somebody of the other domain, on the other gateway."""
    account: str = request.param
    return await enter(account, "orchard", gateway=1)


async def manages(actor: Actor, kind: str, to: Actor | str, content: str = "") -> None:
    account = to if isinstance(to, str) else to.account
    await actor.sends(f"<presence type='{kind}' to='{account}'>{content}</presence>")


# ── request, approval, denial ──


@rfc("6121", "3.1.1", "3.1.2", "3.1.3", "3.1.4", "3.1.5", "3.1.6")
async def test_a_request_is_made_and_approved(juliet: Actor, contact: Actor) -> None:
    await juliet.appears()
    await contact.appears("<show>dnd</show><priority>-1</priority>")
    greeting = "<status>Deny thy father</status><nick xmlns='http://jabber.org/protocol/nick'>Juliet</nick>"
    await juliet.sends(f"<presence type='subscribe' id='s' to='{contact.account}'>{greeting}</presence>")
    await juliet.receives(push(juliet, item(contact, ask=True)))
    await contact.receives(f"<presence type='subscribe' id='s' from='{juliet.account}' to='{contact.account}'>{greeting}</presence>")
    await quiet(juliet, contact)
    await contact.sends(f"<presence type='subscribed' id='t' to='{juliet.account}'/>")
    await contact.receives(push(contact, item(juliet, "from")))
    await juliet.receives(f"<presence type='subscribed' id='t' from='{contact.account}' to='{juliet.account}'/>")
    await juliet.receives(push(juliet, item(contact, "to")))
    await juliet.receives(f"<presence from='{contact.jid}'><show>dnd</show><priority>-1</priority></presence>")
    await quiet(juliet, contact)
    await has_roster(juliet, item(contact, "to"))
    await has_roster(contact, item(juliet, "from"))


@rfc("6121", "3.1.4", "3.1.6", "3.2.3")
async def test_a_request_is_made_and_denied(juliet: Actor, contact: Actor) -> None:
    await juliet.appears()
    await contact.appears()
    await manages(juliet, "subscribe", contact)
    await juliet.receives(push(juliet, item(contact, ask=True)))
    await contact.receives(managed("subscribe", juliet, contact))
    await manages(contact, "unsubscribed", juliet)
    await juliet.receives(managed("unsubscribed", contact, juliet))
    await juliet.receives(push(juliet, item(contact)))
    await quiet(contact, juliet)
    await has_roster(juliet, item(contact))
    await has_roster(contact)  # a request that is denied leaves nothing (§A.1)


@pytest.mark.simple
@rfc("6121", "3.1.2")
async def test_a_request_to_a_resource_is_one_to_its_account(juliet: Actor, contact: Actor) -> None:
    await juliet.appears()
    await contact.appears()
    await manages(juliet, "subscribe", contact.jid)
    await juliet.receives(push(juliet, item(contact, ask=True)))
    await contact.receives(managed("subscribe", juliet, contact))
    await manages(contact, "subscribed", juliet.jid)
    await contact.receives(push(contact, item(juliet, "from")))
    await juliet.receives(managed("subscribed", contact, juliet))
    await juliet.receives(push(juliet, item(contact, "to")))
    await juliet.receives(f"<presence from='{contact.jid}'/>")
    await quiet(juliet, contact)


@rfc("6121", "3.1.3", "4.2.2")
@pytest.mark.parametrize("account", [ELSEWHERE, BESIDE])
async def test_a_request_waits_for_the_contact_until_it_is_answered(juliet: Actor, enter: Enter, account: str) -> None:
    await juliet.appears()
    await juliet.sends(f"<presence type='subscribe' id='s' to='{account}'><status>1</status></presence>")
    await juliet.receives(push(juliet, item(account, ask=True)))
    await juliet.sends(f"<presence type='subscribe' id='again' to='{account}'><status>2</status></presence>")
    await juliet.receives_nothing()
    waiting = f"<presence type='subscribe' id='s' from='{juliet.account}' to='{account}'><status>1</status></presence>"
    for gateway, resource in ((0, "orchard"), (1, "street")):
        romeo = await enter(account, resource, gateway=gateway)
        await has_roster(romeo)  # a request is no item yet (§A.1)
        await romeo.receives_nothing()
        await romeo.sends("<presence/>")
        await romeo.receives(f"<presence from='{romeo.jid}'/>")
        await romeo.receives(waiting)
        await romeo.sends("<presence><show>away</show></presence>")  # an update asks for nothing
        await romeo.receives(f"<presence from='{romeo.jid}'><show>away</show></presence>")
        await romeo.receives_nothing()
        await romeo.closes()
    romeo = await enter(account, "tomb", gateway=1)
    await romeo.sends("<presence/>")
    await romeo.receives(f"<presence from='{romeo.jid}'/>")
    await romeo.receives(waiting)
    await manages(romeo, "subscribed", juliet)
    await juliet.receives(f"<presence type='subscribed' from='{account}' to='{juliet.account}'/>")
    await juliet.receives(push(juliet, item(account, "to")))
    await juliet.receives(f"<presence from='{romeo.jid}'/>")
    for kind in ("unavailable", ""):
        typed = f" type='{kind}'" if kind else ""
        await romeo.sends(f"<presence{typed}/>")
        await romeo.receives(f"<presence{typed} from='{romeo.jid}'/>")
        await juliet.receives(f"<presence{typed} from='{romeo.jid}'/>")
    await quiet(romeo, juliet)


@rfc("6121", "3.1.3", "3.1.4")
async def test_requests_of_several_wait_together(juliet: Actor, nurse: Actor, benvolio: Actor, enter: Enter) -> None:
    for asking in (juliet, nurse, benvolio):
        await asking.appears()
        await manages(asking, "subscribe", ELSEWHERE)
        await asking.receives(push(asking, item(ELSEWHERE, ask=True)))
        await asking.passes_barrier(alone=True)
    romeo = await enter(ELSEWHERE, "orchard", gateway=1)
    await romeo.sends("<presence/>")
    await romeo.receives(f"<presence from='{romeo.jid}'/>")
    await romeo.receives_in_any_order(*(managed("subscribe", asking, romeo) for asking in (juliet, nurse, benvolio)))
    await romeo.receives_nothing()
    await manages(romeo, "unsubscribed", nurse)
    await nurse.receives(managed("unsubscribed", romeo, nurse))
    await nurse.receives(push(nurse, item(romeo)))
    await romeo.sends("<presence type='unavailable'/><presence/>")
    await romeo.receives(f"<presence type='unavailable' from='{romeo.jid}'/>")
    await romeo.receives(f"<presence from='{romeo.jid}'/>")
    await romeo.receives_in_any_order(*(managed("subscribe", asking, romeo) for asking in (juliet, benvolio)))
    await quiet(romeo, nurse, juliet)


@pytest.mark.simple
@rfc("6121", "3.1.3")
async def test_a_request_withdrawn_in_time_is_never_seen(juliet: Actor, enter: Enter) -> None:
    await has_roster(juliet)
    await manages(juliet, "subscribe", ELSEWHERE)
    await juliet.receives(push(juliet, item(ELSEWHERE, ask=True)))
    await manages(juliet, "unsubscribe", ELSEWHERE)
    await juliet.receives(push(juliet, item(ELSEWHERE)))
    await juliet.receives_nothing()
    romeo = await enter(ELSEWHERE, "orchard", gateway=1)
    await romeo.appears()
    await quiet(romeo, juliet)


@rfc("6121", "3.1.3", "3.1.5")
async def test_who_asks_again_for_what_was_granted_is_answered_by_the_server(juliet: Actor, contact: Actor) -> None:
    await juliet.appears()
    await contact.appears("<show>chat</show>")
    await manages(juliet, "subscribe", contact)
    await juliet.receives(push(juliet, item(contact, ask=True)))
    await contact.receives(managed("subscribe", juliet, contact))
    await manages(juliet, "subscribe", contact)  # asked twice, delivered once
    await quiet(juliet, contact)
    await manages(contact, "subscribed", juliet)
    await contact.receives(push(contact, item(juliet, "from")))
    await juliet.receives(managed("subscribed", contact, juliet))
    await juliet.receives(push(juliet, item(contact, "to")))
    await juliet.receives(f"<presence from='{contact.jid}'><show>chat</show></presence>")
    await manages(juliet, "subscribe", contact)
    await juliet.receives(f"<presence from='{contact.jid}'><show>chat</show></presence>")
    await quiet(juliet, contact)
    await has_roster(juliet, item(contact, "to"))
    await has_roster(contact, item(juliet, "from"))


@rfc("6121", "3.1", "3.1.5")
async def test_both_ask_at_once(juliet: Actor, contact: Actor) -> None:
    await juliet.appears()
    await contact.appears()
    await manages(juliet, "subscribe", contact)
    await manages(contact, "subscribe", juliet)
    await juliet.receives_in_any_order(push(juliet, item(contact, ask=True)), managed("subscribe", contact, juliet))
    await contact.receives_in_any_order(push(contact, item(juliet, ask=True)), managed("subscribe", juliet, contact))
    await manages(juliet, "subscribed", contact)
    await manages(contact, "subscribed", juliet)
    for one, other in ((juliet, contact), (contact, juliet)):
        seen = [await one.hears() for _ in range(4)]
        assert {(element.tag.rpartition("}")[2], element.get("type", "")) for element in seen} == {
            ("iq", "set"),
            ("presence", "subscribed"),
            ("presence", ""),
        }
        await has_roster(one, item(other, "both"))
    await quiet(juliet, contact)


@rfc("6121", "3.1.3", "3.1.6", "2.1.6")
async def test_every_resource_learns_its_part(juliet: Actor, contact: Actor, enter: Enter) -> None:
    window = await enter("juliet@capulet.lit", "window", gateway=1)
    street = await enter(contact.account, "street")
    await juliet.appears()
    await has_roster(window)  # interested and not available
    await contact.appears()
    await street.sends("<presence/>")  # available and not interested
    await street.receives(f"<presence from='{street.jid}'/>")
    await street.receives(f"<presence from='{contact.jid}'/>")
    await contact.receives(f"<presence from='{street.jid}'/>")
    await manages(window, "subscribe", contact)
    for resource in (juliet, window):
        await resource.receives(push(juliet, item(contact, ask=True)))
    for resource in (contact, street):
        await resource.receives(managed("subscribe", juliet, contact))
    await manages(street, "subscribed", juliet)
    await contact.receives(push(contact, item(juliet, "from")))
    for resource in (juliet, window):
        await resource.receives(managed("subscribed", contact, juliet))
        await resource.receives(push(juliet, item(contact, "to")))
    await juliet.receives_in_any_order(f"<presence from='{contact.jid}'/>", f"<presence from='{street.jid}'/>")
    await quiet(juliet, window, contact, street)


# ── the end of a subscription ──


@rfc("6121", "3.2.1", "3.2.2", "3.2.3")
async def test_a_subscription_is_cancelled_by_who_is_seen(juliet: Actor, contact: Actor) -> None:
    await befriend(juliet, contact)
    await manages(contact, "unsubscribed", juliet)
    await contact.receives(push(contact, item(juliet, "to")))
    await juliet.receives(managed("unsubscribed", contact, juliet))
    await juliet.receives(push(juliet, item(contact, "from")))
    await juliet.receives(f"<presence type='unavailable' from='{contact.jid}'/>")
    await contact.sends("<presence><show>away</show></presence>")
    await contact.receives(f"<presence from='{contact.jid}'><show>away</show></presence>")
    await juliet.sends("<presence><show>xa</show></presence>")
    await juliet.receives(f"<presence from='{juliet.jid}'><show>xa</show></presence>")
    await contact.receives(f"<presence from='{juliet.jid}'><show>xa</show></presence>")
    await manages(contact, "unsubscribed", juliet)  # once more: nothing to cancel
    await quiet(juliet, contact)
    await has_roster(juliet, item(contact, "from"))
    await has_roster(contact, item(juliet, "to"))


@rfc("6121", "3.3.1", "3.3.2", "3.3.3")
async def test_a_subscription_is_given_up_by_who_sees(juliet: Actor, contact: Actor) -> None:
    await befriend(juliet, contact)
    await manages(juliet, "unsubscribe", contact)
    await juliet.receives(push(juliet, item(contact, "from")))
    await contact.receives(managed("unsubscribe", juliet, contact))
    await contact.receives(push(contact, item(juliet, "to")))
    await juliet.receives(f"<presence type='unavailable' from='{contact.jid}'/>")
    await contact.sends("<presence><show>away</show></presence>")
    await contact.receives(f"<presence from='{contact.jid}'><show>away</show></presence>")
    await manages(juliet, "unsubscribe", contact)  # once more: nothing to give up
    await quiet(juliet, contact)
    await follows(juliet, contact, ("from", "to"), ("both", "both"))  # and it may begin anew
    await quiet(juliet, contact)


@rfc("6121", "3.2.3", "3.3.3")
async def test_what_happens_while_one_is_away_is_in_the_roster_later(juliet: Actor, enter: Enter) -> None:
    romeo = await enter(ELSEWHERE, "orchard", gateway=1)
    await befriend(juliet, romeo)
    await romeo.closes()
    await juliet.receives(f"<presence type='unavailable' from='{romeo.jid}'/>")
    await manages(juliet, "unsubscribe", ELSEWHERE)
    await juliet.receives(push(juliet, item(ELSEWHERE, "from")))
    await manages(juliet, "unsubscribed", ELSEWHERE)
    await juliet.receives(push(juliet, item(ELSEWHERE)))
    await juliet.receives_nothing()
    romeo = await enter(ELSEWHERE, "orchard", gateway=1)
    await has_roster(romeo, item(juliet))
    await romeo.sends("<presence/>")
    await romeo.receives(f"<presence from='{romeo.jid}'/>")
    await quiet(romeo, juliet)


# ── pre-approval ──


@rfc("6121", "3.4.2", "3.4.3", "3.1.3")
async def test_who_was_approved_in_advance_is_not_kept_waiting(juliet: Actor, contact: Actor) -> None:
    await juliet.appears()
    await contact.appears()
    await manages(contact, "subscribed", juliet)
    await contact.receives(push(contact, item(juliet, approved=True)))
    await quiet(contact, juliet)
    await manages(juliet, "subscribe", contact)
    await juliet.receives(push(juliet, item(contact, ask=True)))
    await contact.receives(push(contact, item(juliet, "from")))
    await juliet.receives(managed("subscribed", contact, juliet))
    await juliet.receives(push(juliet, item(contact, "to")))
    await juliet.receives(f"<presence from='{contact.jid}'/>")
    await quiet(juliet, contact)


@pytest.mark.simple
@rfc("6121", "3.4.2", "3.2.2")
async def test_an_approval_in_advance_is_taken_back(juliet: Actor, contact: Actor) -> None:
    await juliet.appears()
    await contact.appears()
    await manages(contact, "subscribed", juliet)
    await contact.receives(push(contact, item(juliet, approved=True)))
    await manages(contact, "unsubscribed", juliet)
    await contact.receives(push(contact, item(juliet)))
    await quiet(contact, juliet)
    await follows(juliet, contact)
    await quiet(juliet, contact)


@rfc("6121", "3.4.2")
@pytest.mark.parametrize("account", [ELSEWHERE, BESIDE])
async def test_who_was_approved_in_advance_by_somebody_offline_sees_them_come(juliet: Actor, enter: Enter, account: str) -> None:
    romeo = await enter(account, "orchard", gateway=1)
    await has_roster(romeo)
    await manages(romeo, "subscribed", juliet)
    await romeo.receives(push(romeo, item(juliet, approved=True)))
    await romeo.closes()
    await juliet.appears()
    await manages(juliet, "subscribe", account)
    await juliet.receives(push(juliet, item(account, ask=True)))
    await juliet.receives(f"<presence type='subscribed' from='{account}' to='{juliet.account}'/>")
    await juliet.receives(push(juliet, item(account, "to")))
    romeo = await enter(account, "orchard", gateway=1)
    await romeo.appears()
    await juliet.receives(f"<presence from='{romeo.jid}'/>")
    await quiet(romeo, juliet)


# ── to whom it can't be ──


@pytest.mark.simple
@rfc("6121", "3.1.1", "3.1.2", "8.5.1")
async def test_what_asks_nobody_gets_no_answer(juliet: Actor) -> None:
    await has_roster(juliet)
    for kind in ("subscribe", "unsubscribe", "subscribed", "unsubscribed"):
        for to in ("", " to='juliet@capulet.lit'", f" to='{juliet.jid}'"):
            with case(kind, to):
                await juliet.sends(f"<presence type='{kind}' id='s'{to}/>")
                await juliet.receives(f"<presence type='error' id='s' from='{{any}}'>{error('bad-request', 'modify')}</presence>")
        await juliet.sends(f"<presence type='{kind}' id='s' to='paris@verona.lit'/>")
        refusal = error("remote-server-not-found", "cancel")
        await juliet.receives(f"<presence type='error' id='s' from='paris@verona.lit'>{refusal}</presence>")
    await has_roster(juliet)
    for nobody in ("nobody@montague.lit", "nobody@capulet.lit", "montague.lit"):
        await manages(juliet, "subscribe", nobody)
        await juliet.receives(push(juliet, item(nobody, ask=True)))
        await manages(juliet, "unsubscribe", nobody)
        await juliet.receives(push(juliet, item(nobody)))
    await juliet.receives_nothing()


@pytest.mark.simple
@rfc("6121", "3.1.6", "3.2.3", "3.3.3")
async def test_what_nobody_asked_for_changes_nothing(juliet: Actor, contact: Actor) -> None:
    await juliet.appears()
    await contact.appears()
    for kind in ("unsubscribed", "unsubscribe"):
        await manages(contact, kind, juliet)
    await quiet(contact, juliet)
    await has_roster(juliet)
    await manages(contact, "subscribed", juliet)  # stays with the contact, as an approval in advance
    await contact.receives(push(contact, item(juliet, approved=True)))
    await quiet(contact, juliet)
    await has_roster(juliet)


@pytest.mark.simple
@rfc("6121", "3.1.3")
@pytest.mark.settings(limits={"subscription_requests": 1})
async def test_no_more_requests_wait_than_may(juliet: Actor, nurse: Actor, romeo: Actor) -> None:
    await romeo.appears()
    await manages(juliet, "subscribe", romeo)
    await romeo.receives(managed("subscribe", juliet, romeo))
    await nurse.appears()
    await manages(nurse, "subscribe", romeo)
    await nurse.receives(push(nurse, item(romeo, ask=True)))
    await nurse.receives(f"<presence type='error' from='{romeo.account}'>{error('resource-constraint', 'wait')}</presence>")
    await quiet(nurse, romeo)


@pytest.mark.simple
@rfc("6121", "3.1.2", "2.3.1")
async def test_what_a_roster_said_of_a_contact_stays(juliet: Actor, contact: Actor) -> None:
    await juliet.appears()
    await contact.appears()
    kept = item(contact, name="Love", groups="<group>Friends</group>")
    await juliet.sends(f"<iq type='set' id='r'>{roster(kept)}</iq>")
    await juliet.receives(push(juliet, kept))
    await juliet.receives("<iq type='result' id='r' from='juliet@capulet.lit'/>")
    await manages(juliet, "subscribe", contact)
    await juliet.receives(push(juliet, item(contact, name="Love", ask=True, groups="<group>Friends</group>")))
    await contact.receives(managed("subscribe", juliet, contact))
    await juliet.sends(f"<iq type='set' id='r'>{roster(item(contact, name='My love'))}</iq>")
    await juliet.receives(push(juliet, item(contact, name="My love", ask=True)))
    await juliet.receives("<iq type='result' id='r' from='juliet@capulet.lit'/>")
    await quiet(juliet, contact)
