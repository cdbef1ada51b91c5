"""Real clients log in over TLS by the strongest mechanism that each has, and are refused when they should be."""

import re
import ssl

import pytest

from tests.interop.house import Clients, House

PASSWORD = "Grüße, Wörld-1"
STRONGEST = "SCRAM-SHA-512"


@pytest.fixture(scope="module")
def mercutio(house: House) -> str:
    """An account for all that log in here."""
    house.add("mercutio@localhost", PASSWORD)
    return "mercutio@localhost"


@pytest.mark.parametrize("tls12", [False, True], ids=["tls1.3", "tls1.2"])
@pytest.mark.parametrize("direct", [False, True], ids=["starttls", "direct"])
def test_slixmpp_logs_in_by_the_strongest_mechanism_it_has(
    house: House, clients: Clients, mercutio: str, direct: bool, tls12: bool
) -> None:
    # Python's ssl module binds to a channel of TLS 1.3 only where it knows tls-exporter (RFC 9266), which it doesn't yet.
    binds = tls12 or "tls-exporter" in ssl.CHANNEL_BINDING_TYPES
    strongest = f"{STRONGEST}-PLUS" if binds else STRONGEST
    before = house.logins().get((strongest, "ok"), 0)
    client = clients.slixmpp(mercutio, PASSWORD, direct=direct, tls12=tls12, resource="slix")
    started = client.login()
    assert started["mechanism"] == strongest
    assert started["tls"] == ("TLSv1.2" if tls12 else "TLSv1.3")
    assert started["verified"]
    assert started["jid"] == "mercutio@localhost/slix"
    assert house.logins()[strongest, "ok"] == before + 1
    client.do("ping", jid="localhost")


@pytest.mark.needs("profanity", "tmux")
@pytest.mark.parametrize("direct", [False, True], ids=["starttls", "direct"])
def test_profanity_logs_in_by_the_strongest_mechanism_it_has(house: House, clients: Clients, mercutio: str, direct: bool) -> None:
    before = house.logins()
    client = clients.profanity(mercutio, PASSWORD, direct=direct)
    client.shows(r"mercutio@localhost/profanity logged in successfully, online")
    client.shows(r"\[TLS\] +\[online\]")  # and not [TLS] with a warning, as for a certificate that is only tolerated
    client.logged("Certificate verification passed")
    mechanism = client.logged(r'SENT: <auth [^>]*mechanism="([A-Z0-9-]+)"')[1]
    assert mechanism in {STRONGEST, f"{STRONGEST}-PLUS"}  # libstrophe binds to the channel since 0.13
    assert house.logins()[mechanism, "ok"] == before.get((mechanism, "ok"), 0) + 1
    assert len(re.findall("SENT: <auth ", client.log())) == 1


@pytest.mark.parametrize("direct", [False, True], ids=["starttls", "direct"])
def test_slixmpp_does_not_log_in_where_it_does_not_trust_the_certificate(clients: Clients, mercutio: str, direct: bool) -> None:
    client = clients.slixmpp(mercutio, PASSWORD, direct=direct, trusting=False)
    client.do("connect")
    told = client.told("connection_failed" if direct else "certificate_refused")
    assert "self-signed certificate" in told["error"]
    assert not client.heard("started")


@pytest.mark.needs("profanity", "tmux")
def test_profanity_asks_whether_to_trust_a_certificate_that_it_does_not_know(house: House, clients: Clients, mercutio: str) -> None:
    client = clients.profanity(mercutio, PASSWORD, trusting=False)
    client.shows("TLS certificate verification failed")
    client.shows("Aldis self-signed certificate")
    assert "SENT: <auth" not in client.log()
    client.type("/tls allow")
    client.shows(r"mercutio@localhost/profanity logged in successfully")


def test_slixmpp_is_told_that_its_password_is_wrong(house: House, clients: Clients, mercutio: str) -> None:
    client = clients.slixmpp(mercutio, "wrong", tls12=True)
    client.do("connect")
    assert client.told("failed_auth")["condition"] == "not-authorized"
    assert client.told("stream_error")["condition"] == "policy-violation"  # slixmpp tried weaker ones, until it was enough
    client.told("disconnected")
    assert not client.heard("started")
    assert "reason=not-authorized" in house.log()


@pytest.mark.needs("profanity", "tmux")
def test_profanity_is_told_that_its_password_is_wrong(clients: Clients, mercutio: str) -> None:
    client = clients.profanity(mercutio, "wrong")
    client.shows("Login failed")
    assert "logged in successfully" not in client.screen()


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1", "SCRAM-SHA-256", "PLAIN"])
def test_slixmpp_logs_in_by_each_other_mechanism(house: House, clients: Clients, mercutio: str, mechanism: str) -> None:
    before = house.logins().get((mechanism, "ok"), 0)
    client = clients.slixmpp(mercutio, PASSWORD, mechanism=mechanism, tls12=True)
    started = client.login()
    assert started["mechanism"] == mechanism
    assert set(started["offered"]) == {"PLAIN", *(f"SCRAM-SHA-{n}{plus}" for n in (1, 256, 512) for plus in ("", "-PLUS"))}
    assert house.logins()[mechanism, "ok"] == before + 1
