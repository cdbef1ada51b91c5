"""`aldis up`: every service as processes of their own, looked after by this one until it is told to stop."""

import argparse
from importlib import import_module
from typing import TYPE_CHECKING, Final

from aldis.launcher.arguments import SERVICES
from aldis.launcher.configuration import load_settings
from aldis.launcher.failure import Failure
from aldis.launcher.lock import UP, locked

if TYPE_CHECKING:
    from aldis.launcher.settings import AldisSettings

PATIENCE: Final = 15.0
"""Seconds to wait for a command that works on the data directory."""
MAY_PASS: Final = 1
"""The exit code where another start may do better."""


def run(options: argparse.Namespace) -> int:
    """Run the processes; what can't work is told before any of them starts."""
    settings = with_options(load_settings(options.config), options)
    check(settings)
    import_module("aldis.launcher.preflight").check(settings, code=MAY_PASS)
    with locked(settings.data_dir, UP, patience=PATIENCE):
        return int(import_module("aldis.launcher.supervise").supervise(settings, options))


def with_options(settings: "AldisSettings", options: argparse.Namespace) -> "AldisSettings":
    """The settings with the numbers from the command line."""
    given = {service: getattr(options, service) for service in SERVICES if getattr(options, service) is not None}
    wrong = [f"--{service} {number}: must be 1 to 19" for service, number in given.items() if not 1 <= number <= 19]
    if wrong:
        raise Failure(*wrong, code=2, condition="wrong-settings")
    return settings.model_copy(update={"up": settings.up.model_copy(update=given)})


def check(settings: "AldisSettings") -> None:
    """Raise a `Failure` where the settings are those of one process."""
    problems = []
    if not settings.bus.url.get_secret_value():
        problems.append("bus.url: is empty; `aldis up` needs a RabbitMQ: set amqp://USER:PASSWORD@HOST/, or use `aldis serve`")
    if settings.database.is_file:
        problems.append("database.url: is a file of one process; `aldis up` needs a PostgreSQL: set postgresql://…, or use `aldis serve`")
    if settings.bus.shards < settings.up.routers:
        routers, shards = settings.up.routers, settings.bus.shards
        problems.append(f"bus.shards = {shards}: {routers} routers share the shards out, and some would have none; set {4 * routers}")
    if problems:
        raise Failure(*problems, code=2, condition="wrong-settings")
