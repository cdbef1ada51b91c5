"""What is asked of the directory, and what it tells: accounts and their credentials.

Keys and passwords never leave the directory. A SCRAM exchange is two stateless questions; a password travels
sealed to the directory's key. Answers and timing are the same for an account that does not exist.
"""

from aldis.core.contracts.base import Message, Origin


class SealKeyRequest(Message, frozen=True, kw_only=True, tag="seal-key?"):
    """Which public key seals passwords to the directory?"""


class SealKey(Message, frozen=True, kw_only=True, tag="seal-key"):
    """An X25519 public key, 32 bytes."""

    key: bytes


class DomainMechanismsRequest(Message, frozen=True, kw_only=True, tag="mechanisms?"):
    """Which SCRAM hashes do the accounts of this domain have keys for?"""

    domain: str


class DomainMechanisms(Message, frozen=True, kw_only=True, tag="mechanisms"):
    """SCRAM mechanism names without -PLUS, strongest first; `plain` if passwords can be verified."""

    scram: tuple[str, ...]
    plain: bool = True


class ScramChallengeRequest(Message, frozen=True, kw_only=True, tag="scram-challenge?"):
    """Salt and iteration count for this user; an unknown one gets stable false ones."""

    domain: str
    username: str
    mechanism: str
    """SCRAM-SHA-1, SCRAM-SHA-256 or SCRAM-SHA-512."""


class ScramChallenge(Message, frozen=True, kw_only=True, tag="scram-challenge"):
    """What the server-first message needs (RFC 5802 §5.1)."""

    salt: bytes
    iterations: int


class ScramVerifyRequest(Message, frozen=True, kw_only=True, tag="scram-verify?"):
    """Does the client's proof fit the keys over this exchange (RFC 5802 §3)?"""

    domain: str
    username: str
    mechanism: str
    auth_message: bytes
    proof: bytes
    peer: str = ""


class PlainVerifyRequest(Message, frozen=True, kw_only=True, tag="plain-verify?"):
    """Is this the account's password? `sealed` is to the directory's key."""

    domain: str
    username: str
    sealed: bytes
    peer: str = ""


class Authenticated(Message, frozen=True, kw_only=True, tag="authenticated"):
    """The credentials are good; `signature` is SCRAM's server signature, empty for PLAIN."""

    account: str
    """The bare JID."""
    signature: bytes = b""


class AuthRefused(Message, frozen=True, kw_only=True, tag="auth-refused"):
    """They are not; `condition` is a SASL failure's name (RFC 6120 §6.5), `stale_key` asks for sealing again to the new key."""

    condition: str
    text: str = ""
    stale_key: bool = False


class AccountExistsRequest(Message, frozen=True, kw_only=True, tag="exists?"):
    """Is there such an account?"""

    account: str


class AccountExists(Message, frozen=True, kw_only=True, tag="exists"):
    """Whether there is, and whether it may be used."""

    exists: bool
    disabled: bool = False


class AccountCommand(Message, frozen=True, kw_only=True, tag="account!"):
    """Something done to accounts by an operator, the owner, or a stranger who registers."""

    action: str
    """`add`, `passwd`, `disable`, `enable`, `delete`, `list`, `register` (in-band, obeys the throttle and the setting)."""
    account: str = ""
    """A bare JID; for `list` a domain or empty."""
    sealed: bytes = b""
    """The password, sealed."""
    peer: str = ""
    """The client's address, for the throttle."""


class AccountResult(Message, frozen=True, kw_only=True, tag="account"):
    """`error` is a stanza error condition (`conflict`, `item-not-found`, `not-acceptable` …), empty if it was done."""

    error: str = ""
    text: str = ""
    stale_key: bool = False
    accounts: tuple[tuple[str, bool], ...] = ()
    """(bare JID, disabled) for `list`."""


class AccountDeleted(Message, frozen=True, kw_only=True, tag="account-deleted"):
    """An account is gone: end its sessions and remove what you keep of it, then say so. Repeated until everybody has."""

    origin: Origin
    account: str
    reply_to: str
    at: float = 0.0
    """When, in seconds since 1970: who has authenticated since is somebody else."""


class AccountForgotten(Message, frozen=True, kw_only=True, tag="account-forgotten"):
    """A service has removed what it kept of the account."""

    account: str
    service: str


class AccountDisabled(Message, frozen=True, kw_only=True, tag="account-disabled"):
    """An account may not be used for now: end its sessions."""

    origin: Origin
    account: str
    at: float = 0.0
    """When, in seconds since 1970: who has authenticated since was let in again."""
