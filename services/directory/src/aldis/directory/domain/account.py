"""Accounts: how one is named, what state it is in, and what may be done to it in each."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from aldis.core.xmpp.errors.stanza import Conflict, ItemNotFound, JidMalformed, NotAllowed
from aldis.core.xmpp.jid import Jid


@dataclass(frozen=True, slots=True)
class Account:
    """An account's name, both parts in the form in which they are compared (RFC 7622 §3)."""

    domain: str
    local: str

    @property
    def jid(self) -> str:
        """The bare JID."""
        return f"{self.local}@{self.domain}"


@dataclass(frozen=True, slots=True)
class Credential:
    """What is kept of a password for one SCRAM mechanism (RFC 5802 §3); a proof can be checked with it and not be made."""

    mechanism: str
    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """What a login needs to know of an account; no credential if it has none for the mechanism."""

    disabled: bool
    credential: Credential | None


class State(Enum):
    """Where an account stands."""

    ABSENT = auto()
    """The name is free."""
    ACTIVE = auto()
    DISABLED = auto()
    """Kept, but nobody gets in."""
    LEAVING = auto()
    """Deleted; the name stays taken until every service has forgotten what it kept, so that nobody inherits it."""


class Action(Enum):
    """What can be done to an account."""

    ADD = "add"
    PASSWD = "passwd"  # noqa: S105  a verb
    DISABLE = "disable"
    ENABLE = "enable"
    DELETE = "delete"


_AFTER: Final = {
    (State.ABSENT, Action.ADD): State.ACTIVE,
    (State.ACTIVE, Action.PASSWD): State.ACTIVE,
    (State.DISABLED, Action.PASSWD): State.DISABLED,
    (State.ACTIVE, Action.DISABLE): State.DISABLED,
    (State.DISABLED, Action.DISABLE): State.DISABLED,
    (State.ACTIVE, Action.ENABLE): State.ACTIVE,
    (State.DISABLED, Action.ENABLE): State.ACTIVE,
    (State.ACTIVE, Action.DELETE): State.LEAVING,
    (State.DISABLED, Action.DELETE): State.LEAVING,
}
"""Every step that there is; doing again what is done already is no mistake."""


def after(state: State, action: Action, account: Account) -> State:
    """The state that the action leads to; raises the refusal if there is no such step."""
    following = _AFTER.get((state, action))
    if following is not None:
        return following
    if action is not Action.ADD:
        raise ItemNotFound(f"there is no account {account.jid}")
    if state is State.LEAVING:
        raise Conflict(f"{account.jid} was deleted, and what was kept of it is still being removed; try again later")
    raise Conflict(f"there is an account {account.jid} already")


def served(domain: str, domains: Collection[str]) -> str:
    """The domain in its normal form if it is served here; raises `JidMalformed` or `NotAllowed`."""
    jid = Jid.parse(domain)
    if not jid.is_domain:
        raise JidMalformed(f"{jid.domain} alone is a domain")
    if jid.domain not in domains:
        raise NotAllowed(f"{jid.domain} is not served here: it is not among `domains` ({', '.join(domains)})")
    return jid.domain


def addressed(text: str) -> Account:
    """The account that a bare JID names, on whatever domain; raises `JidMalformed`."""
    jid = Jid.parse(text)
    if jid.local is None:
        raise JidMalformed("an account needs a name before the domain, as in juliet@example.org")
    if jid.resource is not None:
        raise JidMalformed("an account has no resource: leave out the slash and what follows")
    return Account(jid.domain, jid.local)


def named(text: str, domains: Collection[str]) -> Account:
    """The account that a bare JID of a served domain names; raises `JidMalformed` or `NotAllowed`."""
    account = addressed(text)
    served(account.domain, domains)
    return account


def claimed(domain: str, username: str, domains: Collection[str]) -> Account | None:
    """The account that a client claims, None if there can be none by that name (RFC 6120 §6.3.7)."""
    try:
        jid = Jid(username, domain)
    except JidMalformed:
        return None
    if jid.local is None or jid.domain not in domains:
        return None
    return Account(jid.domain, jid.local)
