"""Accounts without a running server: the directory alone, on the store, for one command."""

import asyncio
import sys
from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry

from aldis.core.bus.memory import MemoryBroker
from aldis.core.service.clock import SystemClock
from aldis.core.service.logging import make_logger
from aldis.core.storage import Database
from aldis.directory.app import Directory
from aldis.launcher.accounts import Accounts
from aldis.launcher.buses import Buses
from aldis.launcher.control_server import Answer
from aldis.launcher.explain import explained
from aldis.launcher.settings import AldisSettings
from aldis.launcher.store import shape


def run(settings: AldisSettings, question: Mapping[str, Any]) -> Answer:
    """Answer one question, in a loop of its own."""
    return asyncio.run(answer(settings, question))


async def answer(settings: AldisSettings, question: Mapping[str, Any]) -> Answer:
    """Answer one question; a deletion is finished by the next `serve`, since other services have something to forget as well."""
    buses = Buses(MemoryBroker())
    log = make_logger("warning", settings.log.format, sys.stderr)
    database = Database(settings.database.url.get_secret_value())
    directory = Directory(
        settings=settings,
        bus=buses.connect("d"),
        database=database,
        clock=SystemClock(),
        registry=CollectorRegistry(),
        log=log,
    )
    accounts = Accounts(buses.connect("o"))
    try:
        with explained(settings):
            await database.open()
            await shape(database)
            await directory.start()
        return await accounts.answer(question)
    finally:
        await directory.stop()
        await buses.stop()
        await database.close()
