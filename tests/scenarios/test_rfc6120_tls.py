"""RFC 6120 §5: STARTTLS, and what is offered before and after it."""

import ssl

import pytest

from aldis.core.testing.actor import Actor
from aldis.core.testing.cites import rfc
from aldis.core.testing.cluster import Cluster
from aldis.core.testing.patterns import Element, difference, parse
from aldis.core.testing.wire import TcpWire, trusting

STARTTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
REQUIRED = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
PROCEED = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
FAILURE = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
OPTIONAL = pytest.mark.settings(c2s={"host": "127.0.0.1", "require_tls": False})
CLEAR = pytest.mark.settings(c2s={"host": "127.0.0.1", "require_tls": False, "plain_without_tls": True})


def mechanisms(features: Element) -> list[str]:
    return [element.text or "" for element in features.findall(f"{{{SASL}}}mechanisms/{{{SASL}}}mechanism")]


def fits(pattern: str, features: Element) -> bool:
    return difference(parse(pattern), features) is None


@rfc("6120", "5.3.1", "5.4.1", "6.3.4")
async def test_where_tls_is_required_nothing_else_is_offered(stranger: Actor) -> None:
    await stranger.connects(direct=False)
    features = await stranger.opens()
    assert fits(f"<stream:features>{REQUIRED}</stream:features>", features)
    await stranger.starts_tls()
    features = await stranger.opens()
    assert not fits(f"<stream:features>...{REQUIRED}</stream:features>", features)
    assert mechanisms(features)[-1] == "PLAIN"


@OPTIONAL
@rfc("6120", "5.3.1", "6.3.4", "13.8.3")
async def test_where_tls_is_optional_a_password_does_not_travel_without_it(stranger: Actor) -> None:
    await stranger.connects(direct=False)
    features = await stranger.opens()
    assert fits(f"<stream:features>...{STARTTLS}</stream:features>", features)
    assert mechanisms(features) == ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1"]
    await stranger.authenticates("SCRAM-SHA-256")
    await stranger.opens()
    await stranger.binds()


@CLEAR
@rfc("6120", "13.8.3")
async def test_on_one_machine_a_password_may_be_allowed_to(stranger: Actor) -> None:
    await stranger.connects(direct=False)
    assert mechanisms(await stranger.opens())[-1] == "PLAIN"
    await stranger.authenticates("PLAIN")
    await stranger.opens()
    await stranger.binds()


@rfc("6120", "6.5.4")
async def test_a_login_before_tls_is_refused(stranger: Actor) -> None:
    await stranger.connects(direct=False)
    await stranger.opens()
    await stranger.sends_auth("PLAIN", b"\0juliet\0R0m30")
    await stranger.receives(f"<failure xmlns='{SASL}'><encryption-required/>...</failure>")
    await stranger.starts_tls()
    await stranger.opens()
    await stranger.authenticates()


@rfc("6120", "5.4.2.2", "5.4.2.3", "5.4.3.3")
async def test_the_stream_begins_anew_in_tls(stranger: Actor) -> None:
    await stranger.connects(direct=False)
    await stranger.opens()
    before = stranger.header["id"]
    await stranger.starts_tls()
    await stranger.opens()
    assert stranger.header["id"] != before


@rfc("6120", "5.4.3.3")
@pytest.mark.parametrize("injected", ["<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGp1bGlldABSMG0zMA==</auth>", "<"])
async def test_what_is_said_behind_starttls_is_not_heard_inside(stranger: Actor, injected: str) -> None:
    """CVE-2011-0411 of mail servers: a command before the handshake that counts after it."""
    await stranger.connects(direct=False)
    await stranger.opens()
    await stranger.sends(STARTTLS + injected)
    await stranger.receives(PROCEED)
    await stranger.shakes_hands()
    await stranger.opens()
    await stranger.authenticates("SCRAM-SHA-1")  # whose challenge is the first thing that is heard
    await stranger.opens()
    await stranger.binds()


@rfc("6120", "5.4.2.2")
async def test_tls_within_tls_is_refused_and_ends_the_stream(stranger: Actor) -> None:
    await stranger.connects(direct=False)
    await stranger.opens()
    await stranger.starts_tls()
    await stranger.opens()
    await stranger.sends(STARTTLS)
    await stranger.receives(FAILURE)
    await stranger.is_closed()


@rfc("6120", "5.4.2.2")
async def test_tls_on_a_bound_session_is_refused_and_ends_the_stream(stranger: Actor) -> None:
    await stranger.logs_in()
    await stranger.sends(STARTTLS)
    await stranger.receives(FAILURE)
    await stranger.is_closed()


@rfc("6120", "5.4.3.2")
async def test_a_handshake_that_fails_ends_the_connection(stranger: Actor) -> None:
    await stranger.connects(direct=False)
    await stranger.opens()
    await stranger.sends(STARTTLS)
    await stranger.receives(PROCEED)
    await stranger.sends("<stream:stream to='capulet.lit'>")
    await stranger.is_cut()


@rfc("6120", "13.7.1.2", "5.4.3.1")
@pytest.mark.parametrize("domain", ["capulet.lit", "montague.lit"])
async def test_the_certificate_is_for_each_domain(server: Cluster, certificate: str, domain: str) -> None:
    context = trusting(certificate)
    assert context.check_hostname
    actor = server.actor(f"nobody@{domain}", "", wire=lambda: TcpWire(context))
    await actor.connects()
    await actor.opens()
    assert actor.header["from"] == domain


@rfc("6120", "13.8.1")
@pytest.mark.parametrize(("version", "works"), [(ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True)])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
async def test_no_version_of_tls_below_12_is_spoken(server: Cluster, certificate: str, version: ssl.TLSVersion, works: bool) -> None:
    context = trusting(certificate, most=version)
    context.minimum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    actor = server.actor("juliet@capulet.lit", "R0m30", wire=lambda: TcpWire(context))
    if works:
        await actor.logs_in()
    else:
        with pytest.raises(OSError, match=r"(?i)alert|unsupported|protocol|EOF|reset"):
            await actor.connects()
