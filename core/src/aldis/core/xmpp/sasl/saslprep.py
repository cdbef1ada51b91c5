"""RFC 4013: SASLprep, the form that SCRAM hashes a password in."""

import stringprep
from unicodedata import ucd_3_2_0

from aldis.core.xmpp.errors.stanza import BadRequest

_PROHIBITED = (  # RFC 4013 §2.3
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


class PasswordNotAllowed(BadRequest):
    """A password that SASLprep refuses; a stanza error, because a registration form or a command brought it."""


def saslprep(text: str) -> str:
    """Prepare a password as a stored string (RFC 4013 §2), or raise `PasswordNotAllowed`.

    Unassigned means later than Unicode 3.2. Clients treat those differently, so a password with one would let its owner in from
    some and not from others.
    """
    if text.isascii() and text.isprintable():
        prepared = text
    else:
        mapped = "".join([_map(char) for char in text])
        prepared = ucd_3_2_0.normalize("NFKC", mapped)
        _check(prepared)
    if not prepared:
        raise PasswordNotAllowed("the password is empty")
    return prepared


def _map(char: str) -> str:
    if stringprep.in_table_c12(char):  # RFC 4013 §2.1: non-ASCII spaces become spaces …
        return " "
    return "" if stringprep.in_table_b1(char) else char  # … and what is commonly mapped to nothing, nothing


def _check(text: str) -> None:
    for char in text:
        if any(prohibits(char) for prohibits in _PROHIBITED):
            raise PasswordNotAllowed("the password holds a character that SASLprep prohibits")
        if stringprep.in_table_a1(char):  # RFC 4013 §2.5
            raise PasswordNotAllowed("the password holds a character that Unicode 3.2 does not know")
    if any(stringprep.in_table_d1(char) for char in text):  # RFC 3454 §6
        mixed = any(stringprep.in_table_d2(char) for char in text)
        if mixed or not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])):
            raise PasswordNotAllowed("the password mixes writing directions in a way that SASLprep prohibits")
