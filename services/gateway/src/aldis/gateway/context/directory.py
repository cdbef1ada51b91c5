"""The directory as the gateway sees it: typed questions over the bus, each with a deadline."""

import asyncio
from typing import Final, TypeVar

from aldis.core.bus import Bus, BusError
from aldis.core.bus.names import DIRECTORY
from aldis.core.contracts.accounts import (
    AccountCommand,
    AccountResult,
    Authenticated,
    AuthRefused,
    DomainMechanisms,
    DomainMechanismsRequest,
    PlainVerifyRequest,
    ScramChallenge,
    ScramChallengeRequest,
    ScramVerifyRequest,
    SealKey,
    SealKeyRequest,
)
from aldis.core.contracts.base import Message
from aldis.core.seal import SealError, context, seal
from aldis.core.xmpp.errors.sasl import TemporaryAuthFailure
from aldis.core.xmpp.errors.stanza import ResourceConstraint
from aldis.gateway.domain.conditions import sasl_failure, stanza_error

DEADLINE: Final = 10.0
"""Seconds that the directory has for an answer."""
AT_ONCE: Final = 64
"""Questions under way; in a storm of logins the others wait here."""

M = TypeVar("M", bound=Message)


class Unavailable(Exception):
    """The directory does not answer, or not to the point."""


class Directory:
    """Asks `aldis.directory`."""

    def __init__(self, bus: Bus, *, deadline: float = DEADLINE) -> None:
        self._bus = bus
        self._deadline = deadline
        self._places = asyncio.Semaphore(AT_ONCE)
        self._key: bytes | None = None

    async def mechanisms(self, domain: str) -> DomainMechanisms:
        """How the domain's accounts can log in; raises `Unavailable`."""
        return await self._ask(DomainMechanismsRequest(domain=domain), DomainMechanisms)

    async def challenge(self, domain: str, username: str, mechanism: str) -> ScramChallenge:
        """Salt and iterations; raises a `SaslFailure`."""
        answer = await self._login(ScramChallengeRequest(domain=domain, username=username, mechanism=mechanism))
        if not isinstance(answer, ScramChallenge):
            raise TemporaryAuthFailure
        return answer

    async def verify_scram(self, question: ScramVerifyRequest) -> Authenticated:
        """Whose proof it is; raises a `SaslFailure`."""
        answer = await self._login(question)
        if not isinstance(answer, Authenticated):
            raise TemporaryAuthFailure
        return answer

    async def verify_plain(self, domain: str, username: str, password: str, peer: str) -> Authenticated:
        """Whose password it is; raises a `SaslFailure`."""
        purpose = context("plain", domain, username)
        for _ in range(2):
            question = PlainVerifyRequest(domain=domain, username=username, sealed=await self._sealed(password, purpose), peer=peer)
            try:
                answer = await self._ask(question, Message)
            except Unavailable:
                raise TemporaryAuthFailure from None
            if isinstance(answer, Authenticated):
                return answer
            if not isinstance(answer, AuthRefused):
                raise TemporaryAuthFailure
            if not answer.stale_key:
                raise sasl_failure(answer.condition, answer.text)
            self._key = None
        raise TemporaryAuthFailure

    async def register(self, account: str, password: str, peer: str) -> None:
        """Make an account for a stranger (XEP-0077); raises a `StanzaError`."""
        purpose = context("register", account)
        for _ in range(2):
            try:
                sealed = await self._sealed(password, purpose)
                answer = await self._ask(AccountCommand(action="register", account=account, sealed=sealed, peer=peer), AccountResult)
            except (Unavailable, TemporaryAuthFailure):
                raise ResourceConstraint("accounts can't be made just now; try again later") from None
            if not answer.stale_key:
                if answer.error:
                    raise stanza_error(answer.error, answer.text)
                return
            self._key = None
        raise ResourceConstraint("accounts can't be made just now; try again later")

    async def fetch_key(self) -> None:
        """Have the key at hand for `seal_payload`; raises `Unavailable`."""
        self._key = (await self._ask(SealKeyRequest(), SealKey)).key

    def seal_payload(self, account: str, children: bytes) -> bytes:
        """Seal the payload of an IQ that may hold a password, without waiting; what can't be sealed is left out."""
        try:
            return seal(self._key, children, context("iq", account)) if self._key is not None else b""
        except SealError:
            return b""

    async def _sealed(self, password: str, purpose: bytes) -> bytes:
        try:
            if self._key is None:
                self._key = (await self._ask(SealKeyRequest(), SealKey)).key
            return seal(self._key, password.encode(), purpose)
        except (Unavailable, SealError):
            raise TemporaryAuthFailure from None

    async def _login(self, question: Message) -> Message:
        try:
            answer = await self._ask(question, Message)
        except Unavailable:
            raise TemporaryAuthFailure from None
        if isinstance(answer, AuthRefused):
            raise sasl_failure(answer.condition, answer.text)
        return answer

    async def _ask(self, question: Message, kind: type[M]) -> M:
        try:
            async with self._places:
                answer = await self._bus.request(DIRECTORY, question, deadline=self._deadline)
        except BusError as error:
            raise Unavailable(f"{type(question).__name__}: {type(error).__name__}") from None
        if not isinstance(answer, kind):
            raise Unavailable(f"{type(question).__name__}: answered by {type(answer).__name__}")
        return answer
