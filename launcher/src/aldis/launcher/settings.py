"""The settings of all services together: one file sets everything, and a misspelt name is found whoever it was for."""

from typing import Annotated

from pydantic import Field

from aldis.core.service.problems import SettingsError, line
from aldis.core.service.settings import Section, show
from aldis.directory import settings as directory
from aldis.gateway import settings as gateway
from aldis.router import settings as router

Many = Annotated[int, Field(ge=1, le=19)]
"""Processes of one kind; more than a machine has use for."""


class Limits(gateway.Limits, router.Limits, directory.Limits):
    """How much strangers, sessions and accounts may use; 0 = unlimited."""


class Registration(directory.Registration, gateway.Registration):
    """What strangers and users may do to accounts with their client (XEP-0077)."""


class Sm(gateway.Sm, router.Sm):
    """Stanzas that clients acknowledge, and streams that they resume (XEP-0198)."""


class Up(Section):
    """How many processes of each service `aldis up` runs."""

    gateways: Many = Field(
        default=1,
        description="Gateways. The first listens on `c2s.port` and `c2s.tls_port`, each further one two ports higher, so that each can be "
        "reached by itself: name all of them in the SRV records.",
    )
    routers: Many = Field(default=1, description="Routers; `bus.shards` should be a few times as many.")
    directories: Many = Field(default=1, description="Directories.")


class AldisSettings(gateway.GatewaySettings, router.RouterSettings, directory.DirectorySettings):
    """Everything that can be set."""

    limits: Limits = Limits()
    registration: Registration = Registration()
    sm: Sm = Sm()
    up: Up = Up()


def check_shards(settings: AldisSettings, shards: int) -> None:
    """Raise `SettingsError` unless `bus.shards` is the number of shards that somebody in this process owns."""
    if settings.bus.shards != shards:
        origin = next(shown.origin for shown in show(settings) if shown.name == "bus.shards")
        what = f"one process holds {shards} shard{'s' if shards > 1 else ''}; leave it out, or run each service on its own"
        raise SettingsError([line("bus.shards", str(settings.bus.shards), origin, what)])
