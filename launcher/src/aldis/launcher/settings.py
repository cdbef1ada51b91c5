"""The settings of all services together: one file sets everything, and a misspelt name is found whoever it was for."""

from aldis.core.service.problems import SettingsError, line
from aldis.core.service.settings import show
from aldis.directory import settings as directory
from aldis.gateway import settings as gateway
from aldis.router import settings as router


class Limits(gateway.Limits, router.Limits, directory.Limits):
    """How much strangers, sessions and accounts may use; 0 = unlimited."""


class Registration(directory.Registration, gateway.Registration):
    """What strangers and users may do to accounts with their client (XEP-0077)."""


class Sm(gateway.Sm, router.Sm):
    """Stanzas that clients acknowledge, and streams that they resume (XEP-0198)."""


class AldisSettings(gateway.GatewaySettings, router.RouterSettings, directory.DirectorySettings):
    """Everything that can be set."""

    limits: Limits = Limits()
    registration: Registration = Registration()
    sm: Sm = Sm()


def check_shards(settings: AldisSettings, shards: int) -> None:
    """Raise `SettingsError` unless `bus.shards` is the number of shards that somebody in this process owns."""
    if settings.bus.shards != shards:
        origin = next(shown.origin for shown in show(settings) if shown.name == "bus.shards")
        what = f"one process holds {shards} shard{'s' if shards > 1 else ''}; leave it out, or run each service on its own"
        raise SettingsError([line("bus.shards", str(settings.bus.shards), origin, what)])
