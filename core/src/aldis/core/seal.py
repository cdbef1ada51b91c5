"""Seal passwords to the directory's key, so that no broker, log or queue between an edge and the directory can read one.

X25519 with a fresh key for each blob, HKDF-SHA256 and ChaCha20-Poly1305 (RFC 7748, RFC 5869, RFC 8439). A blob is bound
to what it is for: sealed for one account and purpose, it opens for no other. Its length says nothing of the password's.

    version (1) | first 8 bytes of SHA-256 of the directory's key | ephemeral key (32) | ciphertext and tag
"""

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_VERSION: Final = b"\x01"
_KEY: Final = 32
_NAME: Final = 8
_HEAD: Final = 1 + _NAME + _KEY
_TAG: Final = 16
_PAD: Final = 128
_NONCE: Final = bytes(12)  # each key seals one blob only
MAX_PLAINTEXT: Final = 65_535


class SealError(Exception):
    """The blob does not open: damaged, forged, or sealed for something else."""


class StaleKey(SealError):
    """The blob was sealed to another key than this one: fetch the key and seal again."""


def context(purpose: str, *names: str) -> bytes:
    """What a blob is for: the purpose and the names exactly as they stand in the message that carries it.

    `context("plain", domain, username)` for `PlainVerifyRequest`, `context(action, account)` for `AccountCommand`.
    """
    parts = [part.encode("utf-8", "surrogatepass") for part in (purpose, *names)]
    return b"".join(len(part).to_bytes(4) + part for part in parts)


def seal(public_key: bytes, plaintext: bytes, context: bytes) -> bytes:
    """Seal to the holder of `public_key`; raises `SealError` if it is no X25519 key."""
    if len(plaintext) > MAX_PLAINTEXT:
        raise SealError(f"more than {MAX_PLAINTEXT} bytes")
    ephemeral = X25519PrivateKey.generate()
    try:
        shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(public_key))
    except ValueError as error:
        raise SealError("not a key that can be sealed to") from error
    head = _VERSION + _key_name(public_key) + ephemeral.public_key().public_bytes_raw()
    padded = len(plaintext).to_bytes(2) + plaintext
    padded += bytes(-len(padded) % _PAD)
    return head + ChaCha20Poly1305(_derive(shared, head, public_key)).encrypt(_NONCE, padded, context)


class SealingKey:
    """The directory's key pair; only what is sealed to its public half opens here."""

    __slots__ = ("_key", "_name", "public")

    def __init__(self, key: X25519PrivateKey) -> None:
        self._key = key
        self.public: Final = key.public_key().public_bytes_raw()
        """32 bytes, for `seal`."""
        self._name = _key_name(self.public)

    @staticmethod
    def generate() -> "SealingKey":
        """A new key that nobody else has."""
        return SealingKey(X25519PrivateKey.generate())

    @staticmethod
    def load(path: Path) -> "SealingKey":
        """The key in this file (32 raw bytes, mode 0600), made if there is none.

        Several processes may start at once: the file is linked into place whole, and who comes second takes the first one's.
        """
        if not path.exists():
            fresh = path.with_name(f".{path.name}.{os.getpid()}")
            fresh.unlink(missing_ok=True)  # left by a process that died here
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(X25519PrivateKey.generate().private_bytes_raw())
                    file.flush()
                    os.fsync(file.fileno())
                with contextlib.suppress(FileExistsError):
                    path.hardlink_to(fresh)
            finally:
                fresh.unlink(missing_ok=True)
        raw = path.read_bytes()
        if len(raw) != _KEY:
            raise SealError(f"{path} holds no key: it has {len(raw)} bytes instead of {_KEY}; remove it, and a new one is made")
        return SealingKey(X25519PrivateKey.from_private_bytes(raw))

    def open(self, blob: bytes, context: bytes) -> bytes:
        """What was sealed for this context; raises `StaleKey` or `SealError`."""
        if len(blob) < _HEAD + _PAD + _TAG or len(blob) > _HEAD + MAX_PLAINTEXT + 2 + _PAD + _TAG or blob[:1] != _VERSION:
            raise SealError("not a sealed blob")
        if blob[1 : 1 + _NAME] != self._name:
            raise StaleKey("sealed to another key")
        head = blob[:_HEAD]
        try:
            shared = self._key.exchange(X25519PublicKey.from_public_bytes(head[-_KEY:]))
            padded = ChaCha20Poly1305(_derive(shared, head, self.public)).decrypt(_NONCE, blob[_HEAD:], context)
        except (ValueError, InvalidTag) as error:
            raise SealError("damaged, forged or sealed for something else") from error
        return padded[2 : 2 + int.from_bytes(padded[:2])]


def _key_name(public: bytes) -> bytes:
    return hashlib.sha256(public).digest()[:_NAME]


def _derive(shared: bytes, head: bytes, public: bytes) -> bytes:
    """One key for one blob, bound to both public keys."""
    return HKDF(algorithm=SHA256(), length=_KEY, salt=None, info=b"aldis seal" + head + public).derive(shared)
