"""RFC 6121 §4: presence is shown, probed for, updated, sent to one, and withdrawn."""

from collections.abc import Awaitable, Callable

import pytest

from aldis.core.testing.actor import Actor
from aldis.core.testing.cites import rfc
from aldis.core.testing.patterns import error
from tests.support.cases import case
from tests.support.friends import befriend, follows, has_roster, item, managed, push, quiet

Enter = Callable[..., Awaitable[Actor]]
ELSEWHERE, BESIDE = "romeo@montague.lit", "mercutio@montague.lit"
"""In another shard than Juliet's, and in hers."""


@pytest.fixture(params=[ELSEWHERE, BESIDE], ids=["elsewhere", "beside"])
async def contact(enter: Enter, request: pytest.FixtureRequest) -> Actor:
    """Somebody of the other domain, on the other gateway."""
    account: str = request.param
    return await enter(account, "orchard", gateway=1)


def here(who: Actor, content: str = "") -> str:
    return f"<presence from='{who.jid}'>{content}</presence>"


def gone(who: Actor, content: str = "") -> str:
    return f"<presence type='unavailable' from='{who.jid}'>{content}</presence>"


# ── initial presence, probes ──


@rfc("6121", "4.2.1", "4.2.2", "4.2.3", "4.3.1", "4.3.2")
async def test_who_comes_is_seen_and_sees_who_is_there(juliet: Actor, contact: Actor, enter: Enter) -> None:
    await befriend(juliet, contact)
    tomb = await enter(contact.account, "tomb")
    content = "<show>away</show><status>In the tomb</status><priority>-7</priority><c xmlns='urn:x' v='&amp;'/>"
    await tomb.sends(f"<presence id='p' xml:lang='it'>{content}</presence>")
    told = f"<presence id='p' from='{tomb.jid}' xml:lang='it'>{content}</presence>"
    await tomb.receives(told)
    await tomb.receives_in_any_order(here(contact), here(juliet))
    await contact.receives(told)
    await juliet.receives(told)
    await quiet(juliet, contact, tomb)
    window = await enter("juliet@capulet.lit", "window", gateway=1)
    await window.sends("<presence/>")
    await window.receives(here(window))
    await window.receives_in_any_order(here(juliet), here(contact), told)
    for other in (juliet, contact, tomb):
        await other.receives(here(window))
    await quiet(juliet, window, contact, tomb)


@rfc("6121", "4.2.2", "4.3.2")
async def test_only_those_who_are_subscribed_see_and_only_what_they_may(juliet: Actor, contact: Actor, nurse: Actor, enter: Enter) -> None:
    await juliet.appears()
    await contact.appears()
    await nurse.appears()
    await follows(juliet, contact)  # and not the other way
    await juliet.sends("<presence type='unavailable'/><presence><status>back</status></presence>")
    await juliet.receives(gone(juliet))
    await juliet.receives(here(juliet, "<status>back</status>"))
    await juliet.receives(here(contact))
    await quiet(juliet, contact, nurse)
    await contact.sends("<presence type='unavailable'/><presence><status>back</status></presence>")
    await contact.receives(gone(contact))
    await contact.receives(here(contact, "<status>back</status>"))
    await juliet.receives(gone(contact))
    await juliet.receives(here(contact, "<status>back</status>"))
    await quiet(juliet, contact, nurse)


@rfc("6121", "4.3.1", "4.3.2")
async def test_who_is_not_there_does_not_answer(juliet: Actor, contact: Actor, enter: Enter) -> None:
    await befriend(juliet, contact)
    await contact.closes()
    await juliet.receives(gone(contact))
    back = await enter(contact.account, "back")  # bound, and not available
    await juliet.sends("<presence type='unavailable'/><presence/>")
    await juliet.receives(gone(juliet))
    await juliet.receives(here(juliet))
    await quiet(juliet, back)


@pytest.mark.simple
@rfc("6121", "4.3", "4.7.1")
async def test_a_probe_is_the_servers_to_send(juliet: Actor, contact: Actor, nurse: Actor) -> None:
    await befriend(juliet, contact)
    await nurse.appears()
    for to in ("", f" to='{contact.account}'", f" to='{contact.jid}'", " to='nurse@capulet.lit'", " to='nobody@capulet.lit'"):
        await juliet.sends(f"<presence type='probe'{to}/>")
    await quiet(juliet, contact, nurse)


# ── updates ──


@rfc("6121", "4.4.1", "4.4.2", "4.4.3")
async def test_updates_reach_everybody_in_order(juliet: Actor, contact: Actor, enter: Enter) -> None:
    window = await enter("juliet@capulet.lit", "window", gateway=1)
    await befriend(juliet, contact)
    await window.appears()
    await window.receives_in_any_order(here(juliet), here(contact))
    for other in (juliet, contact):
        await other.receives(here(window))
    for number in range(12):
        await juliet.sends(f"<presence><status>{number}</status><priority>{number - 6}</priority></presence>")
    for number in range(12):
        update = here(juliet, f"<status>{number}</status><priority>{number - 6}</priority>")
        for who in (juliet, window, contact):
            await who.receives(update)
    await quiet(juliet, window, contact)


@pytest.mark.simple
@rfc("6121", "4.7.2.3")
async def test_a_priority_is_a_small_number(juliet: Actor, contact: Actor) -> None:
    await befriend(juliet, contact)
    for priority in ("-128", "127", "0", " 5 "):
        with case(priority):
            await juliet.sends(f"<presence><priority>{priority}</priority></presence>")
            for who in (juliet, contact):
                await who.receives(here(juliet, f"<priority>{priority}</priority>"))
    for priority in ("-129", "128", "high", "", "1.0", "1_0", "\u0663", "9" * 5000, "<x/>"):
        with case(priority):
            await juliet.sends(f"<presence id='p'><priority>{priority}</priority></presence>")
            await juliet.receives(f"<presence type='error' id='p' from='juliet@capulet.lit'>{error('bad-request', 'modify')}</presence>")
    await quiet(juliet, contact)


@pytest.mark.simple
@rfc("6121", "4.7.1")
async def test_there_are_no_other_types(juliet: Actor, contact: Actor) -> None:
    await befriend(juliet, contact)
    for kind in ("available", "invisible", "x"):
        for to, sender in (("", "juliet@capulet.lit"), (f" to='{contact.account}'", contact.account)):
            await juliet.sends(f"<presence type='{kind}' id='p'{to}/>")
            await juliet.receives(f"<presence type='error' id='p' from='{sender}'>{error('bad-request', 'modify')}</presence>")
    await quiet(juliet, contact)


# ── unavailable ──


@rfc("6121", "4.5.1", "4.5.2", "4.5.3", "4.5.4")
async def test_who_goes_says_farewell_and_hears_nothing_more(juliet: Actor, contact: Actor, enter: Enter) -> None:
    window = await enter("juliet@capulet.lit", "window", gateway=1)
    await befriend(juliet, contact)
    await window.appears()
    await window.receives_in_any_order(here(juliet), here(contact))
    for other in (juliet, contact):
        await other.receives(here(window))
    await juliet.sends("<presence type='unavailable' xml:lang='en'><status>Parting is such sweet sorrow</status></presence>")
    farewell = f"<presence type='unavailable' from='{juliet.jid}' xml:lang='en'><status>Parting is such sweet sorrow</status></presence>"
    for who in (juliet, window, contact):
        await who.receives(farewell)
    await contact.sends("<presence><show>away</show></presence>")
    await contact.receives(here(contact, "<show>away</show>"))
    await window.receives(here(contact, "<show>away</show>"))
    await juliet.sends("<presence type='unavailable'/>")  # once more: nobody need hear it
    await quiet(contact, window)
    await juliet.passes_barrier(alone=False)
    await window.closes()
    await contact.receives(gone(window))
    await juliet.closes()
    await quiet(contact)


@rfc("6121", "4.5.1", "4.5.2")
async def test_the_end_of_a_stream_is_the_end_of_its_presence(juliet: Actor, contact: Actor, enter: Enter) -> None:
    await befriend(juliet, contact)
    await juliet.closes()
    await contact.receives(gone(juliet))
    juliet = await enter("juliet@capulet.lit", "balcony", gateway=1)
    await juliet.appears()
    await juliet.receives(here(contact))
    await contact.receives(here(juliet))
    await juliet.vanishes()
    await contact.receives(gone(juliet))
    juliet = await enter("juliet@capulet.lit", "balcony")
    await juliet.closes()  # never available
    await quiet(contact)


@rfc("6121", "4.5.2")
@rfc("6120", "7.7.2.2")
async def test_whose_resource_is_taken_is_gone_before_the_next_one_comes(juliet: Actor, contact: Actor, nurse: Actor, enter: Enter) -> None:
    await befriend(juliet, contact)
    await nurse.appears()
    await juliet.sends("<presence to='nurse@capulet.lit'/>")
    await nurse.receives(f"<presence from='{juliet.jid}' to='{{any}}'/>")
    again = await enter("juliet@capulet.lit", "balcony", gateway=1)
    await juliet.is_told("conflict")
    await contact.receives(gone(juliet))
    await nurse.receives(f"<presence type='unavailable' from='{juliet.jid}' to='{{any}}'/>")
    await quiet(again, contact, nurse)
    await again.appears("<show>chat</show>")
    await again.receives(here(contact))
    await contact.receives(here(again, "<show>chat</show>"))
    await contact.sends(f"<message to='{juliet.jid}' id='m'/>")
    await again.receives(f"<message from='{contact.jid}' id='m'/>")
    await quiet(again, contact)
    await again.closes()
    await contact.receives(gone(again))
    await quiet(contact, nurse)


# ── directed presence ──


@rfc("6121", "4.6.1", "4.6.2", "4.6.3", "4.6.4", "8.5.3.1")
@pytest.mark.parametrize("end", ["unavailable", "closes", "vanishes"])
async def test_presence_sent_to_somebody_is_taken_back_at_the_end(
    juliet: Actor, romeo: Actor, nurse: Actor, benvolio: Actor, enter: Enter, end: str
) -> None:
    mercutio = await enter(BESIDE, "street", gateway=1)
    grave = await enter(ELSEWHERE, "grave")
    await juliet.appears()
    for actor in (romeo, nurse, benvolio, mercutio, grave):
        await actor.sends("<presence/>")
    await romeo.receives_in_any_order(here(romeo), here(grave))
    await grave.receives_in_any_order(here(romeo), here(grave))
    for actor in (nurse, benvolio, mercutio):
        await actor.receives(here(actor))
    told = (romeo, grave, nurse, mercutio)
    for to in (romeo.jid, grave.jid, "nurse@capulet.lit", BESIDE, benvolio.jid):
        await juliet.sends(f"<presence to='{to}'><status>For you</status></presence>")
    for actor in (*told, benvolio):
        await actor.receives(f"<presence from='{juliet.jid}' to='{{any}}'><status>For you</status></presence>")
    await juliet.sends(f"<presence type='unavailable' to='{benvolio.jid}'/>")  # taken back already
    await benvolio.receives(f"<presence type='unavailable' from='{juliet.jid}'/>")
    await juliet.sends("<presence><show>away</show></presence>")  # an update is not for them
    await juliet.receives(here(juliet, "<show>away</show>"))
    await quiet(juliet, *told, benvolio)
    if end == "unavailable":
        await juliet.sends("<presence type='unavailable'><status>Farewell</status></presence>")
        await juliet.receives(gone(juliet, "<status>Farewell</status>"))
    elif end == "closes":
        await juliet.closes()
    else:
        await juliet.vanishes()
    said = "<status>Farewell</status>" if end == "unavailable" else ""
    for actor in told:
        await actor.receives(f"<presence type='unavailable' from='{juliet.jid}' to='{{any}}'>{said}</presence>")
    await quiet(*told, benvolio)


@rfc("6121", "4.6.3", "4.6.4")
async def test_who_shows_himself_to_one_only_is_taken_back_as_well(juliet: Actor, contact: Actor, enter: Enter) -> None:
    await befriend(juliet, contact)
    window = await enter("juliet@capulet.lit", "window", gateway=1)  # never available to all
    await window.sends(f"<presence to='{contact.account}'/>")
    await contact.receives(f"<presence from='{window.jid}' to='{{any}}'/>")
    await window.vanishes()
    await contact.receives(f"<presence type='unavailable' from='{window.jid}' to='{{any}}'/>")
    await quiet(contact, juliet)


@rfc("6121", "4.6.3")
async def test_who_sees_a_presence_twice_is_told_its_end_once(juliet: Actor, contact: Actor) -> None:
    await befriend(juliet, contact)
    for to in (contact.account, contact.jid):
        await juliet.sends(f"<presence to='{to}'><show>dnd</show></presence>")
        await contact.receives(f"<presence from='{juliet.jid}' to='{{any}}'><show>dnd</show></presence>")
    await juliet.sends("<presence type='unavailable'/>")
    await juliet.receives(gone(juliet))
    await contact.receives(gone(juliet))
    await quiet(juliet, contact)


@pytest.mark.simple
@rfc("6121", "4.6.2", "8.5.1", "8.5.2.1.2", "8.5.3.2.2")
async def test_presence_for_who_is_not_there_is_lost_in_silence(juliet: Actor, contact: Actor) -> None:
    await has_roster(juliet)
    for to in ("nobody@capulet.lit", "nobody@montague.lit/x", contact.account, f"{contact.account}/tomb", "capulet.lit"):
        await juliet.sends(f"<presence to='{to}'/><presence type='unavailable' to='{to}'/>")
    await quiet(juliet, contact)
    await juliet.sends("<presence to='paris@verona.lit' id='p'/>")
    refusal = error("remote-server-not-found", "cancel")
    await juliet.receives(f"<presence type='error' id='p' from='paris@verona.lit'>{refusal}</presence>")


@pytest.mark.simple
@rfc("6121", "4.6.2", "8.5.2.1.2")
async def test_presence_for_an_account_reaches_all_that_are_available(juliet: Actor, romeo: Actor, enter: Enter) -> None:
    tomb = await enter(ELSEWHERE, "tomb")
    await enter(ELSEWHERE, "deaf")
    await romeo.appears()
    await tomb.sends("<presence><priority>-1</priority></presence>")
    await tomb.receives(here(tomb, "<priority>-1</priority>"))
    await tomb.receives(here(romeo))
    await romeo.receives(here(tomb, "<priority>-1</priority>"))
    await juliet.sends(f"<presence to='{ELSEWHERE}' id='p'/>")
    for actor in (romeo, tomb):
        await actor.receives(f"<presence id='p' from='{juliet.jid}'/>")
    await quiet(juliet, romeo, tomb)


@pytest.mark.simple
@rfc("6121", "4.7.1")
async def test_an_error_about_presence_goes_to_whom_it_is_about(juliet: Actor, contact: Actor) -> None:
    await befriend(juliet, contact)
    refusal = error("gone", "cancel").replace("...", "")
    await contact.sends(f"<presence type='error' id='e' to='{juliet.jid}'>{refusal}</presence>")
    await juliet.receives(f"<presence type='error' id='e' from='{contact.jid}'>{refusal}</presence>")
    await contact.sends(f"<presence type='error'>{refusal}</presence>")  # to nobody
    await quiet(contact, juliet)
    await juliet.sends("<presence><show>xa</show></presence>")
    await contact.receives(here(juliet, "<show>xa</show>"))


# ── what subscriptions change ──


@rfc("6121", "3.2.2", "4.2.2", "4.3.2")
async def test_who_was_cast_out_sees_nothing_at_the_next_coming(juliet: Actor, contact: Actor, enter: Enter) -> None:
    await befriend(juliet, contact)
    await contact.sends(f"<presence type='unsubscribed' to='{juliet.account}'/>")
    await contact.receives(push(contact, item(juliet, "to")))
    await juliet.receives(managed("unsubscribed", contact, juliet))
    await juliet.receives(push(juliet, item(contact, "from")))
    await juliet.receives(gone(contact))
    await juliet.sends("<presence type='unavailable'/><presence/>")
    await juliet.receives(gone(juliet))
    await juliet.receives(here(juliet))
    await contact.receives(gone(juliet))
    await contact.receives(here(juliet))
    await contact.sends("<presence type='unavailable'/><presence/>")
    await contact.receives(gone(contact))
    await contact.receives(here(contact))
    await contact.receives(here(juliet))
    await quiet(contact, juliet)


@rfc("6121", "4.2.2", "4.5.2")
async def test_many_come_and_go_and_the_last_word_holds(juliet: Actor, contact: Actor, enter: Enter) -> None:
    await befriend(juliet, contact)
    for number in range(5):
        await juliet.sends(f"<presence type='unavailable'/><presence><status>{number}</status></presence>")
    for number in range(5):
        await contact.receives(gone(juliet))
        await contact.receives(here(juliet, f"<status>{number}</status>"))
    heard = [await juliet.hears() for _ in range(15)]
    answers = [element for element in heard if element.get("from") == contact.jid]
    assert [element.get("type") for element in answers] == [None] * 5
    own = [element for element in heard if element.get("from") == juliet.jid]
    assert [element.get("type") for element in own] == ["unavailable", None] * 5
    await quiet(juliet, contact)
