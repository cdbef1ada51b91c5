"""Settings of the directory; the descriptions are the manual."""

from pydantic import Field

from aldis.core.service.sections import CommonSettings, Limit
from aldis.core.service.settings import Section


class Directory(Section):
    """How passwords are kept."""

    iterations: int = Field(
        default=10_000,
        ge=4_096,
        le=1_000_000,
        description="Rounds of hashing when a password is set; RFC 7677 §4 asks for 4,096 at least. Clients do the same work "
        "at each login, some on a telephone. What is set already keeps its count until the password is changed.",
    )
    hash_threads: int = Field(
        default=2, ge=1, le=64, description="Threads that hash passwords, which is for PLAIN and for new passwords only."
    )


class Limits(Section):
    """What slows down whoever guesses passwords."""

    partial = True

    auth_failures_per_minute: Limit = Field(
        default=12,
        description="Failed logins to one account before further ones are put off; 0 = unlimited. "
        "Addresses that the account was used from lately are not put off by failures from elsewhere.",
    )
    auth_failures_per_address_per_minute: Limit = Field(
        default=60, description="Failed logins from one address (IPv6: one /64) before further ones are put off; 0 = unlimited."
    )


class Registration(Section):
    """What strangers and users may do to accounts with their client (XEP-0077)."""

    partial = True

    enabled: bool = Field(default=False, description="Whether strangers may make accounts.")
    attempts_per_hour: Limit = Field(
        default=10, description="Attempts to make an account from one address (IPv6: one /64) in an hour; 0 = unlimited."
    )
    password_change: bool = Field(default=True, description="Whether users may change their password with their client.")
    password_changes_per_hour: Limit = Field(
        default=10, description="Changes of one account's password by its owner in an hour, since each costs slow hashes; 0 = unlimited."
    )
    removal: bool = Field(default=True, description="Whether users may delete their own account with their client.")


class DirectorySettings(CommonSettings):
    """Everything that the directory obeys."""

    directory: Directory = Directory()
    limits: Limits = Limits()
    registration: Registration = Registration()
