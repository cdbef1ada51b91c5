"""RFC 5802: the keys of SCRAM, for whoever holds the accounts; the exchange itself is in `scram_server`."""

import hmac
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import new, pbkdf2_hmac
from typing import Final

from aldis.core.xmpp.sasl.saslprep import PasswordNotAllowed, saslprep

PLUS: Final = "-PLUS"
SALT_SIZE: Final = 16
"""Octets of a salt; one size for all, so that an invented one looks like the others."""


class ScramHash(StrEnum):
    """A hash that SCRAM is used with, the weakest first."""

    SHA_1 = "SHA-1"
    """RFC 5802."""
    SHA_256 = "SHA-256"
    """RFC 7677."""
    SHA_512 = "SHA-512"
    """The same with SHA-512, by the name that clients use."""

    @property
    def digest(self) -> str:
        """The name that `hashlib` knows it by."""
        return self.value.replace("-", "").lower()

    @property
    def mechanism(self) -> str:
        """The name of the mechanism without channel binding."""
        return f"SCRAM-{self.value}"

    @classmethod
    def of_mechanism(cls, mechanism: str) -> "ScramHash":
        """The hash of a mechanism with or without `-PLUS`; raises `ValueError` for one that is not ours."""
        if not mechanism.startswith("SCRAM-"):
            raise ValueError(f"{mechanism} is not a SCRAM mechanism")
        return cls(mechanism.removeprefix("SCRAM-").removesuffix(PLUS))


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What is kept instead of a password: enough to check a proof, not enough to make one (RFC 5802 §3)."""

    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)


def derive(password: str, salt: bytes, iterations: int, algorithm: ScramHash) -> ScramKeys:
    """Make the keys of a password (RFC 5802 §3); raises `PasswordNotAllowed`.

    Slow by design, tens of milliseconds: never call it on an event loop. It frees the interpreter lock meanwhile.
    """
    salted = pbkdf2_hmac(algorithm.digest, saslprep(password).encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", algorithm.digest)
    return ScramKeys(
        stored_key=new(algorithm.digest, client_key).digest(),
        server_key=hmac.digest(salted, b"Server Key", algorithm.digest),
    )


def verify_proof(keys: ScramKeys, algorithm: ScramHash, auth_message: bytes, proof: bytes) -> bytes | None:
    """Check a client's proof; return the server's signature if it holds, else None (RFC 5802 §3)."""
    signature = hmac.digest(keys.stored_key, auth_message, algorithm.digest)
    if len(proof) != len(signature):
        return None
    client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
    if not hmac.compare_digest(new(algorithm.digest, client_key).digest(), keys.stored_key):
        return None
    return hmac.digest(keys.server_key, auth_message, algorithm.digest)


def verify_password(password: str, salt: bytes, iterations: int, algorithm: ScramHash, keys: ScramKeys) -> bool:
    """Check a password that came in the clear, as PLAIN brings it; as slow as `derive`."""
    try:
        derived = derive(password, salt, iterations, algorithm)
    except PasswordNotAllowed:
        return False  # there is no account with such a password
    return hmac.compare_digest(derived.stored_key, keys.stored_key)


def fake_salt(secret: bytes, algorithm: ScramHash, account: str) -> bytes:
    """Invent the salt of an account that does not exist, always the same, so that nobody can tell (RFC 5802 §9).

    `account` is the prepared bare JID: the name as the client spells it would give two salts to one account.
    """
    return hmac.digest(secret, f"{algorithm}\0{account}".encode(), "sha256")[:SALT_SIZE]
