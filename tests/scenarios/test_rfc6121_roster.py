"""RFC 6121 §2: the roster is fetched, changed, pushed and kept."""

from collections.abc import Awaitable, Callable

import pytest

from aldis.core.testing.actor import Actor
from aldis.core.testing.cites import rfc
from aldis.core.testing.patterns import error
from tests.support.cases import case
from tests.support.friends import befriend, has_roster, item, managed, push, quiet, roster

Enter = Callable[..., Awaitable[Actor]]


def put(content: str, id: str = "set", to: str = "") -> str:  # noqa: A002  the attribute's own name
    addressed = f" to='{to}'" if to else ""
    return f"<iq type='set' id='{id}'{addressed}><query xmlns='jabber:iq:roster'>{content}</query></iq>"


def done(owner: Actor, id: str = "set") -> str:  # noqa: A002  the attribute's own name
    return f"<iq type='result' id='{id}' from='{owner.account}'/>"


def refused(owner: Actor, condition: str, kind: str) -> str:
    return f"<iq type='error' id='set' from='{owner.account}'>{error(condition, kind)}</iq>"


# ── get, set, push ──


@pytest.mark.simple
@rfc("6121", "2.1.3", "2.1.4", "2.2")
async def test_a_roster_is_empty_at_first(juliet: Actor) -> None:
    await has_roster(juliet)
    await juliet.sends(f"<iq type='get' id='g' to='juliet@capulet.lit'>{roster()}</iq>")
    await juliet.receives(f"<iq type='result' id='g' from='juliet@capulet.lit'>{roster()}</iq>")


@rfc("6121", "2.1.6", "2.2", "2.3.1", "2.3.2", "2.4.1", "2.5.1", "2.5.2")
async def test_items_are_added_changed_and_removed_and_interested_resources_are_told(juliet: Actor, enter: Enter) -> None:
    window = await enter("juliet@capulet.lit", "window", gateway=1)
    deaf = await enter("juliet@capulet.lit", "deaf", gateway=1)
    await has_roster(juliet)
    await has_roster(window)  # interested, although never available
    await deaf.sends("<presence/>")
    await deaf.receives(f"<presence from='{deaf.jid}'/>")
    for written, kept in (
        ("<item jid='nurse@capulet.lit' name='Nurse'><group>Servants</group></item>", "<group>Servants</group>"),
        (
            "<item jid='NURSE@capulet.lit' name='Nurse'><group>Servants</group><group>Friends</group></item>",
            "<group>Servants</group><group>Friends</group>",
        ),
    ):
        await juliet.sends(put(written))
        told = push(juliet, item("nurse@capulet.lit", name="Nurse", groups=kept))
        await juliet.receives(told)
        await juliet.receives(done(juliet))
        await window.receives(told)
    await juliet.sends(put("<item jid='nurse@capulet.lit'/>"))
    await juliet.receives(push(juliet, item("nurse@capulet.lit")))
    await juliet.receives(done(juliet))
    await window.receives(push(juliet, item("nurse@capulet.lit")))
    await has_roster(window, item("nurse@capulet.lit"))
    await window.sends(put("<item jid='nurse@capulet.lit' subscription='remove'/>"))
    for resource in (juliet, window):
        await resource.receives(push(juliet, item("nurse@capulet.lit", "remove")))
    await window.receives(done(juliet))
    await has_roster(juliet)
    await quiet(juliet, window, deaf)


@pytest.mark.simple
@rfc("6121", "2.1.2.1", "2.1.2.5", "2.1.2.2", "2.1.2.4")
async def test_a_client_writes_names_and_groups_and_no_subscription(juliet: Actor) -> None:
    await has_roster(juliet)
    for attributes in (
        "",
        " subscription='both'",
        " subscription='from' ask='subscribe' approved='true'",
        " subscription='whatever'",
        " ask='subscribe'",
    ):
        with case(attributes):
            await juliet.sends(put(f"<item jid='romeo@montague.lit'{attributes}/>"))
            await juliet.receives(push(juliet, item("romeo@montague.lit")))
            await juliet.receives(done(juliet))
    await has_roster(juliet, item("romeo@montague.lit"))


@pytest.mark.simple
@rfc("6121", "2.1.2.4", "2.1.2.6")
async def test_names_and_groups_are_any_text(juliet: Actor, enter: Enter) -> None:
    name = "&quot;R&amp;J&quot; &lt;&apos;\u2665&#x1F339;&gt; &#9;&#10;"
    group = "Friends &amp; <![CDATA[<Foes>]]> \u9ed1"
    await juliet.sends(put(f"<item jid='romeo@m\u00f6ntague.lit' name='{name}'><group>{group}</group></item>"))
    await juliet.receives(done(juliet))
    written = item("romeo@m\u00f6ntague.lit", name=name, groups=f"<group>{group}</group>")
    await has_roster(juliet, written)
    await juliet.closes()
    again = await enter("juliet@capulet.lit", "balcony", gateway=1)
    await has_roster(again, written)


@pytest.mark.simple
@rfc("6121", "2.3.3", "2.1.5")
async def test_what_is_no_roster_set_is_refused_and_changes_nothing(juliet: Actor) -> None:
    await has_roster(juliet)
    for content, condition, kind in (
        ("", "bad-request", "modify"),
        ("<item jid='a@b.lit'/><item jid='c@b.lit'/>", "bad-request", "modify"),
        ("<item/>", "bad-request", "modify"),
        ("<item jid='a@b.lit'><group>x</group><group>x</group></item>", "bad-request", "modify"),
        ("<item jid='a@@b.lit'/>", "jid-malformed", "modify"),
        ("<item jid='a@b.lit/resource'/>", "jid-malformed", "modify"),
        ("<item jid='a@b.lit'><group/></item>", "not-acceptable", "modify"),
        (f"<item jid='a@b.lit'><group>{'x' * 1024}</group></item>", "not-acceptable", "modify"),
        (f"<item jid='a@b.lit' name='{'x' * 1024}'/>", "not-acceptable", "modify"),
        ("<item jid='juliet@capulet.lit'/>", "not-allowed", "cancel"),
        ("<item jid='romeo@montague.lit' subscription='remove'/>", "item-not-found", "cancel"),
    ):
        with case(content):
            await juliet.sends(put(content))
            await juliet.receives(refused(juliet, condition, kind))
    await has_roster(juliet)
    await quiet(juliet)


@pytest.mark.simple
@rfc("6121", "2.3.3")
@pytest.mark.settings(limits={"roster_items": 2, "roster_groups": 1})
async def test_a_roster_holds_no_more_than_it_may(juliet: Actor) -> None:
    for name in ("a", "b"):
        await juliet.sends(put(f"<item jid='{name}@montague.lit'/>"))
        await juliet.receives(done(juliet))
    await juliet.sends(put("<item jid='c@montague.lit'/>"))
    await juliet.receives(refused(juliet, "resource-constraint", "wait"))
    await juliet.sends("<presence type='subscribe' id='s' to='c@montague.lit'/>")
    await juliet.receives(f"<presence type='error' id='s' from='c@montague.lit'>{error('resource-constraint', 'wait')}</presence>")
    await juliet.sends(put("<item jid='a@montague.lit'><group>x</group><group>y</group></item>"))
    await juliet.receives(refused(juliet, "not-acceptable", "modify"))
    await juliet.sends(put("<item jid='a@montague.lit' name='A'><group>x</group></item>"))
    await juliet.receives(done(juliet))
    await has_roster(juliet, item("a@montague.lit", name="A", groups="<group>x</group>"), item("b@montague.lit"))


@pytest.mark.simple
@rfc("6121", "2.1.3", "2.1.5", "2.3.3")
async def test_nobody_reads_or_writes_the_roster_of_another(juliet: Actor, romeo: Actor) -> None:
    await has_roster(romeo)
    for to in ("romeo@montague.lit", "nobody@montague.lit"):
        await juliet.sends(f"<iq type='get' id='g' to='{to}'>{roster()}</iq>")
        await juliet.receives(f"<iq type='error' id='g' from='{to}'>{error('service-unavailable', 'cancel')}</iq>")
    await juliet.sends(put("<item jid='juliet@capulet.lit'/>", to="romeo@montague.lit"))
    await juliet.receives(f"<iq type='error' id='set' from='romeo@montague.lit'>{error('forbidden', 'auth')}</iq>")
    await has_roster(romeo)
    await quiet(juliet, romeo)


@pytest.mark.simple
@rfc("6121", "2.1.6")
async def test_what_clients_answer_to_pushes_is_ignored(juliet: Actor, romeo: Actor) -> None:
    await has_roster(juliet)
    await juliet.sends(put("<item jid='romeo@montague.lit'/>"))
    pushed = await juliet.receives(push(juliet, item(romeo)))
    await juliet.receives(done(juliet))
    refusal = error("service-unavailable", "cancel").replace("...", "")
    for to in ("", " to='juliet@capulet.lit'"):
        await juliet.sends(f"<iq type='result' id='{pushed.get('id')}'{to}/><iq type='error' id='{pushed.get('id')}'{to}>{refusal}</iq>")
    await juliet.sends(f"<iq type='result' id='never'>{roster()}</iq>")
    await romeo.sends(f"<iq type='result' id='{pushed.get('id')}' to='juliet@capulet.lit'/>")
    await quiet(romeo, juliet)


@pytest.mark.simple
@rfc("6121", "2.1.6")
async def test_every_push_has_an_id_of_its_own(juliet: Actor) -> None:
    await has_roster(juliet)
    ids = set()
    for number in range(8):
        await juliet.sends(put(f"<item jid='{number % 2}@montague.lit' name='{number}'/>"))
    for number in range(8):
        pushed = await juliet.receives(push(juliet, item(f"{number % 2}@montague.lit", name=str(number))))
        ids.add(pushed.get("id"))
        await juliet.receives(done(juliet))
    assert len(ids) == 8


# ── removal ends subscriptions ──


@rfc("6121", "2.5.2", "3.2.2", "3.3.2")
@pytest.mark.parametrize("contact", ["romeo@montague.lit", "mercutio@montague.lit"])
async def test_who_is_removed_is_told_and_sees_nothing_more(juliet: Actor, enter: Enter, contact: str) -> None:
    romeo = await enter(contact, "orchard", gateway=1)
    await befriend(juliet, romeo)
    await juliet.sends(put(f"<item jid='{contact}' subscription='remove'/>"))
    await juliet.receives(push(juliet, item(contact, "remove")))
    await juliet.receives(done(juliet))
    await romeo.receives(managed("unsubscribe", juliet, romeo))
    await romeo.receives(push(romeo, item(juliet, "to")))
    await romeo.receives(managed("unsubscribed", juliet, romeo))
    await romeo.receives(push(romeo, item(juliet)))
    await romeo.receives(f"<presence type='unavailable' from='{juliet.jid}'/>")
    await juliet.receives(f"<presence type='unavailable' from='{romeo.jid}'/>")
    await juliet.sends("<presence><show>away</show></presence>")
    await juliet.receives(f"<presence from='{juliet.jid}'><show>away</show></presence>")
    await romeo.sends("<presence type='unavailable'/>")
    await romeo.receives(f"<presence type='unavailable' from='{romeo.jid}'/>")
    await quiet(juliet, romeo)
    await has_roster(juliet)
    await has_roster(romeo, item(juliet))


@rfc("6121", "2.5.2", "3.1.3")
async def test_a_request_that_is_not_answered_goes_with_its_item(juliet: Actor, romeo: Actor) -> None:
    await juliet.appears()
    await romeo.appears()
    await juliet.sends("<presence type='subscribe' to='romeo@montague.lit'/>")
    await juliet.receives(push(juliet, item(romeo, ask=True)))
    await romeo.receives(managed("subscribe", juliet, romeo))
    await juliet.sends(put("<item jid='romeo@montague.lit' subscription='remove'/>"))
    await juliet.receives(push(juliet, item(romeo, "remove")))
    await juliet.receives(done(juliet))
    await romeo.receives(managed("unsubscribe", juliet, romeo))
    await romeo.sends("<presence type='subscribed' to='juliet@capulet.lit'/>")  # too late: a pre-approval (§3.4.2)
    await romeo.receives(push(romeo, item(juliet, approved=True)))
    await quiet(romeo, juliet)
    await has_roster(juliet)
