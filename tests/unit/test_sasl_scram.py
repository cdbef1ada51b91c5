"""RFC 5802, RFC 7677: the keys and the server's side of SCRAM, against the RFCs' vectors and another implementation's client."""

from base64 import b64decode, b64encode
from dataclasses import dataclass

import pytest
from scramp import ScramClient, ScramMechanism  # type: ignore[import-untyped]
from scramp.core import CbName  # type: ignore[import-untyped]

from aldis.core.xmpp.errors.sasl import InvalidAuthzid, MalformedRequest, NotAuthorized, SaslFailure
from aldis.core.xmpp.sasl import ClientFirst, ScramHash, ScramKeys, ScramServer, derive, fake_salt, verify_password, verify_proof

SALT = b"0123456789abcdef"
BINDINGS = {"tls-exporter": b"e" * 32, "tls-server-end-point": b"s" * 32, "tls-unique": b"u" * 12}
PASSWORD = "pencil"
SHA_512_KEYS = derive(PASSWORD, SALT, 4096, ScramHash.SHA_512)


@dataclass(frozen=True)
class Vector:
    algorithm: ScramHash
    server_nonce: str
    salt: str
    client_first: str
    challenge: str
    client_final: str
    success: str


RFC_5802 = Vector(  # §5
    ScramHash.SHA_1,
    server_nonce="3rfcNHYJY1ZVvWVs7j",
    salt="QSXCR+Q6sek8bf92",
    client_first="n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
    challenge="r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
    client_final="c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
    success="v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
)
RFC_7677 = Vector(  # §3
    ScramHash.SHA_256,
    server_nonce="%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
    salt="W22ZaJ0SNY7soEsUEjb6gQ==",
    client_first="n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
    challenge="r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
    client_final="c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    success="v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
)


@pytest.mark.parametrize("rfc", [RFC_5802, RFC_7677])
def test_the_exchange_of_the_rfc(rfc: Vector) -> None:
    keys = derive(PASSWORD, b64decode(rfc.salt), 4096, rfc.algorithm)
    server = ScramServer(rfc.algorithm.mechanism, server_nonce=rfc.server_nonce, bindings={})

    assert server.first(rfc.client_first.encode()) == ClientFirst("user", None, None)
    assert server.challenge(b64decode(rfc.salt), 4096).decode() == rfc.challenge
    claim = server.final(rfc.client_final.encode())
    signature = verify_proof(keys, rfc.algorithm, claim.auth_message, claim.proof)
    assert signature is not None
    assert server.success(signature).decode() == rfc.success


@pytest.mark.parametrize("algorithm", list(ScramHash))
def test_the_keys_are_those_of_another_implementation(algorithm: ScramHash) -> None:
    _, stored_key, server_key, _ = ScramMechanism(algorithm.mechanism).make_auth_info("p\u00e4sswort", iteration_count=10000, salt=SALT)

    assert derive("p\u00e4sswort", SALT, 10000, algorithm) == ScramKeys(stored_key, server_key)


def exchange(
    mechanism: str, binding: tuple[str, bytes] | None = None, *, password: str = PASSWORD, bindings: dict[str, bytes] = BINDINGS
) -> bool:
    """Let scramp's client log in; tell whether the proof held, in which case the client has checked the server, too."""
    client = ScramClient([mechanism], "ju,li=et", password, channel_binding=binding)
    server = ScramServer(mechanism, server_nonce="server-nonce", bindings=bindings)
    keys = derive(PASSWORD, SALT, 4096, server.algorithm)

    assert server.first(client.get_client_first().encode()).username == "ju,li=et"
    client.set_server_first(server.challenge(SALT, 4096).decode())
    claim = server.final(client.get_client_final().encode())
    signature = verify_proof(keys, server.algorithm, claim.auth_message, claim.proof)
    if signature is None:
        return False
    client.set_server_final(server.success(signature).decode())
    return True


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    """scramp refuses tls-exporter by name, because `ssl` does not provide it; given the data its client can do it."""
    monkeypatch.setattr(CbName, "UNSUPPORTED_TYPES", frozenset())
    monkeypatch.setattr(CbName, "SUPPORTED_TYPES", CbName.SUPPORTED_TYPES | {"tls-exporter"})


@pytest.mark.parametrize("algorithm", list(ScramHash))
@pytest.mark.usefixtures("exporter")
def test_another_implementations_client_logs_in(algorithm: ScramHash) -> None:
    assert exchange(algorithm.mechanism)
    for binding in BINDINGS.items():
        assert exchange(f"{algorithm.mechanism}-PLUS", binding)


@pytest.mark.parametrize("algorithm", list(ScramHash))
def test_a_wrong_password_does_not(algorithm: ScramHash) -> None:
    assert not exchange(algorithm.mechanism, password="pencil ")
    assert not exchange(f"{algorithm.mechanism}-PLUS", ("tls-unique", BINDINGS["tls-unique"]), password="Pencil")


@pytest.mark.parametrize("type_", list(BINDINGS))
@pytest.mark.usefixtures("exporter")
def test_another_channel_does_not_even_with_the_right_password(type_: str) -> None:
    with pytest.raises(NotAuthorized):
        exchange("SCRAM-SHA-256-PLUS", (type_, b"somebody in the middle"))


def test_a_client_that_was_not_shown_plus_is_told_so_by_a_refusal() -> None:
    binding = ("tls-unique", BINDINGS["tls-unique"])  # scramp says "y" where it has a binding and the mechanism has none

    assert exchange("SCRAM-SHA-256", binding, bindings={})
    with pytest.raises(NotAuthorized, match="hidden"):
        exchange("SCRAM-SHA-256", binding)


@pytest.mark.parametrize(
    ("mechanism", "message", "failure"),
    [
        ("SCRAM-SHA-1-PLUS", "n,,n=u,r=n", MalformedRequest),
        ("SCRAM-SHA-1-PLUS", "y,,n=u,r=n", MalformedRequest),
        ("SCRAM-SHA-1", "p=tls-unique,,n=u,r=n", MalformedRequest),
        ("SCRAM-SHA-1-PLUS", "p=tls-unique-for-telnet,,n=u,r=n", MalformedRequest),
        ("SCRAM-SHA-1-PLUS", "p=,,n=u,r=n", MalformedRequest),
        ("SCRAM-SHA-1-PLUS", "p=tls_unique,,n=u,r=n", MalformedRequest),
        ("SCRAM-SHA-1-PLUS", "p,,n=u,r=n", MalformedRequest),
        ("SCRAM-SHA-1", "y,,n=u,r=n", NotAuthorized),
        ("SCRAM-SHA-1", "", MalformedRequest),
        ("SCRAM-SHA-1", "n,n=u,r=n", MalformedRequest),
        ("SCRAM-SHA-1", "x,,n=u,r=n", MalformedRequest),
        ("SCRAM-SHA-1", "N,,n=u,r=n", MalformedRequest),
        ("SCRAM-SHA-1", "F,n,,n=u,r=n", MalformedRequest),
        ("SCRAM-SHA-1", "n,,m=x,n=u,r=n", MalformedRequest),
        ("SCRAM-SHA-1", "n,,n=u,r=n,m=x", MalformedRequest),
        ("SCRAM-SHA-1", "n,,r=n,n=u", MalformedRequest),
        ("SCRAM-SHA-1", "n,,x=y,n=u,r=n", MalformedRequest),
        ("SCRAM-SHA-1", "n,,n=u,x=y,r=n", MalformedRequest),
        ("SCRAM-SHA-1", "n,,n=u,r=n,n=v", MalformedRequest),
        ("SCRAM-SHA-1", "n,,n=u,r=n,c=biws", MalformedRequest),
        ("SCRAM-SHA-1", "n,,n=u,r=n,x", MalformedRequest),
        ("SCRAM-SHA-1", "n,,n=u,r=n,x=", MalformedRequest),
        ("SCRAM-SHA-1", "n,,n=u,r=n,", MalformedRequest),
        ("SCRAM-SHA-1", "n,,n=u", MalformedRequest),
        ("SCRAM-SHA-1", "n,,n=,r=n", MalformedRequest),
        ("SCRAM-SHA-1", "n,,n=u,r=", MalformedRequest),
        ("SCRAM-SHA-1", "n,,n=u,r=a b", MalformedRequest),
        ("SCRAM-SHA-1", "n,,n=u,r=\u00e4", MalformedRequest),
        ("SCRAM-SHA-1", "n,,n=u,r=" + "n" * 1025, MalformedRequest),
        ("SCRAM-SHA-1", "n,,n=u\0,r=n", MalformedRequest),
        ("SCRAM-SHA-1", "n,,n=u=2c,r=n", MalformedRequest),
        ("SCRAM-SHA-1", "n,,n=u=,r=n", MalformedRequest),
        ("SCRAM-SHA-1", "n,,n=u=3E,r=n", MalformedRequest),
        ("SCRAM-SHA-1", "n,juliet,n=u,r=n", MalformedRequest),
        ("SCRAM-SHA-1", "n,a=,n=u,r=n", InvalidAuthzid),
        ("SCRAM-SHA-1", "n,a=x=y,n=u,r=n", InvalidAuthzid),
        ("SCRAM-SHA-1", "n,,n=" + "u" * 9000 + ",r=n", MalformedRequest),
    ],
)
def test_a_first_message_against_the_rules_is_refused(mechanism: str, message: str, failure: type[SaslFailure]) -> None:
    server = ScramServer(mechanism, server_nonce="s", bindings=BINDINGS)

    with pytest.raises(failure):
        server.first(message.encode())


def test_bytes_that_are_no_utf_8_are_refused() -> None:
    with pytest.raises(MalformedRequest, match="UTF-8"):
        ScramServer("SCRAM-SHA-1", server_nonce="s", bindings={}).first(b"n,,n=\xff,r=n")


@pytest.mark.parametrize(
    ("message", "first"),
    [
        ("n,,n=ju=2Cli=3Det,r=n", ClientFirst("ju,li=et", None, None)),
        ("n,,n==3D2C,r=n", ClientFirst("=2C", None, None)),
        ("n,a=juliet@capulet.lit,n=juliet,r=n", ClientFirst("juliet", "juliet@capulet.lit", None)),
        ("n,a=a=2Cb,n=juliet,r=n", ClientFirst("juliet", "a,b", None)),
        ("n,,n=\u044e,r=n,x=an extension,z=another", ClientFirst("\u044e", None, None)),
    ],
)
def test_names_are_unescaped_and_extensions_passed_over(message: str, first: ClientFirst) -> None:
    assert ScramServer("SCRAM-SHA-1", server_nonce="s", bindings={}).first(message.encode()) == first


def test_the_binding_in_use_is_told() -> None:
    server = ScramServer("SCRAM-SHA-1-PLUS", server_nonce="s", bindings=BINDINGS)

    assert server.first(b"p=tls-exporter,,n=u,r=n").binding == "tls-exporter"


def challenged(client_first: bytes = b"n,,n=u,r=client") -> ScramServer:
    server = ScramServer("SCRAM-SHA-512", server_nonce="server", bindings={})
    server.first(client_first)
    server.challenge(SALT, 4096)
    return server


@pytest.mark.parametrize(
    ("message", "failure"),
    [
        ("c=biws,r=clientserverx,p=AA==", NotAuthorized),
        ("c=biws,r=client,p=AA==", NotAuthorized),
        ("c=biws,r=\u00e4,p=AA==", NotAuthorized),
        ("c=eSws,r=clientserver,p=AA==", NotAuthorized),  # "y,,"
        ("c=biwsAB==,r=clientserver,p=AA==", MalformedRequest),
        ("c=biwsAAA=,r=clientserver,p=AA==", NotAuthorized),
        ("c=,r=clientserver,p=AA==", NotAuthorized),
        ("", MalformedRequest),
        ("c=biws,r=clientserver", MalformedRequest),
        ("c=biws,p=AA==", MalformedRequest),
        ("c=biws,r=clientserver,p=AA", MalformedRequest),
        ("c=biws,r=clientserver,p=AA==,x=y", MalformedRequest),
        ("c=biws,r=clientserver,p=AA==,p=AA==", MalformedRequest),
        ("c=biws,r=clientserver,m=x,p=AA==", MalformedRequest),
        ("r=clientserver,c=biws,p=AA==", MalformedRequest),
        ("c=b iws,r=clientserver,p=AA==", MalformedRequest),
        ("c=\u00e4,r=clientserver,p=AA==", MalformedRequest),
        ("c=biws,x=y,r=clientserver,p=AA==", MalformedRequest),
    ],
)
def test_a_final_message_against_the_rules_is_refused(message: str, failure: type[SaslFailure]) -> None:
    with pytest.raises(failure):
        challenged().final(message.encode())


def test_the_header_is_compared_as_it_was_sent() -> None:
    server = challenged(b"n,a=u@capulet.lit,n=u,r=client,x=y")
    header = b64encode(b"n,a=u@capulet.lit,").decode()

    claim = server.final(f"c={header},r=clientserver,z=more,p=AAAA".encode())

    assert claim.auth_message.startswith(b"n=u,r=client,x=y,r=clientserver,s=")
    assert claim.auth_message.endswith(f",i=4096,c={header},r=clientserver,z=more".encode())
    assert claim.proof == b"\0\0\0"


def test_a_proof_of_the_wrong_length_does_not_hold() -> None:
    for proof in (b"", b"\0" * 63, b"\0" * 65, b"\0" * 64):
        assert verify_proof(SHA_512_KEYS, ScramHash.SHA_512, b"message", proof) is None


def test_an_exchange_goes_one_way_and_ends_with_a_failure() -> None:
    server = challenged()
    with pytest.raises(ValueError, match="FINAL"):
        server.first(b"n,,n=u,r=n")
    with pytest.raises(NotAuthorized):
        server.final(b"c=biws,r=wrong,p=AAAA")
    with pytest.raises(ValueError, match="DONE"):
        server.final(b"c=biws,r=clientserver,p=AAAA")
    with pytest.raises(ValueError, match="DONE"):
        server.success(b"x")


def test_only_our_mechanisms_and_clean_nonces_are_taken() -> None:
    for mechanism in ("PLAIN", "SCRAM-MD5", "SCRAM-SHA-1-PLUS-PLUS", "SHA-1"):
        with pytest.raises(ValueError, match="not a"):
            ScramServer(mechanism, server_nonce="s", bindings={})
    for nonce in ("", "a,b", "a b", "\u00e4"):
        with pytest.raises(ValueError, match="nonce"):
            ScramServer("SCRAM-SHA-1", server_nonce=nonce, bindings={})


def test_a_password_in_the_clear_is_checked_against_the_keys() -> None:
    keys = derive("p\u00aancil", SALT, 3, ScramHash.SHA_256)

    assert verify_password("pancil", SALT, 3, ScramHash.SHA_256, keys)  # RFC 4013 §3: they are the same string
    assert not verify_password("pencil", SALT, 3, ScramHash.SHA_256, keys)
    assert not verify_password("", SALT, 3, ScramHash.SHA_256, keys)
    assert not verify_password("pancil\u0007", SALT, 3, ScramHash.SHA_256, keys)


def test_the_salt_of_nobody_is_steady_and_tells_nothing() -> None:
    salt = fake_salt(b"secret", ScramHash.SHA_256, "nobody@capulet.lit")

    assert len(salt) == 16
    assert salt == fake_salt(b"secret", ScramHash.SHA_256, "nobody@capulet.lit")
    others = {
        fake_salt(b"another", ScramHash.SHA_256, "nobody@capulet.lit"),
        fake_salt(b"secret", ScramHash.SHA_1, "nobody@capulet.lit"),
        fake_salt(b"secret", ScramHash.SHA_256, "noone@capulet.lit"),
    }
    assert len(others | {salt}) == 4


def test_keys_do_not_show_in_a_log() -> None:
    claim = challenged().final(b"c=biws,r=clientserver,p=AAAA")

    assert (repr(SHA_512_KEYS), repr(claim)) == ("ScramKeys()", "Proof()")
