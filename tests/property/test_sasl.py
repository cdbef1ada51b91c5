"""SASL: whatever a stranger sends is an answer or a SASL failure, and only the right password logs in."""

import contextlib
from base64 import b64encode

from hypothesis import assume, given
from hypothesis import strategies as st
from scramp import ScramClient  # type: ignore[import-untyped]
from scramp.utils import ScramException  # type: ignore[import-untyped]
from scramp.utils import saslprep as scramp_saslprep

from aldis.core.xmpp.errors.sasl import SaslFailure
from aldis.core.xmpp.jid import Jid
from aldis.core.xmpp.sasl import (
    PasswordNotAllowed,
    ScramHash,
    ScramServer,
    account,
    check_authzid,
    derive,
    initial_response,
    parse_plain,
    response,
    saslprep,
    verify_password,
    verify_proof,
)

MECHANISMS = [algorithm.mechanism + plus for algorithm in ScramHash for plus in ("", "-PLUS")]
BINDINGS = {"tls-unique": b"unique"}
SALT = b"salt" * 4
JULIET = Jid.parse("juliet@capulet.lit")
ATTRIBUTES = st.lists(
    st.one_of(
        st.sampled_from(["n", "y", "p=tls-unique", "", "n=u", "r=n", "a=x", "m=x", "c=biws", "r=ns", "p=AAAA", "p=", "x=y"]),
        st.text(max_size=5),
    ),
    max_size=7,
).map(lambda parts: ",".join(parts).encode())
MESSAGES = st.one_of(st.binary(max_size=60), ATTRIBUTES)
PASSWORDS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), min_size=1, max_size=12)


@given(st.sampled_from(MECHANISMS), MESSAGES, st.sampled_from([{}, BINDINGS]))
def test_any_first_message_is_taken_or_refused(mechanism: str, message: bytes, bindings: dict[str, bytes]) -> None:
    with contextlib.suppress(SaslFailure):
        assert ScramServer(mechanism, server_nonce="s", bindings=bindings).first(message).username


@given(MESSAGES)
def test_any_final_message_is_taken_or_refused_and_proves_nothing(message: bytes) -> None:
    server = ScramServer("SCRAM-SHA-256", server_nonce="s", bindings={})
    server.first(b"n,,n=u,r=n")
    server.challenge(SALT, 2)
    with contextlib.suppress(SaslFailure):
        claim = server.final(message)
        keys = derive("pencil", SALT, 2, ScramHash.SHA_256)
        assert verify_proof(keys, ScramHash.SHA_256, claim.auth_message, claim.proof) is None


@given(st.one_of(st.binary(max_size=40), st.lists(st.binary(max_size=6), max_size=4).map(b"\0".join)))
def test_any_plain_message_is_read_or_refused(message: bytes) -> None:
    with contextlib.suppress(SaslFailure):
        plain = parse_plain(message)
        assert "\0".join((plain.authzid or "", plain.authcid, plain.password)).encode() == message


@given(
    st.one_of(
        st.text(st.characters(), max_size=20), st.text("AB=+/- \n", max_size=8), st.binary(max_size=12).map(lambda b: b64encode(b).decode())
    )
)
def test_any_text_is_base64_or_refused(text: str) -> None:
    with contextlib.suppress(SaslFailure):
        assert response(text) == (initial_response(text) or b"")
        assert b64encode(response(text)).decode() == text.removeprefix("=" if text == "=" else "")


@given(st.text(st.characters(), max_size=20), st.text(st.characters(), max_size=20))
def test_any_name_is_an_account_or_refused(username: str, authzid: str) -> None:
    with contextlib.suppress(SaslFailure):
        assert account(username, "capulet.lit").domain == "capulet.lit"
    with contextlib.suppress(SaslFailure):
        check_authzid(authzid, JULIET)
        assert authzid.lower() == "juliet@capulet.lit"


def prepared(password: str) -> str | None:
    try:
        return saslprep(password)
    except PasswordNotAllowed:
        return None


@given(PASSWORDS, PASSWORDS, st.sampled_from(list(ScramHash)))
def test_the_right_password_passes_and_another_never(right: str, wrong: str, algorithm: ScramHash) -> None:
    assume(prepared(right) is not None)
    keys = derive(right, SALT, 2, algorithm)

    assert verify_password(right, SALT, 2, algorithm, keys)
    assert verify_password(wrong, SALT, 2, algorithm, keys) == (prepared(wrong) == prepared(right))


@given(PASSWORDS, PASSWORDS, st.sampled_from(["SCRAM-SHA-1", "SCRAM-SHA-256-PLUS"]))
def test_the_right_proof_passes_and_another_never(right: str, guess: str, mechanism: str) -> None:
    assume(prepared(right) is not None and prepared(guess) is not None)
    binding = ("tls-unique", BINDINGS["tls-unique"]) if mechanism.endswith("PLUS") else None
    server = ScramServer(mechanism, server_nonce="s", bindings=BINDINGS)
    client = ScramClient([mechanism], "juliet", guess, channel_binding=binding, c_nonce="c")
    server.first(client.get_client_first().encode())
    client.set_server_first(server.challenge(SALT, 4096).decode())
    claim = server.final(client.get_client_final().encode())

    signature = verify_proof(derive(right, SALT, 4096, server.algorithm), server.algorithm, claim.auth_message, claim.proof)

    assert (signature is not None) == (prepared(right) == prepared(guess))


@given(st.text(st.characters(), max_size=8))
def test_passwords_are_prepared_as_another_implementation_does(text: str) -> None:
    try:
        theirs = scramp_saslprep(text) or None
    except ScramException:
        theirs = None

    assert prepared(text) == theirs
