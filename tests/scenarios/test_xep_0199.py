"""XEP-0199: XMPP Ping."""

import pytest

from aldis.core.testing.actor import Actor
from aldis.core.testing.cites import xep
from aldis.core.testing.patterns import error

PING = "<ping xmlns='urn:xmpp:ping'/>"


@pytest.mark.simple
@xep("0199", "4.2")
async def test_the_server_answers_a_ping(juliet: Actor) -> None:
    await juliet.sends(f"<iq type='get' id='c2s1' to='capulet.lit'>{PING}</iq>")
    await juliet.receives("<iq type='result' id='c2s1' from='capulet.lit'/>")


@pytest.mark.simple
@xep("0199", "4.2")
async def test_a_ping_without_to_reaches_the_own_account(juliet: Actor) -> None:
    await juliet.sends(f"<iq type='get' id='c2s2'>{PING}</iq>")
    await juliet.receives("<iq type='result' id='c2s2' from='juliet@capulet.lit'/>")


@xep("0199", "4.4")
async def test_a_ping_goes_from_client_to_client_and_its_answer_back(juliet: Actor, romeo: Actor) -> None:
    await romeo.sends(f"<iq type='get' id='e2e1' to='{juliet.jid}'>{PING}</iq>")
    await juliet.receives(f"<iq type='get' id='e2e1' from='{romeo.jid}'>{PING}</iq>")
    await juliet.sends(f"<iq type='result' id='e2e1' to='{romeo.jid}'/>")
    await romeo.receives(f"<iq type='result' id='e2e1' from='{juliet.jid}'/>")


@pytest.mark.simple
@xep("0199", "4.2")
async def test_somebody_elses_account_does_not_tell_that_it_is_there(juliet: Actor, romeo: Actor) -> None:
    for account in (romeo.account, "nobody@montague.lit"):
        await juliet.sends(f"<iq type='get' id='p' to='{account}'>{PING}</iq>")
        await juliet.receives(f"<iq type='error' id='p' from='{account}'>...{error('service-unavailable', 'cancel')}</iq>")
