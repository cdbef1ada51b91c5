"""One login under way: SASL's messages on one side, the directory's questions on the other (RFC 6120 §6.4)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from aldis.core.contracts.accounts import ScramVerifyRequest
from aldis.core.xmpp.errors.sasl import MalformedRequest
from aldis.core.xmpp.jid import Jid
from aldis.core.xmpp.sasl import PLAIN, ClientFirst, ScramServer, check_authzid, parse_plain
from aldis.gateway.context.directory import Directory


@dataclass(frozen=True, slots=True)
class Challenge:
    """The client is to answer."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Success:
    """The client is who it says."""

    data: bytes | None = field(repr=False)
    account: Jid


class Login:
    """One exchange by one mechanism. Each step raises a `SaslFailure`, after which the exchange is over."""

    __slots__ = ("_asked", "_directory", "_domain", "_first", "_peer", "_scram", "mechanism")

    def __init__(self, directory: Directory, mechanism: str, *, domain: str, peer: str, bindings: Mapping[str, bytes], nonce: str) -> None:
        self._directory = directory
        self._domain = domain
        self._peer = peer
        self.mechanism = mechanism
        self._scram = None if mechanism == PLAIN else ScramServer(mechanism, server_nonce=nonce, bindings=bindings)
        self._first: ClientFirst | None = None
        self._asked = False

    async def step(self, message: bytes | None) -> Challenge | Success:
        """Take the client's next message; None, once, if it sent no initial response (RFC 6120 §6.4.2)."""
        if message is None and not self._asked:
            self._asked = True
            return Challenge(b"")
        if message is None:
            raise MalformedRequest
        if self._scram is None:
            return await self._plain(message)
        if self._first is None:
            return await self._scram_first(self._scram, message)
        return await self._scram_final(self._scram, self._first, message)

    async def _plain(self, message: bytes) -> Success:
        plain = parse_plain(message)
        found = await self._directory.verify_plain(self._domain, plain.authcid, plain.password, self._peer)
        account = Jid.parse(found.account)
        check_authzid(plain.authzid, account)
        return Success(None, account)

    async def _scram_first(self, scram: ScramServer, message: bytes) -> Challenge:
        first = scram.first(message)
        kept = await self._directory.challenge(self._domain, first.username, scram.algorithm.mechanism)
        self._first = first
        return Challenge(scram.challenge(kept.salt, kept.iterations))

    async def _scram_final(self, scram: ScramServer, first: ClientFirst, message: bytes) -> Success:
        claim = scram.final(message)
        found = await self._directory.verify_scram(
            ScramVerifyRequest(
                domain=self._domain,
                username=first.username,
                mechanism=self.mechanism,
                auth_message=claim.auth_message,
                proof=claim.proof,
                peer=self._peer,
            )
        )
        account = Jid.parse(found.account)
        check_authzid(first.authzid, account)
        return Success(scram.success(found.signature), account)
