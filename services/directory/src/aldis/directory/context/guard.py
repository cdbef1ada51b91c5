"""Who may try to log in or register just now: failures are counted by account and by address, and told."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from aldis.core.service.clock import Clock
from aldis.core.service.logging import Logger
from aldis.core.service.metrics import Tally
from aldis.core.xmpp.errors.sasl import AccountDisabled, InvalidMechanism, NotAuthorized, SaslFailure, TemporaryAuthFailure
from aldis.core.xmpp.errors.stanza import NotAcceptable, ResourceConstraint
from aldis.directory.domain.throttle import MOST_KEYS, Throttle, network
from aldis.directory.settings import DirectorySettings

_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Attempt:
    """One login as it is claimed; nothing of it is proved."""

    mechanism: str
    name: str
    """The bare JID, prepared if it can be."""
    peer: str

    @property
    def key(self) -> str:
        """The name as it is counted: a stranger's may be long."""
        return self.name[:_SHOWN]


class Guard:
    """Slows down guessing.

    An address that the account was used from lately is let through whatever others do, so that failing on purpose locks
    nobody out.
    """

    def __init__(self, settings: DirectorySettings, clock: Clock, attempts: Tally, log: Logger) -> None:
        limits = settings.limits
        self._accounts = Throttle(limits.auth_failures_per_minute, 60)
        self._addresses = Throttle(limits.auth_failures_per_address_per_minute, 60)
        self._registrations = Throttle(settings.registration.attempts_per_hour, 3600)
        self._changes = Throttle(settings.registration.password_changes_per_hour, 3600)
        self._familiar: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._clock = clock
        self._attempts = attempts
        self._log = log

    def admit(self, attempt: Attempt) -> None:
        """Raise `TemporaryAuthFailure` for one who failed too often; the same for a name that nobody has."""
        now, address = self._clock.now(), network(attempt.peer)
        account_open = self._accounts.allows(attempt.key, now) or (attempt.name, address) in self._familiar
        if not account_open or (address and not self._addresses.allows(address, now)):
            raise TemporaryAuthFailure("too many failed attempts; try again in a minute")

    def failed(self, attempt: Attempt, failure: SaslFailure, reason: str) -> None:
        """Count and tell a refusal; wrong credentials count against account and address."""
        if isinstance(failure, NotAuthorized):
            now, address = self._clock.now(), network(attempt.peer)
            self._accounts.spend(attempt.key, now)
            if address:
                self._addresses.spend(address, now)
        result = _RESULTS.get(type(failure), "failed")
        self._attempts.cell(attempt.mechanism, result).n += 1
        self._log.info(
            "auth.refused", account=attempt.name[:_SHOWN], peer=attempt.peer[:_SHOWN], mechanism=attempt.mechanism, reason=reason
        )

    def succeeded(self, attempt: Attempt) -> None:
        """Count a login, and remember where the account is used from."""
        self._attempts.cell(attempt.mechanism, "ok").n += 1
        if attempt.peer:
            place = (attempt.name, network(attempt.peer))
            self._familiar[place] = None
            self._familiar.move_to_end(place)
            if len(self._familiar) > MOST_KEYS:
                self._familiar.popitem(last=False)

    def admit_registration(self, peer: str) -> None:
        """Count an attempt to make an account; raise `NotAcceptable` for one too many (XEP-0077 §3.1.1)."""
        now, address = self._clock.now(), network(peer)
        if not self._registrations.allows(address, now):
            self._log.info("registration.refused", peer=peer[:_SHOWN], reason="too many attempts from this address")
            raise NotAcceptable("too many attempts from this address; try again later")
        self._registrations.spend(address, now)

    def admit_change(self, account: str) -> None:
        """Count a change of a password by its owner, which costs slow hashes; raise `ResourceConstraint` for one too many."""
        now = self._clock.now()
        if not self._changes.allows(account, now):
            self._log.info("password.refused", account=account, reason="too many changes")
            raise ResourceConstraint("too many changes of the password; try again later")
        self._changes.spend(account, now)


_RESULTS: Final = {
    NotAuthorized: "refused",
    AccountDisabled: "disabled",
    TemporaryAuthFailure: "throttled",
    InvalidMechanism: "invalid",
}
