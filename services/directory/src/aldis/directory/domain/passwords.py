"""Passwords: which can be set, and what is kept or pretended of one (RFC 5802 §3, RFC 4013)."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from aldis.core.xmpp.errors.stanza import NotAcceptable
from aldis.core.xmpp.sasl.saslprep import PasswordNotAllowed, saslprep
from aldis.core.xmpp.sasl.scram import ScramHash, ScramKeys, derive, fake_salt
from aldis.directory.domain.account import Credential

HASHES: Final = tuple(reversed(ScramHash))
"""What every account has keys for, strongest first."""
PLAIN_HASH: Final = ScramHash.SHA_256
"""The keys that a password from PLAIN is checked against."""
MAX_BYTES: Final = 1023


def acceptable(password: bytes) -> str:
    """The password, if it can be one: what a client may prepare to the same thing, and can send by PLAIN; else `NotAcceptable`.

    It is returned as it was typed, since `derive` prepares it.
    """
    if len(password) > MAX_BYTES:
        raise NotAcceptable(f"the password is longer than {MAX_BYTES} bytes")
    if not password:
        raise NotAcceptable("the password is empty")
    try:
        text = password.decode()
        prepared = saslprep(text)
    except UnicodeDecodeError:
        raise NotAcceptable("the password is not UTF-8") from None
    except PasswordNotAllowed as error:
        raise NotAcceptable(error.text) from None
    if len(prepared.encode()) > MAX_BYTES:
        raise NotAcceptable(f"the password is longer than {MAX_BYTES} bytes in its prepared form")
    return text


def credential(password: str, salt: bytes, iterations: int, hash: ScramHash) -> Credential:  # noqa: A002  RFC 5802's own word
    """What is kept of the password for one hash; slow by design."""
    keys = derive(password, salt, iterations, hash)
    return Credential(hash.mechanism, salt, iterations, keys.stored_key, keys.server_key)


def keys(credential: Credential) -> ScramKeys:
    """The keys of a credential, as the SCRAM functions take them."""
    return ScramKeys(credential.stored_key, credential.server_key)


@dataclass(frozen=True, slots=True)
class Decoys:
    """Credentials for accounts that don't exist: always the same for one name, and like the others to look at (RFC 5802 §9).

    Accounts whose password was set before `iterations` was changed have the old count, so pretended ones have each count as
    often as real ones.
    """

    secret: bytes = field(repr=False)
    iterations: int
    counts: Mapping[str, tuple[tuple[int, int], ...]]
    """By mechanism: (iterations, accounts with that count)."""

    def credential(self, hash: ScramHash, name: str) -> Credential:  # noqa: A002  RFC 5802's own word
        """What an account of that name would have; nobody knows a password for it."""
        seed = hmac.digest(self.secret, f"{hash}\0keys\0{name}".encode("utf-8", "surrogatepass"), "sha512")
        stored = hmac.digest(seed, b"stored", hash.digest)
        server = hmac.digest(seed, b"server", hash.digest)
        return Credential(hash.mechanism, self._salt(hash, name), self._count(hash, seed), stored, server)

    def _salt(self, hash: ScramHash, name: str) -> bytes:  # noqa: A002  RFC 5802's own word
        return fake_salt(self.secret, hash, name.encode("utf-8", "backslashreplace").decode())

    def _count(self, hash: ScramHash, seed: bytes) -> int:  # noqa: A002  RFC 5802's own word
        counts = self.counts.get(hash.mechanism, ())
        total = sum(accounts for _, accounts in counts)
        if not total:
            return self.iterations
        place = int.from_bytes(seed[:8]) % total
        for iterations, accounts in counts:
            place -= accounts
            if place < 0:
                return iterations
        raise AssertionError("a place below the total lies in one of the counts")
