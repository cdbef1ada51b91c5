"""A service's main: settings, log, metrics and health, then its parts until it is told to stop."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Generic, TypeVar

from prometheus_client import CollectorRegistry

from aldis.core.service.clock import Clock, SystemClock
from aldis.core.service.health import HealthServer
from aldis.core.service.logging import Logger, Stream, make_logger, stdlib_into
from aldis.core.service.metrics import Level, LoopWatch, make_registry
from aldis.core.service.notify import Notifier
from aldis.core.service.process import START_SECONDS, STOP_SECONDS, Part, Process
from aldis.core.service.sections import CommonSettings
from aldis.core.service.settings import SettingsError, load

S = TypeVar("S", bound=CommonSettings)
NOBODY: Final[Mapping[str, str]] = MappingProxyType({})
"""An environment in which nobody waits to hear from us."""


@dataclass(frozen=True, slots=True)
class Host(Generic[S]):
    """What a service is given to build its parts from."""

    settings: S
    log: Logger
    registry: CollectorRegistry
    process: Process
    clock: Clock


App = Callable[[Host[S]], Sequence[Part]]
"""Names a service's parts in the order in which they start."""


def run(
    model: type[S],
    app: App[S],
    *,
    config: Path | None,
    environ: Mapping[str, str],
    stderr: Stream,
    shared: bool = True,
    check: Callable[[S], None] | None = None,
    name: str = "",
    start_seconds: float = START_SECONDS,
    stop_seconds: float = STOP_SECONDS,
) -> int:
    """Run a service until it is told to stop; the exit code (2: wrong settings, each named on stderr).

    `shared` as in `load`: a service on its own leaves sections that it does not know to the others. `check` may raise
    `SettingsError` too. `name` stands in every line that is logged.
    """
    try:
        settings = load(config, environ, model, shared=shared)
        if check is not None:
            check(settings)
    except SettingsError as error:
        stderr.write("".join(f"{problem}\n" for problem in error.problems))
        return 2
    log = make_logger(settings.log.level, settings.log.format, stderr)
    if name:
        log = log.bind(process=name)
    with stdlib_into(log):
        return asyncio.run(host(settings, app, log, environ=environ, start_seconds=start_seconds, stop_seconds=stop_seconds))


async def host(
    settings: S,
    app: App[S],
    log: Logger,
    *,
    environ: Mapping[str, str] = NOBODY,
    start_seconds: float = START_SECONDS,
    stop_seconds: float = STOP_SECONDS,
) -> int:
    """Run the parts of `app` in this loop, with `/metrics` and health beside them; whoever started it hears how it is (`notify`)."""
    registry = make_registry()
    process = Process(log, start_seconds=start_seconds, stop_seconds=stop_seconds)
    Notifier(process.readiness, environ).tell()
    Level(registry, "aldis_ready", "Whether the process is ready, as /readyz says it: 1 or 0.").read(
        lambda: float(not process.readiness.reasons())
    )

    def build(process: Process) -> list[Part]:
        parts: list[Part] = [LoopWatch(registry)]
        if settings.metrics.port:
            parts.append(HealthServer(settings.metrics.host, settings.metrics.port, registry, process.readiness))
        return [*parts, *app(Host(settings, log, registry, process, SystemClock()))]

    return await process.run(build)
