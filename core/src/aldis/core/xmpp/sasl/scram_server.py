"""RFC 5802 §5 to §7: the server's side of a SCRAM exchange, without the keys, which whoever holds the accounts keeps to himself.

scram = ScramServer("SCRAM-SHA-256-PLUS", server_nonce=…, bindings={"tls-exporter": …})
who = scram.first(client_first)                  # ask for who's salt and iterations
send(scram.challenge(salt, iterations))
claim = scram.final(client_final)                # ask whether the proof holds
send(scram.success(signature))
"""

import hmac
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from aldis.core.xmpp.errors.sasl import IncorrectEncoding, InvalidAuthzid, MalformedRequest, NotAuthorized, SaslFailure
from aldis.core.xmpp.sasl.encoding import MAX_MESSAGE, decode
from aldis.core.xmpp.sasl.scram import PLUS, ScramHash

_NONCE: Final = re.compile(r"[!-+\--~]{1,1024}")
_SASLNAME: Final = re.compile(r"(?:[^=,\0]|=2C|=3D)+")
_BINDING: Final = re.compile(r"p=([A-Za-z0-9.\-]+)")
_EXTENSION: Final = re.compile(r"[bdfghj-loqtuw-zA-Z]=[^,\0]+")
"""Any attribute but those that RFC 5802 §5.1 gives a place of their own; `m`, the mandatory extension, is refused with them."""


class _State(Enum):
    FIRST = auto()
    CHALLENGE = auto()
    FINAL = auto()
    SUCCESS = auto()
    DONE = auto()


@dataclass(frozen=True, slots=True)
class ClientFirst:
    """Who wants in, and as whom."""

    username: str
    authzid: str | None
    binding: str | None
    """The type of channel binding in use."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What the holder of the keys needs in order to decide."""

    auth_message: bytes = field(repr=False)
    proof: bytes = field(repr=False)


class ScramServer:
    """One exchange. A message that does not fit raises a `SaslFailure`, after which the exchange is over."""

    def __init__(self, mechanism: str, *, server_nonce: str, bindings: Mapping[str, bytes]) -> None:
        """`bindings` holds the channel bindings of this connection, type → data; if there are any, -PLUS was offered."""
        if not _NONCE.fullmatch(server_nonce):
            raise ValueError("a server nonce is printable ASCII without commas")
        self.mechanism = mechanism
        self.algorithm = ScramHash.of_mechanism(mechanism)
        self._server_nonce = server_nonce
        self._bindings = bindings
        self._state = _State.FIRST
        self._first_bare = self._server_first = self._channel = b""
        self._nonce = ""

    def first(self, message: bytes) -> ClientFirst:
        """Take the client's first message (RFC 5802 §7, client-first-message)."""
        self._step(_State.FIRST, _State.DONE)  # until all is found well
        flag, authzid, bare = _split_first(_text(message))
        header = f"{flag},{authzid},".encode()
        binding = self._binding(flag)
        self._channel = header if binding is None else header + self._bindings[binding]
        username, nonce = _first_bare(bare)
        self._first_bare = bare.encode()
        self._nonce = nonce + self._server_nonce
        self._state = _State.CHALLENGE
        return ClientFirst(username, _authzid(authzid), binding)

    def challenge(self, salt: bytes, iterations: int) -> bytes:
        """Make the server's first message."""
        self._step(_State.CHALLENGE, _State.FINAL)
        self._server_first = f"r={self._nonce},s={b64encode(salt).decode()},i={iterations}".encode()
        return self._server_first

    def final(self, message: bytes) -> Proof:
        """Take the client's final message and check all of it but the proof."""
        self._step(_State.FINAL, _State.DONE)
        without_proof, found, encoded = _text(message).rpartition(",p=")
        attributes = without_proof.split(",")
        if not found or len(attributes) < 2:
            raise MalformedRequest("a final message is c=, r= and p=")
        channel = _base64(_value(attributes[0], "c"))
        nonce = _value(attributes[1], "r")
        _check_extensions(attributes[2:])
        proof = _base64(encoded)
        same_channel = hmac.compare_digest(channel, self._channel)  # RFC 5802 §6
        same_nonce = hmac.compare_digest(nonce.encode(), self._nonce.encode())
        if not (same_channel and same_nonce):
            raise NotAuthorized
        self._state = _State.SUCCESS
        return Proof(b",".join((self._first_bare, self._server_first, without_proof.encode())), proof)

    def success(self, signature: bytes) -> bytes:
        """Make the server's final message, by which the client knows the server."""
        self._step(_State.SUCCESS, _State.DONE)
        return b"v=" + b64encode(signature)

    def _step(self, at: _State, to: _State) -> None:
        if self._state is not at:
            raise ValueError(f"a SCRAM exchange at {self._state.name} can't take the step of {at.name}")
        self._state = to

    def _binding(self, flag: str) -> str | None:
        """Decide by the client's flag (RFC 5802 §6)."""
        plus = self.mechanism.endswith(PLUS)
        if flag in ("n", "y"):
            if plus:
                raise MalformedRequest("a -PLUS mechanism needs channel binding")
            if flag == "y" and self._bindings:
                raise NotAuthorized("this server offers channel binding: somebody may have hidden it from you")
            return None
        named = _BINDING.fullmatch(flag)
        if named is None:
            raise MalformedRequest("the channel binding flag is n, y or p=type")
        if not plus:
            raise MalformedRequest("channel binding needs a -PLUS mechanism")
        if named[1] not in self._bindings:
            raise MalformedRequest("that type of channel binding was not offered")
        return named[1]


def _text(message: bytes) -> str:
    if len(message) > MAX_MESSAGE:
        raise MalformedRequest("the message is too long")
    try:
        return message.decode()
    except UnicodeDecodeError:
        raise MalformedRequest("the message is not UTF-8") from None


def _split_first(text: str) -> tuple[str, str, str]:
    parts = text.split(",", 2)
    if len(parts) != 3:
        raise MalformedRequest("a first message begins with a GS2 header")
    return parts[0], parts[1], parts[2]


def _first_bare(bare: str) -> tuple[str, str]:
    """The username and the nonce of a client-first-message-bare."""
    attributes = bare.split(",")
    if attributes[0].startswith("m="):  # RFC 5802 §5.1
        raise MalformedRequest("there is no mandatory extension that this server knows")
    if len(attributes) < 2:
        raise MalformedRequest("a first message is n= and r=")
    username = _saslname(_value(attributes[0], "n"), MalformedRequest("the username is empty or not escaped as RFC 5802 says"))
    nonce = _value(attributes[1], "r")
    if not _NONCE.fullmatch(nonce):
        raise MalformedRequest("a nonce is printable ASCII without commas")
    _check_extensions(attributes[2:])
    return username, nonce


def _authzid(text: str) -> str | None:
    if not text:
        return None
    return _saslname(_value(text, "a"), InvalidAuthzid("the authorization identity is empty or not escaped as RFC 5802 says"))


def _saslname(text: str, refusal: SaslFailure) -> str:
    if not _SASLNAME.fullmatch(text):
        raise refusal
    return text.replace("=2C", ",").replace("=3D", "=")


def _value(attribute: str, name: str) -> str:
    if not attribute.startswith(f"{name}="):
        raise MalformedRequest(f"{name}= is missing or out of its place")
    return attribute[2:]


def _check_extensions(attributes: list[str]) -> None:
    for attribute in attributes:
        if not _EXTENSION.fullmatch(attribute):
            raise MalformedRequest("an extension is malformed, or an attribute out of its place")


def _base64(text: str) -> bytes:
    try:
        return decode(text)
    except IncorrectEncoding:
        raise MalformedRequest("an attribute is not base64") from None
