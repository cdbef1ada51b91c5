"""A service as a process of its own: its command line, a bus over a broker, the database, then the service itself."""

import argparse
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

from aldis.core.bus.names import incarnation
from aldis.core.bus.port import Bus
from aldis.core.service.connect import connect
from aldis.core.service.dropped import Dropped
from aldis.core.service.leash import die_with
from aldis.core.service.logging import Stream
from aldis.core.service.outside import BusLink, Stored
from aldis.core.service.problems import SettingsError, line
from aldis.core.service.process import Part
from aldis.core.service.run import Host, run
from aldis.core.service.sections import CommonSettings
from aldis.core.storage import Database
from aldis.core.storage.migrations import MigrationSet

S = TypeVar("S", bound=CommonSettings)
STOP_SECONDS: Final = 30.0
"""For one part to drain."""


@dataclass(frozen=True, slots=True)
class Ground(Generic[S]):
    """What a service stands on when it runs alone: its host, a bus that is connected, a database that is in shape."""

    host: Host[S]
    bus: Bus
    database: Database
    dropped: Dropped
    name: str
    """What this process is called in log lines and by `aldis status`, such as `gateway.1`."""


@dataclass(frozen=True, slots=True)
class Service(Generic[S]):
    """A service for `main`: what its settings are, how it is made, and which tables it needs."""

    name: str
    settings: type[S]
    make: Callable[[Ground[S]], Sequence[Part]]
    """Its parts, in the order in which they start."""
    migrations: tuple[MigrationSet, ...]


class _Grounded(Generic[S]):
    """The service's own parts, made when bus and database are there."""

    def __init__(self, name: str, make: Callable[[], Sequence[Part]]) -> None:
        self.name = name
        self._make = make
        self._parts: list[Part] = []

    async def start(self) -> None:
        for part in self._make():
            self._parts.append(part)
            await part.start()

    async def stop(self) -> None:
        while self._parts:
            await self._parts.pop().stop()


def main(service: Service[S], arguments: Sequence[str] | None = None) -> int:
    """Run the service until it is told to stop; the exit code, 2 for wrong usage or settings."""
    options = _parser(service.name).parse_args(arguments)
    if options.parent and not die_with(options.parent):
        return 1
    name = options.name or service.name
    return alone(service, name, config=options.config, environ=os.environ, stderr=sys.stderr)


def alone(service: Service[S], name: str, *, config: Path | None, environ: Mapping[str, str], stderr: Stream) -> int:
    """Run the service with these settings."""

    def parts(host: Host[S]) -> list[Part]:
        settings = host.settings
        dropped = Dropped(host.registry)
        bus = BusLink(host, lambda: connect(host, incarnation(service.name[0]), dropped))
        stored = Stored(host, Database(settings.database.url.get_secret_value()), service.migrations)
        return [bus, stored, _Grounded(service.name, lambda: service.make(Ground(host, bus.bus, stored.database, dropped, name)))]

    # However long broker and database stay away: whoever looks after the process sees that it is alive and why it is not ready.
    return run(
        service.settings,
        parts,
        config=config,
        environ=environ,
        stderr=stderr,
        check=_with_a_broker,
        name=name,
        start_seconds=math.inf,
        stop_seconds=STOP_SECONDS,
    )


def _with_a_broker(settings: CommonSettings) -> None:
    if not settings.bus.url.get_secret_value():
        mend = "is empty; a service that runs alone needs a RabbitMQ: set amqp://USER:PASSWORD@HOST/, or use `aldis serve`"
        raise SettingsError([line("bus.url", None, None, mend)])


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"aldis-{name}",
        description=f"The {name} of Aldis as a process of its own. Exit codes: 0 told to stop, 1 failed, 2 wrong usage or settings.",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the settings; else the file that ALDIS_CONFIG names, ./aldis.toml or /etc/aldis/aldis.toml",
    )
    parser.add_argument("--name", default="", metavar="NAME", help=f"what the process is called in its log lines; else {name}")
    parser.add_argument("--parent", type=int, default=0, metavar="PID", help="end when this process, which started it, is gone")
    return parser
