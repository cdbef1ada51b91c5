"""RFC 6121 §2 to §4, and accounts that are deleted, disabled and made again: what their contacts see and what is left."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from aldis.core.testing.actor import Actor
from aldis.core.testing.cites import rfc, xep
from aldis.core.testing.cluster import Cluster
from aldis.core.testing.login import Plain
from aldis.core.testing.patterns import error
from aldis.launcher.accounts import Accounts
from aldis.launcher.failure import Failure
from tests.support.friends import befriend, has_roster, item, managed, push, quiet

Enter = Callable[..., Awaitable[Actor]]
ELSEWHERE, BESIDE = "romeo@montague.lit", "mercutio@montague.lit"
"""In another shard than Juliet's, and in hers."""
JULIET = "juliet@capulet.lit"
GONE = f"<presence type='unavailable' from='{JULIET}/balcony' to='{{any}}'/>"


@pytest.fixture(params=[ELSEWHERE, BESIDE], ids=["elsewhere", "beside"])
async def contact(enter: Enter, request: pytest.FixtureRequest) -> Actor:
    """Somebody of the other domain, on the other gateway."""
    account: str = request.param
    return await enter(account, "orchard", gateway=1)


@pytest.fixture
async def operator(cluster: Cluster) -> Accounts:
    """Who can do everything to accounts."""
    return Accounts(await cluster.connects())


async def is_made_anew(operator: Accounts, account: str, password: str) -> None:
    """Make the account again, as soon as everybody has forgotten the old one."""
    async with asyncio.timeout(10):
        while True:
            try:
                await operator.answer({"action": "add", "account": account, "password": password})
            except Failure:
                await asyncio.sleep(0.01)
            else:
                return


async def loses_a_friend(contact: Actor, *, seen: bool = True) -> None:
    """Hear all that the end of Juliet's account says, in whatever order her sessions and her roster tell it."""
    juliet = f"type='{{}}' from='{JULIET}' to='{contact.account}'"
    told = (
        f"<presence {juliet.format('unsubscribe')}/>",
        f"<presence {juliet.format('unsubscribed')}/>",
        push(contact, item(JULIET, "to")),
        push(contact, item(JULIET)),
    )
    await contact.receives_in_any_order(*told, *([GONE] if seen else []))


@xep("0077", "3.2")
@rfc("6121", "2.5.2", "4.5.1")
async def test_the_contacts_of_a_deleted_account_lose_it(
    cluster: Cluster, juliet: Actor, contact: Actor, enter: Enter, operator: Accounts
) -> None:
    window = await enter(JULIET, "window", gateway=1)
    await befriend(juliet, contact)
    await juliet.sends("<presence to='nurse@capulet.lit'/><presence type='subscribe' to='nurse@capulet.lit'/>")
    await juliet.receives(push(juliet, item("nurse@capulet.lit", ask=True)))
    await operator.answer({"action": "delete", "account": JULIET})
    await loses_a_friend(contact)
    await juliet.is_told("not-authorized")
    await window.is_told("not-authorized")
    await quiet(contact)
    await has_roster(contact, item(JULIET))
    nurse = await enter("nurse@capulet.lit", "chamber")
    await nurse.appears()  # and finds no request
    await contact.sends(f"<presence type='subscribe' to='{JULIET}'/>")
    await contact.receives(push(contact, item(JULIET, ask=True)))
    await contact.sends(f"<message to='{JULIET}' type='chat' id='m'/>")
    await contact.receives(f"<message type='error' from='{JULIET}' id='m'>{error('service-unavailable', 'cancel')}</message>")
    await quiet(contact, nurse)
    await is_made_anew(operator, JULIET, "An0th3r")
    again = cluster.actor(JULIET, "An0th3r", gateway=1)
    await again.logs_in("balcony")
    await again.appears()
    await has_roster(again)
    await quiet(again, contact)


@rfc("6121", "2.5.2")
async def test_a_deleted_account_need_not_be_there_to_be_missed(
    cluster: Cluster, juliet: Actor, contact: Actor, operator: Accounts
) -> None:
    await befriend(juliet, contact)
    await juliet.closes()
    await contact.receives(GONE)
    await operator.answer({"action": "delete", "account": JULIET})
    await loses_a_friend(contact, seen=False)
    await quiet(contact)
    await has_roster(contact, item(JULIET))


@rfc("6121", "4.5.1", "4.5.2")
async def test_a_disabled_account_is_gone_and_keeps_what_it_had(
    cluster: Cluster, juliet: Actor, contact: Actor, enter: Enter, operator: Accounts
) -> None:
    await befriend(juliet, contact)
    await operator.answer({"action": "disable", "account": JULIET})
    await juliet.is_told("not-authorized")
    await contact.receives(GONE)
    shut_out = cluster.actor(JULIET, "R0m30")
    await shut_out.connects()
    await shut_out.opens()
    await shut_out.is_refused("account-disabled", "PLAIN", Plain("juliet", "R0m30"))
    await contact.sends(f"<message to='{JULIET}' type='chat' id='m'/>")
    await contact.receives(f"<message type='error' from='{JULIET}' id='m'>{error('service-unavailable', 'cancel')}</message>")
    await quiet(contact)
    await operator.answer({"action": "enable", "account": JULIET})
    juliet = await enter(JULIET, "balcony", gateway=1)
    await has_roster(juliet, item(contact, "both"))
    await juliet.appears()
    await juliet.receives(f"<presence from='{contact.jid}'/>")
    await contact.receives(f"<presence from='{juliet.jid}'/>")
    await quiet(juliet, contact)


@rfc("6121", "3.1.3")
async def test_a_request_to_a_disabled_account_waits(cluster: Cluster, romeo: Actor, enter: Enter, operator: Accounts) -> None:
    await operator.answer({"action": "disable", "account": JULIET})
    await has_roster(romeo)
    await romeo.sends(f"<presence type='subscribe' to='{JULIET}'/>")
    await romeo.receives(push(romeo, item(JULIET, ask=True)))
    await romeo.receives_nothing()
    await operator.answer({"action": "enable", "account": JULIET})
    juliet = await enter(JULIET, "balcony")
    await juliet.sends("<presence/>")
    await juliet.receives(f"<presence from='{juliet.jid}'/>")
    await juliet.receives(managed("subscribe", romeo, juliet))
    await quiet(juliet, romeo)
