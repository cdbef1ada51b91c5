"""RFC 6120 §6.4: how SASL data is written in XML."""

import binascii
from base64 import b64decode, b64encode
from typing import Final

from aldis.core.xmpp.errors.sasl import IncorrectEncoding, MalformedRequest

MAX_MESSAGE: Final = 8192
"""Octets of one SASL message; the longest that means anything is a PLAIN of some 5,200."""


def decode(text: str) -> bytes:
    """Decode strict base64: no white space, no stray bits, exact padding (RFC 6120 §13.9.1, RFC 4648 §3.5)."""
    try:
        data = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise IncorrectEncoding from None
    if b64encode(data).decode() != text:  # RFC 4648 §3.5: one spelling for one value
        raise IncorrectEncoding
    return data


def initial_response(text: str) -> bytes | None:
    """Read the content of `<auth/>`: nothing is no response, `=` is an empty one (RFC 6120 §6.4.2)."""
    return response(text) if text else None


def response(text: str) -> bytes:
    """Read the content of `<response/>`; `=` is taken for an empty one, too."""
    if len(text) > MAX_MESSAGE // 3 * 4 + 4:
        raise MalformedRequest("the message is too long")
    return b"" if text == "=" else decode(text)


def encode(data: bytes) -> str:
    """Write a challenge or the data of a success; `=` says that it is there and empty (RFC 6120 §6.4.6)."""
    return b64encode(data).decode() or "="
