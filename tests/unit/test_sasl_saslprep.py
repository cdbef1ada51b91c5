"""RFC 4013: SASLprep."""

import pytest

from aldis.core.xmpp.sasl import PasswordNotAllowed, saslprep


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("I\u00adX", "IX"),  # RFC 4013 §3
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b\u3000c", "a b c"),
        ("e\u0301", "\u00e9"),
        ("\u0627\u0031\u0628", "\u0627\u0031\u0628"),
    ],
)
def test_a_password_has_one_form(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("\u0007", "prohibits"),
        ("a\u007f", "prohibits"),
        ("\ue000", "prohibits"),
        ("\ud800", "prohibits"),
        ("\u2028", "prohibits"),
        ("\u0627\u0031", "writing directions"),
        ("\u0627a\u0628", "writing directions"),
        ("\U0001f511", "Unicode 3.2"),
        ("", "empty"),
        ("\u00ad", "empty"),
    ],
)
def test_some_can_not_be_passwords(text: str, says: str) -> None:
    with pytest.raises(PasswordNotAllowed, match=says):
        saslprep(text)
