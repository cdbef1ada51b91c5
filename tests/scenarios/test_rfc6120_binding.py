"""RFC 6120 §7: resources are bound, made up, refused and taken over."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from aldis.core.testing.actor import Actor
from aldis.core.testing.cites import rfc
from aldis.core.testing.cluster import Cluster
from aldis.core.testing.patterns import error

BIND = "urn:ietf:params:xml:ns:xmpp-bind"
Enter = Callable[..., Awaitable[Actor]]


async def bindable(cluster: Cluster) -> Actor:
    """Bring a client to where it may bind."""
    actor = cluster.actor("juliet@capulet.lit", "R0m30")
    await actor.connects()
    await actor.opens()
    await actor.authenticates()
    await actor.opens()
    return actor


def request(resource: str = "", *, type: str = "set", id: str = "b") -> str:  # noqa: A002  the attributes' own names
    named = f"<resource>{resource}</resource>" if resource else ""
    identified = f" id='{id}'" if id else ""
    return f"<iq type='{type}'{identified}><bind xmlns='{BIND}'>{named}</bind></iq>"


def given(resource: str) -> str:
    return f"<iq type='result' id='b'><bind xmlns='{BIND}'><jid>juliet@capulet.lit/{resource}</jid></bind></iq>"


@rfc("6120", "7.4", "7.6", "7.7.1")
async def test_a_client_gets_the_resource_that_it_asks_for(cluster: Cluster) -> None:
    juliet = await bindable(cluster)
    await juliet.sends(request("balcony"))
    await juliet.receives(given("balcony"))


@rfc("6120", "7.6.1")
async def test_the_server_makes_resources_that_nobody_can_guess(cluster: Cluster) -> None:
    made = set()
    for _ in range(3):
        juliet = await bindable(cluster)
        made.add(await juliet.binds())
        assert len(juliet.jid.partition("/")[2]) >= 16
    assert len(made) == 3


@rfc("6120", "7.7.1")
@rfc("7622", "3.4")
async def test_a_resource_is_any_text_in_its_normal_form(server: Cluster) -> None:
    for resource, normal in (
        ("R\u00e9sum\u00e9 \u2665", "R\u00e9sum\u00e9 \u2665"),
        ("e\u0301", "\u00e9"),
        ("a&amp;b&lt;c", "a&amp;b&lt;c"),
        ("x" * 1023, "x" * 1023),
    ):
        juliet = await bindable(server)
        await juliet.sends(request(resource))
        await juliet.receives(given(normal))


@pytest.mark.simple
@rfc("6120", "7.7.2.1")
async def test_a_resource_that_is_none_is_refused_and_another_one_may_be_asked_for(cluster: Cluster) -> None:
    juliet = await bindable(cluster)
    for resource in ("x" * 1024, "a\tb", "\u0378"):
        await juliet.sends(request(resource))
        await juliet.receives(f"<iq type='error' id='b'>{error('bad-request', 'modify')}</iq>")
    await juliet.sends(request("balcony"))
    await juliet.receives(given("balcony"))


@rfc("6120", "7.6", "8.2.3")
async def test_a_request_that_is_none_is_refused(server: Cluster) -> None:
    juliet = await bindable(server)
    await juliet.sends(request(type="get"))
    await juliet.receives(f"<iq type='error' id='b'>{error('bad-request', 'modify')}</iq>")
    await juliet.sends(f"<iq type='set' id='b'><bind xmlns='{BIND}'><resource>a</resource><resource>b</resource></bind></iq>")
    await juliet.receives(f"<iq type='error' id='b'>{error('bad-request', 'modify')}</iq>")
    await juliet.sends(request("balcony"))
    await juliet.receives(given("balcony"))


@rfc("6120", "7.7.2.2", "4.9.3.3")
async def test_a_newer_client_takes_the_resource_of_an_older_one(cluster: Cluster, juliet: Actor, enter: Enter) -> None:
    again = await enter("juliet@capulet.lit", "balcony", gateway=1)
    assert again.jid == juliet.jid
    await juliet.is_told("conflict")
    await again.receives_nothing()


@rfc("6120", "7.7.2.2", "4.9.3.3")
async def test_of_many_who_want_one_resource_the_last_one_has_it(cluster: Cluster) -> None:
    if cluster.faults is not None:
        cluster.faults.repeat = 0.7  # a bind that is done again must not take the resource again
    actors = [cluster.actor("juliet@capulet.lit", "R0m30", gateway=number) for number in range(6)]
    for actor in actors:
        await actor.connects()
        await actor.opens()
        await actor.authenticates()
        await actor.opens()
    for actor in actors:
        await actor.sends(request("balcony"))
    ends = await asyncio.gather(*(is_replaced(actor) for actor in actors))
    assert sorted(ends) == [False] + [True] * 5


async def is_replaced(actor: Actor) -> bool:
    """Get the resource, and tell whether another one took it away until all was quiet."""
    await actor.receives(given("balcony"))
    try:
        async with asyncio.timeout(0.5):
            await actor.is_told("conflict")
    except TimeoutError:
        return False
    return True


@rfc("6120", "7.6.2.1")
@pytest.mark.settings(limits={"sessions_per_account": 2})
async def test_an_account_has_no_more_sessions_than_it_may(cluster: Cluster, enter: Enter) -> None:
    first, _ = await enter("juliet@capulet.lit", "one"), await enter("juliet@capulet.lit", "two", gateway=1)
    third = await bindable(cluster)
    await third.sends(request("three"))
    await third.receives(f"<iq type='error' id='b'>{error('resource-constraint', 'wait')}</iq>")
    await third.sends(request("one"))
    await third.receives(given("one"))
    await first.is_told("conflict")


@rfc("6120", "4.9.3.12", "7.1")
@pytest.mark.parametrize("stanza", ["<message to='nurse@capulet.lit'/>", "<presence/>", "<iq type='get' id='1'><x xmlns='urn:x'/></iq>"])
async def test_a_stanza_before_binding_ends_the_stream(server: Cluster, nurse_listening: Actor, stanza: str) -> None:
    juliet = await bindable(server)
    await juliet.sends(stanza)
    await juliet.is_told("not-authorized")
    await nurse_listening.receives_nothing()


@pytest.mark.simple
@rfc("6120", "7.1")
async def test_one_stream_has_one_resource(juliet: Actor) -> None:
    await juliet.sends(request("another"))
    await juliet.receives(f"<iq type='error' id='b' from='juliet@capulet.lit'>{error('service-unavailable', 'cancel')}</iq>")
    await juliet.receives_nothing()


@pytest.mark.simple
@rfc("3921", "3")
async def test_a_client_of_rfc_3921_gets_its_session(juliet: Actor) -> None:
    for to, sender in (("", "juliet@capulet.lit"), (" to='capulet.lit'", "capulet.lit")):
        await juliet.sends(f"<iq type='set' id='s'{to}><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>")
        await juliet.receives(f"<iq type='result' id='s' from='{sender}'/>")


@pytest.fixture
async def nurse_listening(server: Cluster) -> Actor:
    nurse = server.actor("nurse@capulet.lit", "AnonGoodNurse")
    await nurse.logs_in()
    await nurse.appears()
    return nurse
