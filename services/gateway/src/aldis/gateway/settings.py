"""Settings of the gateway; the descriptions are the manual."""

import ipaddress
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field, model_validator

from aldis.core.service.sections import CommonSettings, Limit, OptionalPort, Seconds
from aldis.core.service.settings import Section, Wrong

EVERYWHERE: Final = "*"
LEAST_STANZA_BYTES: Final = 10_000
"""RFC 6120 §13.12: a server must not allow less."""


def _stanza_bytes(value: int) -> int:
    if 0 < value < LEAST_STANZA_BYTES:
        raise ValueError(f"must be at least {LEAST_STANZA_BYTES}, since clients count on as much (RFC 6120 §13.12), or 0 for no limit")
    return value


class C2s(Section):
    """Where clients connect."""

    host: str = Field(
        default=EVERYWHERE,
        min_length=1,
        description="Address to listen on, such as `127.0.0.1` or `::1`; `*` = every address of the machine, IPv4 and IPv6. Being reached "
        "from everywhere is what a server is for: without TLS nobody gets as far as a password, and nobody has an account before "
        "the operator makes one.",
    )
    port: OptionalPort = Field(default=5222, description="Port of streams that begin in the clear and go on with STARTTLS; 0 = off.")
    tls_port: OptionalPort = Field(default=5223, description="Port of streams that begin with TLS (XEP-0368); 0 = off.")
    require_tls: bool = Field(default=True, description="Whether a client has to use TLS before anything else.")
    plain_without_tls: bool = Field(
        default=False,
        description="Whether PLAIN is offered in the clear, which makes TLS optional; for tests on one machine: refused unless `c2s.host` "
        "is loopback.",
    )


class Tls(Section):
    """The server's certificate; without one a self-signed certificate is made in `data_dir`."""

    certificate: Path | None = Field(
        default=None, description="PEM file with the certificate, the server's own first, then its issuers; watched and reloaded."
    )
    key: Path | None = Field(default=None, description="PEM file with the certificate's private key.")


class Limits(Section):
    """What clients may use up; 0 = unlimited."""

    partial = True

    stanza_bytes: Annotated[Limit, AfterValidator(_stanza_bytes)] = Field(
        default=256 * 1024, description="Bytes of one stanza, 10,000 or more; before authentication 16 KiB at most."
    )
    unauthenticated_seconds: Seconds = Field(default=30.0, description="Time from connecting to being authenticated.")
    bind_seconds: Seconds = Field(default=30.0, description="Time from being authenticated to having a resource.")
    sasl_attempts: Limit = Field(default=3, description="Failed logins on one stream before it is closed.")
    connections: Limit = Field(default=10_000, description="Connections of clients at a time, in all.")
    connections_per_address: Limit = Field(default=1_000, description="Connections at a time from one address (IPv6: one /64).")
    connections_per_address_per_minute: Limit = Field(
        default=1_200, description="New connections in a minute from one address (IPv6: one /64)."
    )
    stanzas_per_second: Limit = Field(
        default=1_000, description="Stanzas a second of one session, a two seconds' supply at once; what is beyond waits unread."
    )
    bytes_per_second: Limit = Field(
        default=1024 * 1024, description="Bytes a second of one session, a two seconds' supply at once; what is beyond waits unread."
    )
    write_buffer_bytes: Limit = Field(
        default=2 * 1024 * 1024, description="Bytes that may wait for a client that does not read; one that has more is disconnected."
    )
    idle_seconds: Seconds = Field(
        default=300.0, description="Time without any bytes after which a white space is sent, so that a dead connection is noticed."
    )
    half_open_seconds: Seconds = Field(
        default=60.0, description="Time that sent bytes may stay without acknowledgement by TCP before the connection counts as dead."
    )


class Registration(Section):
    """What strangers may do to accounts with their client (XEP-0077); the directory reads the same section and decides."""

    partial = True

    enabled: bool = Field(default=False, description="Whether strangers may make accounts.")


class Sm(Section):
    """Stanzas that clients acknowledge, and streams that they resume (XEP-0198)."""

    partial = True

    request_stanzas: int = Field(
        default=10, ge=1, le=1000, description="Stanzas after which a client is asked to acknowledge; what waits is asked for within 10 s."
    )
    ack_seconds: Seconds = Field(
        default=60.0,
        description="Time that a client has to answer; then its connection is closed, and its session waits for it to come back. "
        "0 = unlimited.",
    )


class GatewaySettings(CommonSettings):
    """Everything that the gateway obeys."""

    c2s: C2s = C2s()
    tls: Tls = Tls()
    limits: Limits = Limits()
    registration: Registration = Registration()
    sm: Sm = Sm()

    @model_validator(mode="after")
    def _goes_together(self) -> "GatewaySettings":
        if self.c2s.plain_without_tls and self.c2s.port and not is_loopback(self.c2s.host):
            raise Wrong(
                "c2s.plain_without_tls",
                f'passwords would cross the network in the clear, since c2s.host = "{self.c2s.host}" is not loopback; '
                'set c2s.host = "127.0.0.1", or leave plain_without_tls out',
            )
        if not (self.c2s.port or self.c2s.tls_port):
            raise Wrong("c2s.port", "c2s.tls_port is 0 as well, so that no client could connect; set one of the two")
        if self.c2s.port == self.c2s.tls_port:
            raise Wrong(
                "c2s.port", f"c2s.tls_port is {self.c2s.port} as well; use two ports, such as 5222 and 5223, or set one of them to 0"
            )
        if (self.tls.certificate is None) != (self.tls.key is None):
            missing, there = ("key", "certificate") if self.tls.key is None else ("certificate", "key")
            raise Wrong(f"tls.{missing}", f"is needed beside tls.{there}; set both, or neither to have a self-signed one made")
        return self


def is_loopback(host: str) -> bool:
    """Tell whether nobody but this machine can connect to an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
