"""RFC 6120 §6.3.3 and §6.4: what is offered, and how SASL data is written."""

import pytest

from aldis.core.xmpp.errors.sasl import IncorrectEncoding, MalformedRequest
from aldis.core.xmpp.sasl import ScramHash, decode, encode, initial_response, offer, response


def test_the_strongest_mechanism_comes_first() -> None:
    assert offer(tls=True, bindings={"tls-exporter": b"x"}, hashes=list(ScramHash)) == (
        "SCRAM-SHA-512-PLUS",
        "SCRAM-SHA-256-PLUS",
        "SCRAM-SHA-1-PLUS",
        "SCRAM-SHA-512",
        "SCRAM-SHA-256",
        "SCRAM-SHA-1",
        "PLAIN",
    )


def test_without_tls_there_is_neither_binding_nor_plain() -> None:
    assert offer(tls=False, bindings=(), hashes=[ScramHash.SHA_1, ScramHash.SHA_256]) == ("SCRAM-SHA-256", "SCRAM-SHA-1")
    assert offer(tls=False, bindings=(), hashes=[ScramHash.SHA_1], plain_without_tls=True) == ("SCRAM-SHA-1", "PLAIN")


def test_only_hashes_that_the_accounts_have_are_offered() -> None:
    assert offer(tls=True, bindings=("tls-unique",), hashes=[ScramHash.SHA_256]) == ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN")
    assert offer(tls=True, bindings=("tls-unique",), hashes=[]) == ("PLAIN",)


@pytest.mark.parametrize(("text", "data"), [("", None), ("=", b""), ("AA==", b"\0"), ("biws", b"n,,")])
def test_an_initial_response_may_be_absent_or_empty(text: str, data: bytes | None) -> None:
    assert initial_response(text) == data


def test_a_response_may_be_empty() -> None:
    assert response("") == response("=") == b""
    assert response("biws") == b"n,,"


@pytest.mark.parametrize(
    "text",
    ["A", "AA", "AA=", "AAA", "AA==AA==", "AA===", "=AA=", "==", "AB==", "AAF=", "b iws", "biws\n", "bi-_", "b\u00e4ws", "\ud800AAA"],
)
def test_what_is_not_exactly_base64_is_refused(text: str) -> None:
    for read in (initial_response, response, decode):
        with pytest.raises(IncorrectEncoding):
            read(text)


def test_a_message_has_a_limit() -> None:
    assert response("AAAA" * 2700) == b"\0" * 8100
    with pytest.raises(MalformedRequest, match="too long"):
        initial_response("AAAA" * 2732)


def test_empty_data_is_written_as_an_equals_sign() -> None:
    assert (encode(b""), encode(b"n,,")) == ("=", "biws")
