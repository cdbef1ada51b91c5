"""RFC 6120 §6: authentication, by every mechanism that is offered, and every way to fail."""

from collections.abc import Callable

import pytest
from OpenSSL import SSL

from aldis.core.testing.actor import Actor, failure
from aldis.core.testing.cites import rfc
from aldis.core.testing.cluster import Cluster
from aldis.core.testing.login import Plain, Scram
from tests.support.cases import case
from tests.support.operator import manage

SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
HASHES = ("SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1")
PASSWORD = "R0m30"


async def ready(actor: Actor) -> Actor:
    """Bring a client to where it may authenticate."""
    await actor.connects()
    await actor.opens()
    return actor


async def in_still(actor: Actor) -> None:
    """See that the client can log in on the same stream."""
    await actor.authenticates()
    await actor.opens()
    await actor.binds()


# ── good ends ──


@rfc("6120", "6.4.1", "6.4.6")
@pytest.mark.parametrize("mechanism", [*HASHES, "PLAIN"])
async def test_each_mechanism_lets_the_right_password_in(stranger: Actor, mechanism: str) -> None:
    await ready(stranger)
    await stranger.authenticates(mechanism)
    await stranger.opens()
    await stranger.binds("balcony")
    assert stranger.jid == "juliet@capulet.lit/balcony"


@rfc("6120", "6.3.3")
async def test_mechanisms_are_offered_strongest_first(stranger: Actor) -> None:
    await stranger.connects()
    features = await stranger.opens()
    offered = [element.text for element in features.iter(f"{{{SASL}}}mechanism")]
    assert offered == [*(f"{name}-PLUS" for name in HASHES), *HASHES, "PLAIN"]


@rfc("6120", "6.3.2", "6.4.6")
async def test_after_the_login_the_stream_begins_anew_and_sasl_is_over(stranger: Actor) -> None:
    await ready(stranger)
    before = stranger.header["id"]
    await stranger.authenticates()
    features = await stranger.opens()
    assert stranger.header["id"] != before
    assert [child.tag for child in features] == [
        "{urn:ietf:params:xml:ns:xmpp-bind}bind",
        "{urn:ietf:params:xml:ns:xmpp-session}session",
        "{urn:xmpp:sm:3}sm",
    ]
    await stranger.sends_auth("PLAIN", b"\0juliet\0R0m30")
    await stranger.is_told("unsupported-stanza-type")


@rfc("6120", "6.4.6")
async def test_a_header_may_follow_the_login_in_the_same_packet(stranger: Actor) -> None:
    await ready(stranger)
    header = (
        "<stream:stream to='capulet.lit' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
        "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
    )
    await stranger.sends(f"<auth xmlns='{SASL}' mechanism='PLAIN'>AGp1bGlldABSMG0zMA==</auth>{header}")
    await stranger.receives(f"<success xmlns='{SASL}'/>")
    stranger.expects_new_stream()
    await stranger.hears_features()
    await stranger.receives("<iq type='result' id='b'>{any}</iq>")


@rfc("6120", "6.4.2")
async def test_a_mechanism_without_initial_response_begins_with_an_empty_challenge(stranger: Actor) -> None:
    await ready(stranger)
    await stranger.sends_auth("PLAIN", None)
    await stranger.receives(f"<challenge xmlns='{SASL}'>=</challenge>")
    await stranger.sends_response(b"\0juliet\0R0m30")
    await stranger.receives(f"<success xmlns='{SASL}'/>")


@rfc("6120", "6.4.2")
async def test_an_empty_initial_response_is_no_good_to_any_mechanism(stranger: Actor) -> None:
    await ready(stranger)
    await stranger.sends_auth("PLAIN", b"")
    await stranger.receives(failure("malformed-request"))
    await stranger.sends_auth("SCRAM-SHA-256", b"")
    await stranger.receives(failure("malformed-request"))
    await in_still(stranger)


@rfc("6120", "6.3.7")
async def test_the_simple_username_means_an_account_of_the_streams_domain(server: Cluster) -> None:
    actor = server.actor("juliet@montague.lit", PASSWORD)
    await ready(actor)
    await actor.is_refused("not-authorized", "PLAIN", Plain("juliet", PASSWORD))
    await actor.is_refused("not-authorized", "PLAIN", Plain("juliet@capulet.lit", PASSWORD))


# ── authorization identities ──


@rfc("6120", "6.3.8")
@pytest.mark.parametrize("authzid", ["juliet@capulet.lit", "JULIET@Capulet.lit"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
async def test_one_may_say_to_act_as_oneself(stranger: Actor, mechanism: str, authzid: str) -> None:
    await ready(stranger)
    await stranger.authenticates(mechanism, authzid=authzid)


@rfc("6120", "6.3.8", "6.5.6")
@pytest.mark.settings(limits={"sasl_attempts": 0})
async def test_nobody_may_act_as_somebody_else(stranger: Actor) -> None:
    await ready(stranger)
    for authzid in ("nurse@capulet.lit", "juliet@montague.lit", "juliet@capulet.lit/balcony", "capulet.lit", "juliet", "@", "a@b@c"):
        with case(authzid):
            await stranger.is_refused("invalid-authzid", "PLAIN", Plain("juliet", PASSWORD, authzid))
            await stranger.is_refused("invalid-authzid", "SCRAM-SHA-1", Scram("SCRAM-SHA-1", "juliet", PASSWORD, authzid))
    await in_still(stranger)


@rfc("6120", "6.5.6", "6.5.10")
async def test_who_has_not_the_password_learns_nothing_of_the_identity_that_they_want(stranger: Actor) -> None:
    await ready(stranger)
    await stranger.is_refused("not-authorized", "PLAIN", Plain("juliet", "wrong", "nurse@capulet.lit"))


# ── failures ──


@rfc("6120", "6.5.10", "13.11")
@pytest.mark.settings(limits={"sasl_attempts": 0})
async def test_a_wrong_password_and_an_unknown_account_fail_alike(stranger: Actor) -> None:
    await ready(stranger)
    for name in ("juliet", "nobody", "Nobody", "no body", "a@b", "x" * 1024):
        for mechanism in HASHES:
            with case(name, mechanism):
                await stranger.is_refused("not-authorized", mechanism, Scram(mechanism, name, "wrong"))
        if len(name) < 1024:
            with case(name):
                await stranger.is_refused("not-authorized", "PLAIN", Plain(name, "wrong"))
    await in_still(stranger)


@rfc("6120", "6.5.1")
async def test_a_disabled_account_says_so_to_its_owner_only(server: Cluster) -> None:
    await manage(server, "disable", "juliet@capulet.lit")
    actor = await ready(server.actor("juliet@capulet.lit", PASSWORD))
    await actor.is_refused("not-authorized", "PLAIN", Plain("juliet", "wrong"))
    await actor.is_refused("account-disabled", "PLAIN", Plain("juliet", PASSWORD))


@rfc("6120", "6.5.5")
@pytest.mark.settings(limits={"sasl_attempts": 0})
async def test_what_is_not_base64_is_told(stranger: Actor) -> None:
    await ready(stranger)
    for text in ("*", "AGp1bGlldABSMG0zMA", "AGp1bGlldABSMG0zMA===", "AGp1bG lldABSMG0zMA==", "AGp1bGlldABSMG0zMB==", "=AAA", "==", "é"):
        with case(text):
            await stranger.sends(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{text}</auth>")
            await stranger.receives(failure("incorrect-encoding"))
    await stranger.sends_auth("PLAIN", None)
    await stranger.receives(f"<challenge xmlns='{SASL}'>=</challenge>")
    await stranger.sends(f"<response xmlns='{SASL}'>*</response>")
    await stranger.receives(failure("incorrect-encoding"))
    await in_still(stranger)


@rfc("6120", "6.5.7")
@pytest.mark.settings(limits={"sasl_attempts": 0})
async def test_a_mechanism_that_was_not_offered_is_refused(stranger: Actor) -> None:
    await ready(stranger)
    for mechanism in (
        "",
        "DIGEST-MD5",
        "CRAM-MD5",
        "EXTERNAL",
        "ANONYMOUS",
        "plain",
        "SCRAM-SHA-224",
        "SCRAM-SHA-256-PLUS-PLUS",
        "X" * 999,
    ):
        with case(mechanism):
            await stranger.sends_auth(mechanism, b"\0juliet\0R0m30")
            await stranger.receives(failure("invalid-mechanism"))
    await stranger.sends(f"<auth xmlns='{SASL}'>AGp1bGlldABSMG0zMA==</auth>")
    await stranger.receives(failure("invalid-mechanism"))
    await in_still(stranger)


@rfc("6120", "6.3.4", "6.5.4", "13.8.3")
@pytest.mark.settings(c2s={"host": "127.0.0.1", "require_tls": False})
async def test_a_mechanism_that_needs_tls_is_not_there_without(stranger: Actor) -> None:
    await stranger.connects(direct=False)
    await stranger.opens()
    for mechanism in ("PLAIN", "SCRAM-SHA-256-PLUS"):
        await stranger.sends_auth(mechanism, b"\0juliet\0R0m30")
        await stranger.receives(failure("invalid-mechanism"))


@rfc("6120", "6.5.8")
@pytest.mark.settings(limits={"sasl_attempts": 0})
async def test_a_message_that_does_not_fit_the_mechanism_is_malformed(stranger: Actor) -> None:
    await ready(stranger)
    plain = [b"juliet", b"juliet\0R0m30", b"\0juliet\0", b"\0\0R0m30", b"\0juliet\0R0m30\0", b"\0\xff\0R0m30", b"\0juliet\0" + b"x" * 1100]
    scram = [
        b"n",
        b"n,,",
        b"n,,n=juliet",
        b"n,,r=abc",
        b"n,,n=juliet,r=",
        b"n,,m=x,n=juliet,r=abc",
        b"x,,n=juliet,r=abc",
        b"n,,n=a=b,r=abc",
    ]
    scram += [b"p=tls-unique,,n=juliet,r=abc", b"n,,n=juliet,r=\xff", b"n,,n=,r=abc", b"n,,n=juliet,r=" + b"x" * 2000]
    for mechanism, messages in (
        ("PLAIN", plain),
        ("SCRAM-SHA-256", scram),
        ("SCRAM-SHA-256-PLUS", [b"n,,n=juliet,r=abc", b"p=x,,n=juliet,r=a"]),
    ):
        for message in messages:
            with case(mechanism, message):
                await stranger.sends_auth(mechanism, message)
                await stranger.receives(failure("malformed-request"))
    await in_still(stranger)


@rfc("6120", "6.5.8")
@pytest.mark.settings(limits={"sasl_attempts": 0})
async def test_a_final_message_that_does_not_fit_is_refused(stranger: Actor) -> None:
    await ready(stranger)
    for final, condition in (
        (b"", "malformed-request"),
        (b"c=biws", "malformed-request"),
        (b"c=biws,r=NONCE,p=!", "malformed-request"),
        (b"c=biws,r=NONCE,p=AAAA", "not-authorized"),
        (b"c=biws,r=other,p=AAAA", "not-authorized"),
        (b"c=eSws,r=NONCE,p=AAAA", "not-authorized"),
        (b"r=NONCE,c=biws,p=AAAA", "malformed-request"),
    ):
        with case(final):
            await stranger.sends_auth("SCRAM-SHA-256", b"n,,n=juliet,r=abc")
            challenge = await stranger.hears_challenge()
            nonce = challenge.partition(b",")[0].removeprefix(b"r=")
            await stranger.sends_response(final.replace(b"NONCE", nonce))
            await stranger.receives(failure(condition))
    await in_still(stranger)


@rfc("6120", "6.5.8", "13.12")
async def test_a_message_that_is_too_long_is_malformed(stranger: Actor) -> None:
    await ready(stranger)
    await stranger.sends_auth("PLAIN", b"\0juliet\0" + b"x" * 9000)
    await stranger.receives(failure("malformed-request"))
    await in_still(stranger)


@rfc("6120", "4.9.3.14", "13.12")
async def test_a_message_that_is_longer_than_any_ends_the_stream(stranger: Actor) -> None:
    await ready(stranger)
    await stranger.sends_auth("PLAIN", b"x" * 20_000)
    await stranger.is_told("policy-violation")


@rfc("6120", "6.4.4", "6.5.2")
async def test_a_client_may_abort_and_begin_again(stranger: Actor) -> None:
    await ready(stranger)
    await stranger.sends_auth("SCRAM-SHA-256", b"n,,n=juliet,r=abc")
    await stranger.hears_challenge()
    await stranger.sends(f"<abort xmlns='{SASL}'/>")
    await stranger.receives(f"<failure xmlns='{SASL}'><aborted/></failure>")
    await stranger.sends(f"<abort xmlns='{SASL}'/>")
    await stranger.receives(failure("aborted"))
    await in_still(stranger)


@rfc("6120", "6.4.3")
async def test_elements_out_of_their_order_are_refused(stranger: Actor) -> None:
    await ready(stranger)
    await stranger.sends_response(b"\0juliet\0R0m30")
    await stranger.receives(failure("malformed-request"))
    await stranger.sends_auth("SCRAM-SHA-256", b"n,,n=juliet,r=abc")
    await stranger.hears_challenge()
    await stranger.sends_auth("PLAIN", b"\0juliet\0R0m30")
    await stranger.receives(failure("malformed-request"))
    await in_still(stranger)


@rfc("6120", "4.9.3.12", "6.4.3")
async def test_a_stanza_within_an_exchange_ends_the_stream(stranger: Actor) -> None:
    await ready(stranger)
    await stranger.sends_auth("SCRAM-SHA-256", b"n,,n=juliet,r=abc")
    await stranger.hears_challenge()
    await stranger.sends("<message to='nurse@capulet.lit'/>")
    await stranger.is_told("not-authorized")


@rfc("6120", "6.4.5", "13.12")
async def test_after_three_failures_the_stream_ends(stranger: Actor) -> None:
    await ready(stranger)
    await stranger.is_refused("not-authorized", "PLAIN", Plain("juliet", "wrong"))
    await stranger.is_refused("not-authorized", "SCRAM-SHA-1", Scram("SCRAM-SHA-1", "juliet", "wrong"))
    await stranger.is_refused("not-authorized", "PLAIN", Plain("juliet", "wrong"))
    await stranger.is_told("policy-violation")


@rfc("6120", "6.5.11", "13.12")
@pytest.mark.settings(limits={"sasl_attempts": 0, "auth_failures_per_minute": 3})
async def test_who_guesses_is_put_off_even_with_the_right_password(stranger: Actor) -> None:
    await ready(stranger)
    for _ in range(3):
        await stranger.is_refused("not-authorized", "PLAIN", Plain("juliet", "wrong"))
    await stranger.is_refused("temporary-auth-failure", "PLAIN", Plain("juliet", PASSWORD))
    await stranger.is_refused("temporary-auth-failure", "SCRAM-SHA-1", Scram("SCRAM-SHA-1", "juliet", PASSWORD))


# ── channel binding ──


@rfc("5802", "6")
@rfc("9266", "3", "4.2")
@rfc("5929", "3", "4")
@pytest.mark.parametrize("mechanism", [f"{name}-PLUS" for name in HASHES])
@pytest.mark.parametrize(
    ("version", "binding"),
    [
        (SSL.TLS1_3_VERSION, "tls-exporter"),
        (SSL.TLS1_3_VERSION, "tls-server-end-point"),
        (SSL.TLS1_2_VERSION, "tls-exporter"),
        (SSL.TLS1_2_VERSION, "tls-server-end-point"),
        (SSL.TLS1_2_VERSION, "tls-unique"),
    ],
)
async def test_a_login_is_bound_to_the_channel(binding_client: Callable[[int], Actor], mechanism: str, version: int, binding: str) -> None:
    actor = await ready(binding_client(version))
    await actor.authenticates(mechanism, binding=binding)
    await actor.opens()
    await actor.binds()


@rfc("5802", "6")
@rfc("6120", "13.8.1")
@pytest.mark.parametrize("binding", ["tls-exporter", "tls-server-end-point", "tls-unique"])
async def test_a_login_that_is_bound_to_another_channel_is_refused(binding_client: Callable[[int], Actor], binding: str) -> None:
    """Somebody in the middle, with a certificate that the client took, passes the exchange on."""
    actor, other = await ready(binding_client(SSL.TLS1_2_VERSION)), await ready(binding_client(SSL.TLS1_2_VERSION))
    data = other.bindings()[binding] if binding != "tls-server-end-point" else bytes(32)
    await actor.is_refused("not-authorized", "SCRAM-SHA-256-PLUS", Scram("SCRAM-SHA-256-PLUS", "juliet", PASSWORD, binding=(binding, data)))
    await in_still(actor)


@rfc("5929", "3")
@rfc("9266", "3")
async def test_tls_unique_is_not_there_in_tls_13(binding_client: Callable[[int], Actor]) -> None:
    actor = await ready(binding_client(SSL.TLS1_3_VERSION))
    scram = Scram("SCRAM-SHA-256-PLUS", "juliet", PASSWORD, binding=("tls-unique", b"x" * 12))
    await actor.is_refused("malformed-request", "SCRAM-SHA-256-PLUS", scram)


@rfc("5802", "6")
@pytest.mark.parametrize("mechanism", HASHES)
async def test_who_says_that_the_server_offered_no_channel_binding_was_deceived(stranger: Actor, mechanism: str) -> None:
    await ready(stranger)
    await stranger.is_refused("not-authorized", mechanism, Scram(mechanism, "juliet", PASSWORD, flag="y"))
    await in_still(stranger)


@rfc("5802", "6")
@pytest.mark.settings(c2s={"host": "127.0.0.1", "require_tls": False})
async def test_where_no_channel_binding_is_offered_one_may_say_so(stranger: Actor) -> None:
    await stranger.connects(direct=False)
    await stranger.opens()
    await stranger.exchanges("SCRAM-SHA-256", Scram("SCRAM-SHA-256", "juliet", PASSWORD, flag="y"))
