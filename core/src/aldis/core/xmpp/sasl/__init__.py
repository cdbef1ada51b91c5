"""SASL for XMPP without I/O: who may log in, by which mechanism (RFC 6120 §6)."""

from aldis.core.xmpp.sasl.encoding import decode, encode, initial_response, response
from aldis.core.xmpp.sasl.identity import account, check_authzid
from aldis.core.xmpp.sasl.mechanisms import PLAIN, offer
from aldis.core.xmpp.sasl.plain import Plain, parse_plain
from aldis.core.xmpp.sasl.saslprep import PasswordNotAllowed, saslprep
from aldis.core.xmpp.sasl.scram import (
    PLUS,
    SALT_SIZE,
    ScramHash,
    ScramKeys,
    derive,
    fake_salt,
    verify_password,
    verify_proof,
)
from aldis.core.xmpp.sasl.scram_server import ClientFirst, Proof, ScramServer

__all__ = [
    "PLAIN",
    "PLUS",
    "SALT_SIZE",
    "ClientFirst",
    "PasswordNotAllowed",
    "Plain",
    "Proof",
    "ScramHash",
    "ScramKeys",
    "ScramServer",
    "account",
    "check_authzid",
    "decode",
    "derive",
    "encode",
    "fake_salt",
    "initial_response",
    "offer",
    "parse_plain",
    "response",
    "saslprep",
    "verify_password",
    "verify_proof",
]
