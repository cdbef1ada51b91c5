"""RFC 6121 §5 and §8: messages and IQs between users, to whom they go and what comes back."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from aldis.core.testing.actor import Actor
from aldis.core.testing.cites import rfc
from aldis.core.testing.cluster import Cluster
from aldis.core.testing.patterns import error
from tests.support.cases import case
from tests.support.friends import befriend, quiet

Enter = Callable[..., Awaitable[Actor]]
ELSEWHERE, BESIDE = "romeo@montague.lit", "mercutio@montague.lit"
"""In another shard than Juliet's, and in hers."""
UNAVAILABLE = error("service-unavailable", "cancel")
PASSWORDS = {ELSEWHERE: "J0l13t", BESIDE: "QueenMab"}
TYPES = ("", "normal", "chat", "headline", "groupchat", "strange")


@pytest.fixture(params=[ELSEWHERE, BESIDE], ids=["elsewhere", "beside"])
async def contact(enter: Enter, request: pytest.FixtureRequest) -> Actor:
    """Somebody of the other domain, on the other gateway."""
    account: str = request.param
    return await enter(account, "orchard", gateway=1)


def typed(kind: str) -> str:
    return f" type='{kind}'" if kind else ""


async def comes(actor: Actor, priority: int, *others: Actor) -> None:
    """Become available with this priority, seen by one's other resources."""
    content = f"<priority>{priority}</priority>"
    await actor.sends(f"<presence>{content}</presence>")
    await actor.receives(f"<presence from='{actor.jid}'>{content}</presence>")
    await actor.receives_in_any_order(*(f"<presence from='{other.jid}'>{{any}}</presence>" for other in others))
    for other in others:
        await other.receives(f"<presence from='{actor.jid}'>{content}</presence>")


# ── to a full JID ──


@rfc("6121", "5.2.1", "5.2.2", "5.2.5", "8.5.3.1")
async def test_a_message_to_a_resource_reaches_it_whatever_it_is(juliet: Actor, contact: Actor, enter: Enter) -> None:
    other = await enter(contact.account, "street")
    await comes(other, 5)
    refusal = error("gone", "cancel").replace("...", "")
    for kind in (*TYPES, "error"):
        content = refusal if kind == "error" else "<subject>S</subject><body>B</body><thread parent='p'>t</thread>"
        await juliet.sends(f"<message to='{contact.jid}'{typed(kind)} id='m' xml:lang='it'>{content}</message>")
        await contact.receives(f"<message from='{juliet.jid}'{typed(kind)} id='m' xml:lang='it'>{content}</message>")
    await quiet(juliet, contact, other)


@pytest.mark.simple
@rfc("6121", "8.5.3.2.1")
async def test_a_message_to_a_resource_that_is_gone(juliet: Actor, contact: Actor) -> None:
    to = f"{contact.account}/tomb"
    for there in (False, True):
        if there:
            await comes(contact, 0)
        for kind in TYPES:
            with case(there, kind):
                await juliet.sends(f"<message to='{to}'{typed(kind)} id='m'><body>?</body></message>")
                if kind == "chat" and there:
                    await contact.receives(f"<message from='{juliet.jid}' to='{to}' type='chat' id='m'><body>?</body></message>")
                elif kind != "headline":
                    await juliet.receives(f"<message type='error' from='{to}' id='m'>{UNAVAILABLE}</message>")
    await quiet(juliet, contact)


# ── to a bare JID ──


@rfc("6121", "8.5.2.1.1", "8.5.2.2.1")
async def test_a_message_to_an_account_reaches_its_first_resources(juliet: Actor, romeo: Actor, enter: Enter) -> None:
    street, tomb = await enter(ELSEWHERE, "street"), await enter(ELSEWHERE, "tomb", gateway=1)
    mute = await enter(ELSEWHERE, "mute")  # connected, and not available
    romeos = (romeo, street, tomb)
    present: list[Actor] = []
    for actor in romeos:
        await comes(actor, 0, *present)
        present.append(actor)
    before = (0, 0, 0)
    for priorities in ((0, 0, 0), (5, 1, 5), (1, 9, 5), (-1, -1, 0), (-1, -1, -1)):
        for actor, old, priority in zip(romeos, before, priorities, strict=True):
            if old != priority:
                await actor.sends(f"<presence><priority>{priority}</priority></presence>")
                for hearing in romeos:
                    await hearing.receives(f"<presence from='{actor.jid}'><priority>{priority}</priority></presence>")
        before = priorities
        for kind in TYPES:
            with case(priorities, kind):
                await juliet.sends(f"<message to='{ELSEWHERE}'{typed(kind)} id='m'><body>?</body></message>")
                least = 0 if kind == "headline" else max(0, *priorities)
                reached = [actor for actor, priority in zip(romeos, priorities, strict=True) if priority >= least]
                if kind == "groupchat" or (not reached and kind != "headline"):
                    await juliet.receives(f"<message type='error' from='{ELSEWHERE}' id='m'>{UNAVAILABLE}</message>")
                else:
                    for actor in reached:
                        await actor.receives(f"<message from='{juliet.jid}' to='{ELSEWHERE}'{typed(kind)} id='m'><body>?</body></message>")
    await quiet(juliet, *romeos, mute)


@pytest.mark.simple
@rfc("6121", "8.5.1", "8.5.2.2.1")
async def test_a_message_to_nobody_comes_back(juliet: Actor, contact: Actor) -> None:
    for to in ("nobody@montague.lit", "nobody@capulet.lit", "nobody@capulet.lit/x", contact.account, "montague.lit", "capulet.lit"):
        for kind in TYPES:
            with case(to, kind):
                await juliet.sends(f"<message to='{to}'{typed(kind)} id='m'><body>?</body></message>")
                if kind != "headline" or "@" not in to:
                    await juliet.receives(f"<message type='error' from='{to}' id='m'>{UNAVAILABLE}</message>")
    await quiet(juliet, contact)


@rfc("6121", "8.5.2.1.1", "8.1.1")
async def test_a_message_to_oneself_reaches_all_of_oneself(juliet: Actor, enter: Enter) -> None:
    window = await enter("juliet@capulet.lit", "window", gateway=1)
    for to in ("", " to='juliet@capulet.lit'"):
        await juliet.sends(f"<message id='m'{to}><body>?</body></message>")
        await juliet.receives(f"<message type='error' from='juliet@capulet.lit' id='m'>{UNAVAILABLE}</message>")
    await comes(window, 0)
    await comes(juliet, 0, window)
    for to in ("", " to='juliet@capulet.lit'"):
        await juliet.sends(f"<message id='m'{to}><body>Ay me!</body></message>")
        for resource in (juliet, window):
            await resource.receives(f"<message from='{juliet.jid}' to='juliet@capulet.lit' id='m'><body>Ay me!</body></message>")
    await juliet.sends(f"<message id='m' to='{window.jid}' type='chat'/><message id='n' to='{juliet.jid}'/>")
    await window.receives(f"<message from='{juliet.jid}' id='m' type='chat'/>")
    await juliet.receives(f"<message from='{juliet.jid}' id='n'/>")
    await quiet(juliet, window)


# ── content ──


@pytest.mark.simple
@rfc("6121", "5.2.3", "5.2.4", "5.2.6")
async def test_content_arrives_as_it_was_sent(juliet: Actor, contact: Actor) -> None:
    await comes(contact, 0)
    for content in (
        "<body>A&amp;B &lt;&#x1F339;&#13;&gt; \u2665</body><body xml:lang='it'>Ahim\u00e8</body>",
        "<body><![CDATA[<&'\"]]]]><![CDATA[>]]></body>",
        "<x xmlns='urn:x' xmlns:y='urn:y' y:z='&quot;&apos;&#9;&#10;'><y:a/><b xmlns=''>t<c xmlns='urn:x'/>u</b></x>",
        "<p:x xmlns:p='urn:p'><p:x p:p=''><x xmlns='jabber:client'/></p:x></p:x>",
        "<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'><p>a <b>b</b> c</p></body></html>",
        "<subject/><subject xml:lang='de'> </subject><thread parent=''>e0ffe42b</thread>",
        f"<body>{'0123456789' * 2000}</body>",
    ):
        for to in (contact.jid, contact.account):
            with case(content, to):
                await juliet.sends(f"<message to='{to}' type='chat'>{content}</message>")
                await contact.receives(f"<message from='{juliet.jid}' to='{to}' type='chat'>{content}</message>")


@pytest.mark.simple
@rfc("6121", "5.2.6")
async def test_prefixes_of_the_stream_go_with_what_uses_them(contact: Actor, enter: Enter) -> None:
    juliet = await enter("juliet@capulet.lit", "balcony")
    await juliet.closes()
    again = type(juliet)(juliet.account, juliet.password, juliet.doors, lambda: juliet.wire)
    await again.connects()
    await again.opens()
    await again.authenticates()
    again.expects_new_stream()
    await again.sends(
        "<s:stream to='capulet.lit' version='1.0' xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams' xmlns:r='urn:rose'>"
    )
    await again.hears_features()
    await again.binds("balcony")
    await again.sends(f"<message to='{contact.jid}'><r:rose r:name='any other'><smell>sweet</smell></r:rose></message>")
    await contact.receives(
        f"<message from='{again.jid}'><rose xmlns='urn:rose' xmlns:x='urn:rose' x:name='any other'>"
        "<smell xmlns='jabber:client'>sweet</smell></rose></message>"
    )
    await again.vanishes()


# ── IQ ──


@rfc("6121", "8.5.3.1")
@rfc("6120", "8.2.3")
async def test_requests_and_answers_pass_between_clients(juliet: Actor, contact: Actor) -> None:
    refusal = error("feature-not-implemented", "cancel").replace("...", "")
    for kind, answer, content in (("get", "result", ""), ("set", "result", "<r xmlns='urn:r'/>"), ("get", "error", refusal)):
        await juliet.sends(f"<iq type='{kind}' to='{contact.jid}' id='i'><q xmlns='urn:q'/></iq>")
        await contact.receives(f"<iq type='{kind}' from='{juliet.jid}' id='i'><q xmlns='urn:q'/></iq>")
        await contact.sends(f"<iq type='{answer}' to='{juliet.jid}' id='i'>{content}</iq>")
        await juliet.receives(f"<iq type='{answer}' from='{contact.jid}' id='i'>{content}</iq>")
    for to in (f"{contact.account}/tomb", "nobody@montague.lit/x", contact.account, "nobody@montague.lit"):
        with case(to):
            await juliet.sends(f"<iq type='result' to='{to}' id='i'/><iq type='error' to='{to}' id='i'>{refusal}</iq>")
            await juliet.sends(f"<iq type='get' to='{to}' id='i'><q xmlns='urn:q'/></iq>")
            await juliet.receives(f"<iq type='error' from='{to}' id='i'>{UNAVAILABLE}</iq>")
    await quiet(juliet, contact)


# ── order ──


@rfc("6120", "10.1")
async def test_whatever_one_sends_another_keeps_its_order(juliet: Actor, contact: Actor) -> None:
    await befriend(juliet, contact)
    kinds = (
        ("<message to='{full}' id='{n}'/>", "<message from='{from}' id='{n}'/>"),
        ("<message type='chat' to='{bare}' id='{n}'/>", "<message type='chat' from='{from}' to='{bare}' id='{n}'/>"),
        ("<presence id='{n}'><show>dnd</show></presence>", "<presence from='{from}' id='{n}'><show>dnd</show></presence>"),
        ("<presence to='{bare}' id='{n}'/>", "<presence from='{from}' id='{n}'/>"),
        ("<iq type='get' to='{full}' id='{n}'><q xmlns='urn:q'/></iq>", "<iq type='get' from='{from}' id='{n}'><q xmlns='urn:q'/></iq>"),
        ("<presence type='unsubscribe' to='{bare}' id='{n}'/>", "<presence type='unsubscribe' from='{own}' to='{bare}' id='{n}'/>"),
        ("<message to='{full}' id='{n}'/>", "<message from='{from}' id='{n}'/>"),
        ("<presence type='subscribe' to='{bare}' id='{n}'/>", "<presence type='subscribe' from='{own}' to='{bare}' id='{n}'/>"),
        ("<message to='{full}' id='{n}'/>", "<message from='{from}' id='{n}'/>"),
    )
    written = [
        [
            part.replace("{n}", str(n)).replace("{full}", contact.jid).replace("{bare}", contact.account).replace("{own}", juliet.account)
            for part in kinds[n % len(kinds)]
        ]
        for n in range(3 * len(kinds))
    ]
    for sent, _ in written:
        await juliet.sends(sent)
    for n, (_, received) in enumerate(written):
        await contact.receives(received.replace("{from}", juliet.jid))
        if n == 5:
            await contact.receives("<iq type='set' from='{any}' id='{any}'>{any}</iq>")
    await quiet(contact)


@rfc("6120", "10.1")
async def test_many_talk_at_once_and_nobody_is_lost_or_repeated(juliet: Actor, romeo: Actor, nurse: Actor, enter: Enter) -> None:
    mercutio = await enter(BESIDE, "street", gateway=1)
    people = (juliet, romeo, nurse, mercutio)
    for actor in people:
        await comes(actor, 0)
    for number in range(15):
        for actor in people:
            for other in people:
                if other is not actor:
                    to = other.jid if number % 2 else other.account
                    await actor.sends(f"<message type='chat' to='{to}' id='{number}'><body>{number}</body></message>")
    for actor in people:
        heard = [await actor.hears() for _ in range(15 * 3)]
        for other in people:
            if other is not actor:
                assert [element.get("id") for element in heard if element.get("from") == other.jid] == [str(n) for n in range(15)]
    await quiet(*people)


# ── what was on its way to a session that ends; without faults, for who holds up a gateway holds up take-overs ──


@pytest.fixture(params=[ELSEWHERE, BESIDE], ids=["elsewhere", "beside"])
async def stage(server: Cluster, request: pytest.FixtureRequest) -> tuple[Actor, Actor, Actor]:
    """Juliet, a contact on the second gateway, and the contact's other resource, which is not preferred."""
    juliet = server.actor("juliet@capulet.lit", "R0m30")
    contact, street = (server.actor(request.param, PASSWORDS[request.param], gateway=gateway) for gateway in (1, 0))
    for actor, resource in ((juliet, "balcony"), (contact, "orchard"), (street, "street")):
        await actor.logs_in(resource)
    await comes(street, 0)
    await comes(contact, 5, street)
    return juliet, contact, street


@rfc("6121", "8.5.3.2.1", "8.5.3.2.3")
@pytest.mark.parametrize("addressed", ["full", "bare"])
async def test_a_chat_on_its_way_to_who_is_gone_goes_to_another_resource(
    server: Cluster, stage: tuple[Actor, Actor, Actor], addressed: str
) -> None:
    juliet, contact, street = stage
    to = contact.jid if addressed == "full" else contact.account
    async with held_up(server, *stage):
        for number in range(20):
            await juliet.sends(f"<message type='chat' to='{to}' id='{number}'/>")
    for number in range(20):
        await street.receives(f"<message type='chat' from='{juliet.jid}' to='{to}' id='{number}'/>")
    await quiet(juliet, street)


@rfc("6121", "8.5.3.2.1", "8.5.3.2.3")
async def test_what_is_on_its_way_to_who_is_gone_and_for_nobody_else_comes_back(server: Cluster, stage: tuple[Actor, Actor, Actor]) -> None:
    juliet, contact, street = stage
    to = f"to='{contact.jid}'"
    async with held_up(server, *stage):
        for number in range(20):
            await juliet.sends(f"<message {to} id='m{number}'/><message type='headline' {to}/><presence {to}/>")
            await juliet.sends(f"<iq type='result' {to} id='r'/><iq type='get' {to} id='i{number}'><q xmlns='urn:q'/></iq>")
    for number in range(20):
        await juliet.receives(f"<message type='error' from='{contact.jid}' id='m{number}'>{UNAVAILABLE}</message>")
        await juliet.receives(f"<iq type='error' from='{contact.jid}' id='i{number}'>{UNAVAILABLE}</iq>")
    await quiet(juliet, street)


@rfc("6121", "8.5.2.1.1")
async def test_what_two_resources_were_to_have_is_not_lost_with_one(server: Cluster, stage: tuple[Actor, Actor, Actor]) -> None:
    juliet, contact, street = stage
    await street.sends("<presence><priority>5</priority></presence>")
    for resource in (street, contact):
        await resource.receives(f"<presence from='{street.jid}'><priority>5</priority></presence>")
    async with held_up(server, *stage):
        await juliet.sends(f"<message type='chat' to='{contact.account}' id='m'/>")
        await street.receives(f"<message type='chat' from='{juliet.jid}' to='{contact.account}' id='m'/>")
    await quiet(juliet, street)


@asynccontextmanager
async def held_up(server: Cluster, juliet: Actor, contact: Actor, street: Actor) -> AsyncIterator[None]:
    """Keep what is for the contact's gateway on the bus until the contact is gone, as the other resource hears."""
    queue = [queue for name, queue in server.broker.queues.items() if name.startswith("aldis.gateway.")][1]
    await quiet(juliet, street, contact)
    queue.paused = True
    yield
    await juliet.passes_barrier(alone=True)
    await contact.vanishes()
    await street.receives(f"<presence type='unavailable' from='{contact.jid}'/>")
    queue.paused = False
    queue.pump()
