"""XEP-0077: In-Band Registration, for strangers and for those who have an account."""

import pytest

from aldis.core.testing.actor import Actor
from aldis.core.testing.cites import rfc, xep
from aldis.core.testing.cluster import Cluster
from aldis.core.testing.login import Plain, Scram
from aldis.core.testing.patterns import error
from tests.support.cases import case

REGISTER = "jabber:iq:register"
FEATURE = "{http://jabber.org/features/iq-register}register"
OPEN = pytest.mark.settings(registration={"enabled": True})


def form(username: str | None = None, password: str | None = None, more: str = "") -> str:
    """Write what a client fills in."""
    fields = (("username", username), ("password", password))
    return f"<query xmlns='{REGISTER}'>{''.join(f'<{name}>{value}</{name}>' for name, value in fields if value is not None)}{more}</query>"


def ask(payload: str, kind: str = "set") -> str:
    return f"<iq type='{kind}' id='r'>{payload}</iq>"


def refused(condition: str, kind: str, code: int, sender: str) -> str:
    """Write the pattern of a refusal, which here has a code as well (XEP-0077 §9)."""
    refusal = error(condition, kind).replace("<error ", f"<error code='{code}' ", 1)
    return f"<iq type='error' id='r' from='{sender}'>{refusal}</iq>"


DONE = "<iq type='result' id='r' from='{}'/>".format


async def newcomer(cluster: Cluster, account: str = "paris@capulet.lit", knows: str = "County") -> Actor:
    """Bring somebody without an account to where they may register."""
    actor = cluster.actor(account, knows)
    await actor.connects()
    await actor.opens()
    return actor


# ── strangers ──


@OPEN
@xep("0077", "3.1")
async def test_a_stranger_makes_an_account_and_logs_in_with_it(server: Cluster) -> None:
    paris = await newcomer(server)
    await paris.sends(ask(f"<query xmlns='{REGISTER}'/>", "get"))
    await paris.receives(
        f"<iq type='result' id='r' from='capulet.lit'><query xmlns='{REGISTER}'>"
        "<instructions>{any}</instructions><username/><password/></query></iq>"
    )
    await paris.sends(ask(form("paris", "County")))
    await paris.receives(DONE("capulet.lit"))
    await paris.authenticates("SCRAM-SHA-512")
    await paris.opens()
    await paris.binds()
    await paris.receives_nothing()


@OPEN
@xep("0077", "3.1")
async def test_an_account_is_made_on_the_domain_of_the_stream(server: Cluster) -> None:
    paris = await newcomer(server, "juliet@montague.lit", "Other")
    await paris.sends(ask(form("juliet", "Other")))
    await paris.receives(DONE("montague.lit"))
    await paris.authenticates()
    juliet = await newcomer(server, "juliet@capulet.lit", "R0m30")
    await juliet.authenticates()


@OPEN
@xep("0077", "3.1", "8")
async def test_it_is_offered_where_it_may_be_used(server: Cluster) -> None:
    paris = server.actor("paris@capulet.lit", "County")
    await paris.connects(direct=False)
    await paris.opens()
    await paris.sends(ask(form("paris", "County")))
    await paris.is_told("not-authorized")  # not in the clear: XEP-0077 §11
    juliet = await newcomer(server, "juliet@capulet.lit", "R0m30")
    await juliet.vanishes()
    again = server.actor("juliet@capulet.lit", "R0m30")
    await again.connects()
    assert (await again.opens()).find(FEATURE) is not None
    await again.authenticates()
    assert (await again.opens()).find(FEATURE) is None


@OPEN
@xep("0077", "3.1")
async def test_a_name_that_is_taken_is_a_conflict(server: Cluster) -> None:
    paris = await newcomer(server)
    for name in ("juliet", "JULIET"):
        await paris.sends(ask(form(name, "Mine")))
        await paris.receives(refused("conflict", "cancel", 409, "capulet.lit"))
    juliet = await newcomer(server, "juliet@capulet.lit", "R0m30")
    await juliet.authenticates()


@OPEN
@xep("0077", "3.1", "9")
async def test_a_form_that_is_not_filled_in_is_not_acceptable(server: Cluster) -> None:
    paris = await newcomer(server)
    for username, password in (
        (None, "x"),
        ("paris", None),
        ("", "x"),
        ("paris", ""),
        ("pa ris", "x"),
        ("paris@verona", "x"),
        ("x" * 1024, "x"),
    ):
        with case(username, password):
            await paris.sends(ask(form(username, password)))
            await paris.receives(refused("not-acceptable", "modify", 406, "capulet.lit"))
    for more in ("<username>a</username>", "<password>b</password>", "<username><x/></username>"):
        with case(more):
            await paris.sends(ask(form("paris", "County", more)))
            await paris.receives(refused("bad-request", "modify", 400, "capulet.lit"))
    for attributes in ("id='r' type='result'", "id='r' type='error'", "id='r'"):
        with case(attributes):
            await paris.sends(f"<iq {attributes}>{form('paris', 'County')}</iq>")
            await paris.receives(refused("bad-request", "modify", 400, "capulet.lit"))


@OPEN
@xep("0077", "3.2")
async def test_a_stranger_cannot_cancel_anything(server: Cluster) -> None:
    paris = await newcomer(server)
    await paris.sends(ask(f"<query xmlns='{REGISTER}'><remove/></query>"))
    await paris.receives(refused("not-acceptable", "modify", 406, "capulet.lit"))
    await paris.sends(ask(form("juliet", None, "<remove/>")))
    await paris.receives(refused("not-acceptable", "modify", 406, "capulet.lit"))
    juliet = await newcomer(server, "juliet@capulet.lit", "R0m30")
    await juliet.authenticates()


@pytest.mark.settings(registration={"enabled": True, "attempts_per_hour": 3})
@xep("0077", "3.1.1", "11")
async def test_one_address_makes_no_more_accounts_than_it_may(server: Cluster) -> None:
    for number in range(4):
        paris = await newcomer(server)
        await paris.sends(ask(form(f"paris{number}", "County")))
        await paris.receives(DONE("capulet.lit") if number < 3 else refused("not-acceptable", "modify", 406, "capulet.lit"))


@OPEN
@xep("0077", "3.1.1")
async def test_who_is_logged_in_makes_no_second_account(server: Cluster) -> None:
    juliet = await newcomer(server, "juliet@capulet.lit", "R0m30")
    await juliet.authenticates()
    await juliet.opens()
    await juliet.sends(ask(form("paris", "County")))
    await juliet.receives(refused("not-acceptable", "modify", 406, "capulet.lit"))
    await juliet.binds()
    await juliet.sends(ask(form("paris", "County")))
    await juliet.receives(refused("not-acceptable", "modify", 406, "juliet@capulet.lit"))
    paris = await newcomer(server)
    await paris.is_refused("not-authorized", "PLAIN", Plain("paris", "County"))


@xep("0077", "3.1")
@rfc("6120", "4.9.3.12")
async def test_where_it_is_off_strangers_are_strangers(stranger: Actor) -> None:
    await stranger.connects()
    assert (await stranger.opens()).find(FEATURE) is None
    await stranger.sends(ask(f"<query xmlns='{REGISTER}'/>", "get"))
    await stranger.is_told("not-authorized")


# ── those who have an account ──


@pytest.mark.simple
@xep("0077", "3.1")
async def test_who_is_registered_is_told_so(juliet: Actor) -> None:
    for to, sender in (("", "juliet@capulet.lit"), (" to='capulet.lit'", "capulet.lit")):
        await juliet.sends(f"<iq type='get' id='r'{to}><query xmlns='{REGISTER}'/></iq>")
        await juliet.receives(
            f"<iq type='result' id='r' from='{sender}'><query xmlns='{REGISTER}'>"
            "<registered/><instructions>{any}</instructions><username>juliet</username><password/></query></iq>"
        )


@xep("0077", "3.3")
async def test_a_password_is_changed(cluster: Cluster, juliet: Actor) -> None:
    await juliet.sends(ask(form("juliet", "W1ll14m")))
    await juliet.receives(DONE("juliet@capulet.lit"))
    await juliet.receives_nothing()
    again = await newcomer(cluster, "juliet@capulet.lit", "W1ll14m")
    await again.is_refused("not-authorized", "PLAIN", Plain("juliet", "R0m30"))
    await again.is_refused("not-authorized", "SCRAM-SHA-1", Scram("SCRAM-SHA-1", "juliet", "R0m30"))
    await again.authenticates("SCRAM-SHA-256")


@pytest.mark.simple
@xep("0077", "3.3")
async def test_only_ones_own_password_is_changed(cluster: Cluster, juliet: Actor) -> None:
    await juliet.sends(ask(form("nurse", "mine")))
    await juliet.receives(refused("not-acceptable", "modify", 406, "juliet@capulet.lit"))
    for to in ("nurse@capulet.lit", "nobody@capulet.lit"):
        await juliet.sends(f"<iq type='set' id='r' to='{to}'>{form('nurse', 'mine')}</iq>")
        await juliet.receives(f"<iq type='error' id='r' from='{to}'>...{error('service-unavailable', 'cancel')}</iq>")
    await juliet.sends(f"<iq type='set' id='r' to='montague.lit'>{form('juliet', 'mine')}</iq>")
    await juliet.receives(refused("unexpected-request", "wait", 400, "montague.lit"))
    for payload in (form("juliet"), form("juliet", ""), form(None, "mine"), form("juliet", "a", "<password>b</password>")):
        with case(payload):
            await juliet.sends(ask(payload))
            await juliet.receives(refused("bad-request", "modify", 400, "juliet@capulet.lit"))
    nurse = await newcomer(cluster, "nurse@capulet.lit", "AnonGoodNurse")
    await nurse.authenticates()


@xep("0077", "3.2")
async def test_an_account_is_cancelled_and_its_sessions_end(cluster: Cluster, juliet: Actor, fault_seed: int | None) -> None:
    phone = cluster.actor("juliet@capulet.lit", "R0m30", gateway=1)
    await phone.logs_in("phone")
    await juliet.sends(ask(f"<query xmlns='{REGISTER}'><remove/></query>"))
    if fault_seed is None:
        await juliet.receives(DONE("juliet@capulet.lit"))
    # where the shard's owner died in between, the end of the session may be all that is heard of it
    await juliet.is_told("not-authorized", perhaps_after=DONE("juliet@capulet.lit"))
    await phone.is_told("not-authorized")
    again = await newcomer(cluster, "juliet@capulet.lit", "R0m30")
    await again.is_refused("not-authorized", "PLAIN", Plain("juliet", "R0m30"))
    await again.is_refused("not-authorized", "SCRAM-SHA-256", Scram("SCRAM-SHA-256", "juliet", "R0m30"))


@pytest.mark.simple
@xep("0077", "3.2")
async def test_a_cancellation_stands_alone(juliet: Actor) -> None:
    await juliet.sends(ask(form("juliet", "R0m30", "<remove/>")))
    await juliet.receives(refused("bad-request", "modify", 400, "juliet@capulet.lit"))
    await juliet.sends(f"<iq type='set' id='r' to='montague.lit'><query xmlns='{REGISTER}'><remove/></query></iq>")
    await juliet.receives(refused("registration-required", "auth", 407, "montague.lit"))
    await juliet.receives_nothing()


@pytest.mark.simple
@pytest.mark.settings(registration={"password_change": False, "removal": False})
@xep("0077", "3.2", "3.3")
async def test_neither_is_there_where_both_are_off(juliet: Actor) -> None:
    for payload in (form("juliet", "W1ll14m"), f"<query xmlns='{REGISTER}'><remove/></query>"):
        await juliet.sends(ask(payload))
        await juliet.receives(f"<iq type='error' id='r' from='juliet@capulet.lit'>{error('service-unavailable', 'cancel')}</iq>")


@pytest.mark.settings(registration={"enabled": True, "password_change": False, "removal": False})
@xep("0077", "3.2", "3.3")
async def test_what_is_off_is_not_allowed(server: Cluster) -> None:
    juliet = server.actor("juliet@capulet.lit", "R0m30")
    await juliet.logs_in()
    for payload in (form("juliet", "W1ll14m"), f"<query xmlns='{REGISTER}'><remove/></query>"):
        await juliet.sends(ask(payload))
        await juliet.receives(refused("not-allowed", "cancel", 405, "juliet@capulet.lit"))
