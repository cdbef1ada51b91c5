"""The directory put together by hand: what answers which question, and what runs."""

import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry

import aldis.directory
from aldis.core.bus import Bus, Subscription
from aldis.core.bus.names import ANNOUNCE, DIRECTORY
from aldis.core.contracts import accounts, services
from aldis.core.contracts.base import Message
from aldis.core.seal import SealError, SealingKey
from aldis.core.service.clock import Clock
from aldis.core.service.logging import Logger
from aldis.core.service.metrics import Tally
from aldis.core.storage import Database, StorageUnavailable
from aldis.core.storage.migrations import MigrationSet
from aldis.core.xmpp.errors import SaslFailure, StanzaError
from aldis.core.xmpp.errors.stanza import FeatureNotImplemented
from aldis.core.xmpp.feature import Registry
from aldis.directory.context import Context, Existence, Guard, Hasher
from aldis.directory.domain.account import Account
from aldis.directory.domain.passwords import Decoys
from aldis.directory.features import administration, authentication, iqs, refusals, xep_0077_registration
from aldis.directory.features.notices import Notices
from aldis.directory.settings import DirectorySettings
from aldis.directory.store import SqlAccounts

SEAL_KEY: Final = "seal.key"
_SECRET: Final = 32

Handler = Callable[[Context, Any], Awaitable[Message]]
Refuse = Callable[[Exception], Message]

Handlers = dict[type[Message], tuple[Handler, Refuse]]

_HANDLERS: Final[Handlers] = {
    accounts.SealKeyRequest: (authentication.seal_key, refusals.of_login),
    accounts.DomainMechanismsRequest: (authentication.mechanisms, refusals.of_login),
    accounts.ScramChallengeRequest: (authentication.challenge, refusals.of_login),
    accounts.ScramVerifyRequest: (authentication.verify_scram, refusals.of_login),
    accounts.PlainVerifyRequest: (authentication.verify_plain, refusals.of_login),
    accounts.AccountExistsRequest: (administration.exists, refusals.of_command),
    accounts.AccountCommand: (administration.command, refusals.of_command),
}
"""What is asked, who answers, and what a refusal or a fault of ours looks like to who asked."""


def features(settings: DirectorySettings) -> Registry[Context]:
    """What the directory adds to the domains, by their settings."""
    return Registry([xep_0077_registration.feature] if xep_0077_registration.offered(settings.registration) else [])


def migrations() -> MigrationSet:
    """The directory's tables: beside the package when installed, in the service's folder in a working tree."""
    package = Path(aldis.directory.__file__).parent
    installed = package / "migrations"
    return MigrationSet("directory", installed if installed.is_dir() else package.parents[2] / "migrations")


class Directory:
    """The service: start it, and it answers on `aldis.directory` until it is stopped."""

    name: Final = "directory"

    def __init__(
        self,
        *,
        settings: DirectorySettings,
        bus: Bus,
        database: Database,
        clock: Clock,
        registry: CollectorRegistry,
        log: Logger,
    ) -> None:
        self._settings = settings
        self._bus = bus
        self._accounts = SqlAccounts(database)
        self._clock = clock
        self._log = log
        self._attempts = Tally(registry, "aldis_auth_total", "Attempts to authenticate.", ("mechanism", "result"))
        self._hashed = Tally(registry, "aldis_password_hashes_total", "Slow hashes of passwords.").cell()
        self._existence = Existence(self._accounts, clock)
        self._features = features(settings)
        self._handlers: Handlers = {**_HANDLERS, services.IqRequest: (iqs.answering(self._features), refusals.of_iq)}
        self._hasher: Hasher | None = None
        self._notices: Notices | None = None
        self._context: Context | None = None
        self._subscriptions: list[Subscription] = []

    async def start(self) -> None:
        """Answer requests, go on with unfinished deletions, and announce what is offered."""
        ctx = self._context = await self._make_context()
        self._notices = Notices(ctx)
        await self._notices.start()
        self._subscriptions = [
            await self._bus.respond(DIRECTORY, self.answer),
            await self._bus.listen(ANNOUNCE, self._heard),
        ]
        self._announce()

    async def stop(self) -> None:
        """Finish what was asked, take nothing more."""
        for subscription in reversed(self._subscriptions):
            await subscription.cancel()
        self._subscriptions.clear()
        if self._notices is not None:
            await self._notices.stop()
        if self._hasher is not None:
            self._hasher.close()

    async def _make_context(self) -> Context:
        settings = self._settings
        options = settings.directory
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._hasher = Hasher(options.iterations, options.hash_threads, secrets.token_bytes, self._hashed)
        secret = await self._accounts.secret("decoys", secrets.token_bytes(_SECRET))
        return Context(
            settings=settings,
            bus=self._bus,
            accounts=self._accounts,
            existence=self._existence,
            key=SealingKey.load(settings.data_dir / SEAL_KEY),
            decoys=Decoys(secret, options.iterations, await self._accounts.iterations()),
            hasher=self._hasher,
            guard=Guard(settings, self._clock, self._attempts, self._log),
            clock=self._clock,
            log=self._log,
            changed=self._changed,
        )

    def _changed(self, account: Account) -> None:
        self._existence.forget(account)
        if self._notices is not None:
            self._notices.wake()

    def _announce(self) -> None:
        payloads = sorted({payload for _, _, payload in self._features.iqs})
        self._bus.broadcast(
            ANNOUNCE, services.Announce(service="directory", queue=DIRECTORY, features=self._features.disco, iqs=tuple(payloads))
        )

    def _heard(self, message: Message) -> None:
        if isinstance(message, services.WhoIsThere):
            self._announce()

    async def answer(self, request: Message) -> Message:
        """Answer one request; a refusal is an answer too, and so is a fault of ours."""
        ctx = self._context
        handled = self._handlers.get(type(request))
        if ctx is None or handled is None:
            return accounts.AccountResult(error=FeatureNotImplemented.condition, text="the directory does not know this request")
        handler, refuse = handled
        try:
            return await handler(ctx, request)
        except (SaslFailure, StanzaError, SealError) as refusal:
            return refuse(refusal)
        except StorageUnavailable as error:
            self._log.warning("request.failed", request=type(request).__name__, reason=str(error))
            return refuse(error)
        except Exception as error:  # noqa: BLE001  our mistake; nobody else pays for it
            self._log.exception("request.failed", request=type(request).__name__)
            return refuse(error)
