"""The router's settings."""

from pydantic import Field

from aldis.core.service.sections import CommonSettings, Limit
from aldis.core.service.settings import Section


class Limits(Section):
    """How much of the router one account may use."""

    partial = True

    sessions_per_account: Limit = Field(default=50, description="Resources that one account may have bound at once; 0 = unlimited.")
    roster_items: Limit = Field(default=2000, description="Contacts in one roster; 0 = unlimited.")
    roster_bytes: Limit = Field(
        default=1_000_000,
        description="Bytes of all names, groups and addresses in one roster; less than write_buffer_bytes. 0 = unlimited.",
    )
    roster_groups: Limit = Field(default=50, description="Groups of one contact; 0 = unlimited.")
    roster_name: Limit = Field(default=1023, description="Characters of a contact's or a group's name; 0 = unlimited.")
    held_stanzas: Limit = Field(
        default=20_000,
        description="Stanzas that one session is sent before its client has read them, or acknowledged them (XEP-0198); more end it, and "
        "what it has not got goes to the account's other resources or back. Much less may end sessions that are only slow. 0 = unlimited.",
    )
    held_bytes: Limit = Field(default=16_777_216, description="Bytes of their contents, likewise; 0 = unlimited.")
    subscription_requests: Limit = Field(default=200, description="Requests that may wait for one account's answer; 0 = unlimited.")


class Sm(Section):
    """Stanzas that clients acknowledge, and streams that they resume (XEP-0198)."""

    partial = True

    resume_seconds: Limit = Field(
        default=300,
        description="Seconds for which a session whose connection broke waits for its client, stays online for others and keeps what "
        "arrives; a client may ask for less. 0 = sessions end with their connections.",
    )


class RouterSettings(CommonSettings):
    """Everything that the router obeys."""

    limits: Limits = Limits()
    sm: Sm = Sm()
