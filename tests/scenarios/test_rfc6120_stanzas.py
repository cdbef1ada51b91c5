"""RFC 6120 §8 and §10: what is a stanza, whose it is, where it goes, and what is answered."""

import pytest

from aldis.core.testing.actor import Actor
from aldis.core.testing.cites import rfc
from aldis.core.testing.patterns import ANY, error
from tests.support.cases import case

PING = "<ping xmlns='urn:xmpp:ping'/>"
UNKNOWN = "<query xmlns='urn:verona:unheard-of'/>"

# ── from ──


@rfc("6120", "8.1.2.1")
async def test_every_stanza_bears_its_senders_full_jid(juliet: Actor, romeo: Actor) -> None:
    for stamped in ("", f" from='{juliet.jid}'", " from='juliet@capulet.lit'"):
        await juliet.sends(f"<message to='{romeo.jid}' id='m'{stamped}><body>Ay me!</body></message>")
        await romeo.receives(f"<message from='{juliet.jid}' id='m'><body>Ay me!</body></message>")


@rfc("6120", "8.1.2.1", "4.9.3.9")
async def test_a_forged_from_ends_the_stream(juliet: Actor, romeo: Actor) -> None:
    await juliet.sends(f"<message to='{romeo.jid}' from='nurse@capulet.lit'><body>Madam!</body></message>")
    await juliet.is_told("invalid-from")
    await romeo.receives_nothing()


@rfc("6120", "8.1.2.1", "4.9.3.9")
async def test_another_resource_of_ones_own_is_forged_as_well(juliet: Actor, romeo: Actor) -> None:
    await juliet.sends(
        f"<message to='{romeo.jid}'/><message to='{romeo.jid}' from='juliet@capulet.lit/chamber'/><message to='{romeo.jid}'/>"
    )
    await juliet.is_told("invalid-from")
    await romeo.receives(f"<message from='{juliet.jid}'/>")
    await romeo.receives_nothing()


# ── to ──


@rfc("6120", "10.3.1")
async def test_a_message_without_to_is_for_the_own_account(juliet: Actor) -> None:
    await juliet.appears()
    await juliet.sends("<message id='m' type='chat'><body>Note to self</body></message>")
    await juliet.receives(f"<message from='{juliet.jid}' id='m' type='chat' to='{ANY}'><body>Note to self</body></message>")


@pytest.mark.simple
@rfc("6120", "10.3.3")
async def test_an_iq_without_to_is_for_the_own_account(juliet: Actor) -> None:
    await juliet.sends(f"<iq type='get' id='p'>{PING}</iq>")
    await juliet.receives("<iq type='result' id='p' from='juliet@capulet.lit'/>")


@pytest.mark.simple
@rfc("6120", "8.3.3.8")
async def test_an_address_that_is_none_is_told(juliet: Actor) -> None:
    for to in ("@capulet.lit", "a@b@", "romeo@mon tague.lit", f"{'x' * 1024}@capulet.lit", "romeo@montague.lit/", "\u0378@capulet.lit", ""):
        with case(to):
            await juliet.sends(f"<message to='{to}' id='m'><body>?</body></message>")
            await juliet.receives(f"<message type='error' id='m' from='{ANY}'>{error('jid-malformed', 'modify')}</message>")
            await juliet.sends(f"<iq type='get' to='{to}' id='i'>{PING}</iq>")
            await juliet.receives(f"<iq type='error' id='i' from='{ANY}'>{error('jid-malformed', 'modify')}</iq>")
    await juliet.receives_nothing()


@pytest.mark.simple
@rfc("6120", "8.1.1")
@rfc("7622", "3")
async def test_an_address_is_understood_in_whatever_form(juliet: Actor, romeo: Actor) -> None:
    await juliet.sends("<message to='ROMEO@Montague.LIT./orchard' id='m'/>")
    await romeo.receives(f"<message from='{juliet.jid}' id='m'/>")


@pytest.mark.simple
@rfc("6120", "10.4", "8.3.3.17")
async def test_what_is_for_a_domain_elsewhere_comes_back(juliet: Actor) -> None:
    refusal = error("remote-server-not-found", "cancel")
    await juliet.sends("<message to='paris@verona.lit' id='m' type='chat'><body>No.</body></message>")
    await juliet.receives(f"<message type='error' id='m' from='paris@verona.lit'>{refusal}</message>")
    await juliet.sends(f"<iq type='get' to='verona.lit' id='i'>{PING}</iq>")
    await juliet.receives(f"<iq type='error' id='i' from='verona.lit'>{refusal}</iq>")
    await juliet.receives_nothing()


@rfc("6120", "8.3.1")
async def test_an_error_is_never_answered(juliet: Actor, romeo: Actor) -> None:
    for to in ("paris@verona.lit", "nobody@capulet.lit", "capulet.lit", romeo.account, "@"):
        await juliet.sends(f"<message to='{to}' type='error' id='e'>{error('gone', 'cancel').replace('...', '')}</message>")
        await juliet.sends(f"<iq to='{to}' type='error' id='e'>{error('gone', 'cancel').replace('...', '')}</iq>")
        await juliet.sends(f"<iq to='{to}' type='result' id='e'/>")
        await juliet.sends(f"<presence to='{to}' type='error' id='e'>{error('gone', 'cancel').replace('...', '')}</presence>")
    await romeo.receives_nothing(juliet)
    await juliet.receives_nothing()


# ── IQ ──


@pytest.mark.simple
@rfc("6120", "8.2.3")
async def test_an_iq_that_is_none_is_a_bad_request(juliet: Actor) -> None:
    refusal = error("bad-request", "modify")
    for to in ("", " to='capulet.lit'", " to='nurse@capulet.lit/chamber'", " to='nurse@capulet.lit'"):
        for attributes, children in (
            ("type='get' id='i'", ""),
            ("type='get' id='i'", PING + PING),
            ("type='set' id='i'", ""),
            ("type='ask' id='i'", PING),
            ("id='i'", PING),
        ):
            with case(to, attributes, children):
                await juliet.sends(f"<iq {attributes}{to}>{children}</iq>")
                await juliet.receives(f"<iq type='error' id='i' from='{ANY}'>{refusal}</iq>")
        await juliet.sends(f"<iq type='get'{to}>{PING}</iq>")
        await juliet.receives(f"<iq type='error' from='{ANY}'>{refusal}</iq>")
    await juliet.receives_nothing()


@pytest.mark.simple
@rfc("6120", "8.2.3")
async def test_an_id_comes_back_as_it_was(juliet: Actor) -> None:
    for written in ("a b", "&lt;&amp;&apos;&quot;&gt;", "\u2665", "&#10;&#9;", "x" * 1000):
        await juliet.sends(f"<iq type='get' id='{written}' to='capulet.lit'>{PING}</iq>")
        await juliet.receives(f"<iq type='result' id='{written}' from='capulet.lit'/>")


@pytest.mark.simple
@rfc("6120", "8.2.3", "8.4")
async def test_what_the_server_does_not_know_is_refused(juliet: Actor) -> None:
    for to, sender in (
        ("", "juliet@capulet.lit"),
        (" to='capulet.lit'", "capulet.lit"),
        (" to='juliet@capulet.lit'", "juliet@capulet.lit"),
    ):
        for kind in ("get", "set"):
            await juliet.sends(f"<iq type='{kind}' id='i'{to}>{UNKNOWN}</iq>")
            await juliet.receives(f"<iq type='error' id='i' from='{sender}'>{error('service-unavailable', 'cancel')}</iq>")
    await juliet.sends("<iq type='set' id='i' to='capulet.lit'><ping xmlns='urn:xmpp:ping'/></iq>")
    await juliet.receives(f"<iq type='error' id='i' from='capulet.lit'>{error('feature-not-implemented', 'cancel')}</iq>")


@rfc("6120", "8.2.3")
@rfc("6121", "8.5.3.2.3")
async def test_a_request_to_a_client_that_is_not_there_comes_back(juliet: Actor, romeo: Actor) -> None:
    for to in ("romeo@montague.lit/tomb", "nobody@montague.lit/tomb", "nobody@montague.lit", "romeo@montague.lit", "montague.lit/tomb"):
        with case(to):
            await juliet.sends(f"<iq type='get' id='i' to='{to}'>{UNKNOWN}</iq>")
            await juliet.receives(f"<iq type='error' id='i' from='{to}'>{error('service-unavailable', 'cancel')}</iq>")
    await romeo.receives_nothing(juliet)


@rfc("6120", "8.2.3")
async def test_a_request_to_a_client_reaches_it_whole_and_so_does_the_answer(juliet: Actor, romeo: Actor) -> None:
    payload = "<q xmlns='urn:x' xmlns:y='urn:y' y:z='1' xml:lang='it'><y:a>&lt;&#x2665;</y:a> <b xmlns=''/></q>"
    await juliet.sends(f"<iq type='set' id='i' to='{romeo.jid}' xml:lang='en'>{payload}</iq>")
    await romeo.receives(f"<iq type='set' id='i' from='{juliet.jid}' xml:lang='en'>{payload}</iq>")
    await romeo.sends(f"<iq type='error' id='i' to='{juliet.jid}'>{payload}{error('not-allowed', 'cancel').replace('...', '')}</iq>")
    await juliet.receives(f"<iq type='error' id='i' from='{romeo.jid}'>{payload}{error('not-allowed', 'cancel')}</iq>")


# ── order, content ──


@rfc("6120", "10.1")
async def test_stanzas_of_every_kind_keep_their_order(juliet: Actor, romeo: Actor) -> None:
    kinds = ("<message type='chat' id='{n}'{at}/>", "<presence id='{n}'{at}/>", "<iq type='get' id='{n}'{at}><x xmlns='urn:x'/></iq>")
    stanzas = [kinds[n % 3].replace("{n}", str(n)) for n in range(60)]
    for stanza in stanzas:
        await juliet.sends(stanza.replace("{at}", f" to='{romeo.jid}'"))
    for stanza in stanzas:
        await romeo.receives(stanza.replace("{at}", f" from='{juliet.jid}'"))
    await romeo.receives_nothing(juliet)


@pytest.mark.simple
@rfc("6120", "10.1")
async def test_who_talk_all_at_once_lose_nothing_and_hear_each_in_order(juliet: Actor, romeo: Actor, nurse: Actor) -> None:
    people = (juliet, romeo, nurse)
    for number in range(30):
        for sender in people:
            for recipient in people:
                await sender.sends(f"<message to='{recipient.jid}' type='chat' id='{number}'><body>{number}</body></message>")
    for recipient in people:
        heard: dict[str | None, list[str | None]] = {}
        for _ in range(90):
            message = await recipient.hears()
            heard.setdefault(message.get("from"), []).append(message.get("id"))
        assert heard == {sender.jid: [str(number) for number in range(30)] for sender in people}
        await recipient.receives_nothing(*people)


@rfc("6120", "8.1.5")
async def test_the_streams_language_is_the_stanzas_unless_it_has_its_own(juliet: Actor, romeo: Actor) -> None:
    await romeo.sends(f"<message to='{juliet.jid}' xml:lang='it'><body>Ahim\u00e8!</body><body xml:lang='en'>Ay me!</body></message>")
    await juliet.receives(f"<message from='{romeo.jid}' xml:lang='it'><body>Ahim\u00e8!</body><body xml:lang='en'>Ay me!</body></message>")


@pytest.mark.simple
@rfc("6120", "8.4")
async def test_content_that_nobody_knows_is_passed_on(juliet: Actor, romeo: Actor) -> None:
    content = "<body>&amp;&lt;&gt;'\"&#x1F339;</body><x:rose xmlns:x='urn:verona:rose' x:name='any other'><x:smell>sweet</x:smell></x:rose>"
    await romeo.sends(f"<message to='{juliet.jid}' id='m'>{content}</message>")
    await juliet.receives(f"<message from='{romeo.jid}' id='m'>{content}</message>")
