"""A client's side of PLAIN and SCRAM (RFC 4616, RFC 5802), written apart from the server's."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from aldis.core.testing.patterns import expect


class Exchange(Protocol):
    """A mechanism under way."""

    def first(self) -> bytes | None:
        """Return the initial response, if there is one."""

    def answer(self, challenge: bytes) -> bytes:
        """Return the response to a challenge."""

    def check(self, data: bytes | None) -> None:
        """Look at what came with the success; raises `AssertionError` if it is not what the server should know."""


@dataclass
class Plain:
    """RFC 4616."""

    username: str
    password: str
    authzid: str = ""

    def first(self) -> bytes:
        return f"{self.authzid}\0{self.username}\0{self.password}".encode()

    def answer(self, challenge: bytes) -> bytes:
        raise AssertionError("PLAIN knows no challenge")

    def check(self, data: bytes | None) -> None:
        expect(data is None, "PLAIN ends without data")


@dataclass
class Scram:
    """RFC 5802: `binding` names a type of channel binding with its data; `flag` is n, or y to say that none was seen."""

    mechanism: str
    username: str
    password: str
    authzid: str = ""
    binding: tuple[str, bytes] | None = None
    flag: str = "n"
    nonce: str = field(default_factory=lambda: secrets.token_hex(9))
    _signature: bytes = b""

    @property
    def hash(self) -> str:
        """The hash's name, as hashlib has it."""
        return self.mechanism.removeprefix("SCRAM-").removesuffix("-PLUS").replace("-", "").lower()

    @property
    def header(self) -> str:
        """The GS2 header (RFC 5802 §7)."""
        flag = f"p={self.binding[0]}" if self.binding is not None else self.flag
        return f"{flag},{f'a={_escape(self.authzid)}' if self.authzid else ''},"

    @property
    def bare(self) -> str:
        """The client's first message without its header."""
        return f"n={_escape(self.username)},r={self.nonce}"

    def first(self) -> bytes:
        return (self.header + self.bare).encode()

    def answer(self, challenge: bytes) -> bytes:
        first = challenge.decode()
        said = dict(part.split("=", 1) for part in first.split(","))
        expect(said["r"].startswith(self.nonce) and len(said["r"]) > len(self.nonce), "the server lengthens the client's nonce")
        channel = base64.b64encode(self.header.encode() + (self.binding[1] if self.binding is not None else b"")).decode()
        final = f"c={channel},r={said['r']}"
        message = f"{self.bare},{first},{final}".encode()
        salted = hashlib.pbkdf2_hmac(self.hash, self.password.encode(), base64.b64decode(said["s"]), int(said["i"]))
        key = hmac.digest(salted, b"Client Key", self.hash)
        mask = hmac.digest(hashlib.new(self.hash, key).digest(), message, self.hash)
        self._signature = hmac.digest(hmac.digest(salted, b"Server Key", self.hash), message, self.hash)
        proof = bytes(a ^ b for a, b in zip(key, mask, strict=True))
        return f"{final},p={base64.b64encode(proof).decode()}".encode()

    def check(self, data: bytes | None) -> None:
        expect(data == b"v=" + base64.b64encode(self._signature), "the server proves that it has the keys")


def exchange(mechanism: str, username: str, password: str, *, authzid: str = "", bindings: Mapping[str, bytes]) -> Exchange:
    """Begin a mechanism; a -PLUS one takes the first of the bindings."""
    if mechanism == "PLAIN":
        return Plain(username, password, authzid)
    binding = next(iter(bindings.items())) if mechanism.endswith("-PLUS") else None
    return Scram(mechanism, username, password, authzid, binding)


def _escape(name: str) -> str:
    return name.replace("=", "=3D").replace(",", "=2C")
