"""RFC 4616: PLAIN messages; RFC 6120 §6.3: whose account a name means."""

import pytest

from aldis.core.xmpp.errors.sasl import InvalidAuthzid, MalformedRequest, NotAuthorized
from aldis.core.xmpp.jid import Jid
from aldis.core.xmpp.sasl import Plain, account, check_authzid, parse_plain

JULIET = Jid.parse("juliet@capulet.lit")


@pytest.mark.parametrize(
    ("message", "plain"),
    [
        (b"\0tim\0tanstaaftanstaaf", Plain(None, "tim", "tanstaaftanstaaf")),  # RFC 4616 §4
        (b"Ursel\0Kurt\0xipj3plmq", Plain("Ursel", "Kurt", "xipj3plmq")),
        ("\0\u044e\0\u044f".encode(), Plain(None, "\u044e", "\u044f")),
        (b"\0a\0" + b"p" * 1023, Plain(None, "a", "p" * 1023)),
    ],
)
def test_a_plain_message_is_read(message: bytes, plain: Plain) -> None:
    assert parse_plain(message) == plain


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"tim",
        b"tim\0secret",
        b"\0tim\0secret\0",
        b"\0\0secret",
        b"\0tim\0",
        b"\0\xff\0secret",
        b"\xff\0tim\0secret",
        b"\0tim\0\xff",
        b"\0" + b"t" * 1024 + b"\0secret",
        b"\0tim\0" + b"s" * 1024,
        b"a" * 3072 + b"\0tim\0secret",
    ],
)
def test_any_other_is_refused(message: bytes) -> None:
    with pytest.raises(MalformedRequest):
        parse_plain(message)


def test_a_password_does_not_show_in_a_log() -> None:
    assert "secret" not in repr(parse_plain(b"\0tim\0secret"))


@pytest.mark.parametrize("authzid", [None, "juliet@capulet.lit", "Juliet@CAPULET.lit"])
def test_everybody_may_act_as_himself(authzid: str | None) -> None:
    check_authzid(authzid, JULIET)
    check_authzid(authzid, JULIET.with_resource("balcony"))


@pytest.mark.parametrize(
    "authzid", ["", "romeo@montague.lit", "juliet@montague.lit", "juliet", "capulet.lit", "juliet@capulet.lit/balcony", "@"]
)
def test_and_as_nobody_else(authzid: str) -> None:
    with pytest.raises(InvalidAuthzid):
        check_authzid(authzid, JULIET)


def test_a_simple_username_means_an_account_of_the_domain() -> None:
    assert account("Juliet", "capulet.lit") == JULIET


@pytest.mark.parametrize("username", ["", "juliet@capulet.lit", "ju liet", "juliet/balcony", "\0"])
def test_what_can_not_be_an_account_fails_like_a_wrong_password(username: str) -> None:
    with pytest.raises(NotAuthorized) as refusal:
        account(username, "capulet.lit")

    assert refusal.value.text == ""
