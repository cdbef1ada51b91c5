"""Connect a service to the broker that `bus.url` names, with its figures in the process's metrics."""

import asyncio
from typing import Any, Final

from aldis.core.bus.amqp.address import CannotConnect, parse
from aldis.core.bus.amqp.bus import AmqpBus
from aldis.core.bus.amqp.hooks import Hooks
from aldis.core.bus.port import Bus
from aldis.core.service.bus_figures import BusFigures
from aldis.core.service.dropped import Dropped
from aldis.core.service.run import Host

AGAIN: Final = 1.0
"""Seconds between two tries."""


async def connect(host: Host[Any], incarnation: str, dropped: Dropped) -> Bus:
    """Wait for the broker as long as it takes, and say why there is no connection; raises `CannotConnect` if waiting can't help."""
    settings = host.settings.bus
    address = parse(settings.url.get_secret_value())
    figures = BusFigures(host.registry)
    hooks = Hooks(
        log=host.log, sent=figures.sent, dropped=lambda count: dropped("no-queue", count), dead=figures.dead, refused=figures.refused
    )
    told = ""
    while True:
        bus = AmqpBus(address, settings.prefix, incarnation, hooks)
        try:
            await bus.start()
        except CannotConnect as problem:
            if problem.wrong:
                raise
            if str(problem) != told:
                told = str(problem)
                host.log.warning("bus.awaited", reason=told)
                host.process.readiness.set("bus", told)
            await asyncio.sleep(AGAIN)
        else:
            return bus
