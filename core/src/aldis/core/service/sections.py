"""The settings that every service shares, and the types that settings are made of."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from aldis.core.service.settings import SecretUrl, Section, Settings
from aldis.core.service.text import path_fault
from aldis.core.xmpp.errors.stanza import JidMalformed
from aldis.core.xmpp.jid import Jid


def _domain(value: str) -> str:
    """The domainpart in the form in which it is compared (RFC 7622 §3.2)."""
    try:
        jid = Jid.parse(value)
    except JidMalformed as error:
        raise ValueError(f"is not a domain name: {error}; use a name such as example.org") from None
    if jid.local or jid.resource:
        raise ValueError(f"is a JID, not a domain name; use {jid.domain}")
    return jid.domain


def _port(value: int) -> int:
    if not 1 <= value <= 65535:
        raise ValueError("a port is 1 to 65535")
    return value


def _optional_port(value: int) -> int:
    if not 0 <= value <= 65535:
        raise ValueError("a port is 1 to 65535, or 0 for none")
    return value


def _some(values: tuple[str, ...]) -> tuple[str, ...]:
    """Each domain once, and at least one; after the items, so that a wrong item is told as just that."""
    if not values:
        raise ValueError("must name at least one domain")
    return tuple(dict.fromkeys(values))


def _database_url(value: SecretUrl) -> SecretUrl:
    """Only what there is an adapter for; told here, since a service that stores nothing has no database library to ask."""
    url = value.get_secret_value()
    if url.startswith(("postgresql://", "postgres://")):
        fault = _postgres_fault(url)
    elif url and (not url.startswith("sqlite:///") or url in ("sqlite:///", "sqlite:///:memory:")):
        fault = "must be sqlite:///PATH (sqlite:////PATH if absolute) or postgresql://ROLE:PASSWORD@HOST/DATABASE; mend it or leave it out"
    else:
        fault = path_fault(url.removeprefix("sqlite:///")) if url else ""
    if fault:
        raise ValueError(fault)
    return value


def _postgres_fault(url: str) -> str:
    """What is wrong with the address of a PostgreSQL, as far as its text shows."""
    _, _, rest = url.partition("://")
    if not rest.isprintable() or " " in rest or "#" in rest:
        return "holds a blank, a # or a control character; write what is special in a password as %XX"
    if not rest.partition("?")[0].partition("/")[2]:
        return "names no database; end the address with /DATABASE"
    return ""


def _bus_url(value: SecretUrl) -> SecretUrl:
    """What the adapter can read; asked only where there is something to read."""
    if url := value.get_secret_value():
        from aldis.core.bus.amqp.address import parse  # noqa: PLC0415  who has no broker needn't load it

        _ = parse(url)
    return value


def _prefix(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{0,64}", value):
        raise ValueError("may have letters, digits and _ . -, at most 64; mend it or leave it out")
    return value


Domain = Annotated[str, AfterValidator(_domain)]
"""A domainpart, kept in its normal form."""
Port = Annotated[int, AfterValidator(_port)]
OptionalPort = Annotated[int, AfterValidator(_optional_port)]
"""A port, or 0 for none."""
Limit = Annotated[int, Field(ge=0)]
"""A figure that something must not pass; 0 = unlimited."""
Seconds = Annotated[float, Field(ge=0)]
"""A length of time."""


class Database(Section):
    """Where accounts, rosters and messages are kept."""

    url: Annotated[SecretUrl, AfterValidator(_database_url)] = Field(
        default=SecretUrl(""),
        description="Address of the database, `sqlite:///PATH` or `postgresql://ROLE:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full`;"
        " empty: `aldis.db` in `data_dir`.",
    )

    @property
    def is_file(self) -> bool:
        """Is it a file of this machine, which no other one uses?"""
        return self.url.get_secret_value().startswith("sqlite:")


class Bus(Section):
    """How services reach each other."""

    url: Annotated[SecretUrl, AfterValidator(_bus_url)] = Field(
        default=SecretUrl(""),
        description="Address of the RabbitMQ, `amqp://USER:PASSWORD@HOST:PORT/VHOST` or `amqps://…?ca=FILE`; empty: all services are one "
        "process (`aldis serve`).",
    )
    prefix: Annotated[str, AfterValidator(_prefix)] = Field(
        default="", description="What the names of all queues begin with, so that several sites can share a broker."
    )
    shards: int = Field(
        default=1,
        ge=1,
        le=1024,
        description="Number of shards that users are spread over: the same in every process, at least the number of routers.",
    )


class Metrics(Section):
    """Where `/metrics`, `/healthz` and `/readyz` are served."""

    host: str = Field(default="127.0.0.1", description="Address to listen on; what is served there needs no password.")
    port: OptionalPort = Field(default=5291, description="Port to listen on; 0 = off.")


class Log(Section):
    """What is logged to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="The least that is logged.")
    format: Literal["human", "json"] = Field(
        default="human", description="One line per event: for people, or one JSON object for programs."
    )


class CommonSettings(Settings):
    """What a service's model begins with."""

    domains: Annotated[tuple[Domain, ...], AfterValidator(_some)] = Field(
        default=("localhost",), description="The domains that are served."
    )
    data_dir: Path = Field(default=Path("data"), description="Directory for what the server writes: database, keys, control socket.")
    database: Database = Database()
    bus: Bus = Bus()
    metrics: Metrics = Metrics()
    log: Log = Log()

    @model_validator(mode="after")
    def _place_the_database(self) -> "CommonSettings":
        """Write out the default address, so that whatever reads or shows it sees the effective one."""
        if not self.database.url.get_secret_value():
            url = SecretUrl(f"sqlite:///{self.data_dir / 'aldis.db'}")
            self.__dict__["database"] = self.database.model_copy(update={"url": url})  # frozen for everybody else
        return self
