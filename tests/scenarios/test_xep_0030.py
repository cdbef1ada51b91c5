"""XEP-0030: Service Discovery, of domains and accounts."""

import pytest

from aldis.core.testing.actor import Actor
from aldis.core.testing.cites import xep
from aldis.core.testing.patterns import error
from tests.support.cases import case

INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"


async def features(actor: Actor, to: str) -> set[str | None]:
    """Ask for the features of an address."""
    await actor.sends(f"<iq type='get' id='d' to='{to}'><query xmlns='{INFO}'/></iq>")
    answer = await actor.receives(f"<iq type='result' id='d' from='{to}'><query xmlns='{INFO}'>{{any}}</query></iq>")
    return {feature.get("var") for feature in answer.iter(f"{{{INFO}}}feature")}


@pytest.mark.simple
@xep("0030", "3.1")
async def test_a_domain_says_what_it_is_and_what_it_does(juliet: Actor) -> None:
    for domain in ("capulet.lit", "montague.lit"):
        await juliet.sends(f"<iq type='get' id='d' to='{domain}'><query xmlns='{INFO}'/></iq>")
        await juliet.receives(
            f"<iq type='result' id='d' from='{domain}'><query xmlns='{INFO}'>..."
            "<identity category='server' type='im' name='Aldis'/></query></iq>"
        )
        assert {INFO, ITEMS, "urn:xmpp:ping", "jabber:iq:register"} <= await features(juliet, domain)


@pytest.mark.simple
@xep("0030", "4.1")
async def test_a_domain_has_no_items_yet(juliet: Actor) -> None:
    await juliet.sends(f"<iq type='get' id='d' to='capulet.lit'><query xmlns='{ITEMS}'/></iq>")
    await juliet.receives(f"<iq type='result' id='d' from='capulet.lit'><query xmlns='{ITEMS}'/></iq>")


@pytest.mark.simple
@xep("0030", "3.1")
async def test_an_account_tells_its_owner_what_it_does(juliet: Actor) -> None:
    await juliet.sends(f"<iq type='get' id='d' to='juliet@capulet.lit'><query xmlns='{INFO}'/></iq>")
    await juliet.receives(
        f"<iq type='result' id='d' from='juliet@capulet.lit'><query xmlns='{INFO}'>..."
        "<identity category='account' type='registered'/></query></iq>"
    )
    assert INFO in await features(juliet, "juliet@capulet.lit")


@pytest.mark.simple
@xep("0030", "8")
async def test_an_account_tells_strangers_no_more_than_one_that_does_not_exist(juliet: Actor, romeo: Actor) -> None:
    await romeo.appears()
    for account in ("romeo@montague.lit", "nobody@montague.lit", "benvolio@montague.lit"):
        for namespace in (INFO, ITEMS):
            with case(account, namespace):
                await juliet.sends(f"<iq type='get' id='d' to='{account}'><query xmlns='{namespace}'/></iq>")
                await juliet.receives(f"<iq type='error' id='d' from='{account}'>{error('service-unavailable', 'cancel')}</iq>")


@xep("0030", "4.1", "8")
async def test_an_account_tells_its_owner_which_resources_are_available(juliet: Actor) -> None:
    await juliet.appears()
    await juliet.sends(f"<iq type='get' id='d' to='juliet@capulet.lit'><query xmlns='{ITEMS}'/></iq>")
    await juliet.receives(
        f"<iq type='result' id='d' from='juliet@capulet.lit'><query xmlns='{ITEMS}'><item jid='{juliet.jid}'/></query></iq>"
    )


@pytest.mark.simple
@xep("0030", "7")
async def test_there_are_no_nodes(juliet: Actor) -> None:
    await juliet.sends(f"<iq type='get' id='d' to='capulet.lit'><query xmlns='{INFO}' node='urn:x'/></iq>")
    await juliet.receives(f"<iq type='error' id='d' from='capulet.lit'>{error('item-not-found', 'cancel')}</iq>")
    await juliet.sends(f"<iq type='get' id='d' to='capulet.lit'><query xmlns='{ITEMS}' node='urn:x'/></iq>")
    await juliet.receives("<iq id='d' from='capulet.lit' type='{any}'>{any}</iq>")


@pytest.mark.simple
@xep("0030", "3.1")
async def test_a_client_is_asked_itself(juliet: Actor, romeo: Actor) -> None:
    await juliet.sends(f"<iq type='get' id='d' to='{romeo.jid}'><query xmlns='{INFO}'/></iq>")
    await romeo.receives(f"<iq type='get' id='d' from='{juliet.jid}'><query xmlns='{INFO}'/></iq>")
