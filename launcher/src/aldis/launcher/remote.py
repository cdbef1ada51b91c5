"""What a command asks of services that are processes of their own: over the bus, by itself."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from aldis.core.bus.amqp.address import CannotConnect, parse
from aldis.core.bus.amqp.bus import AmqpBus
from aldis.core.bus.amqp.hooks import Hooks
from aldis.core.bus.names import OPERATION, incarnation
from aldis.core.bus.port import Bus, BusError
from aldis.core.contracts.operation import Trace
from aldis.core.service.logging import make_logger
from aldis.core.service.settings import show
from aldis.core.shards.members import Owned
from aldis.core.shards.registry import SqlRegistry
from aldis.core.storage import Database, StorageUnavailable
from aldis.launcher import site
from aldis.launcher.accounts import Accounts
from aldis.launcher.control_server import Answer
from aldis.launcher.failure import Failure
from aldis.launcher.settings import AldisSettings
from aldis.launcher.version import installed

T = TypeVar("T")
CONNECT: Final = 10.0
"""Seconds to reach the broker."""


def with_bus(settings: AldisSettings, work: Callable[[Bus], Awaitable[T]]) -> T:
    """Do `work` with a connection of this command's own."""
    return asyncio.run(_with_bus(settings, work))


async def _with_bus(settings: AldisSettings, work: Callable[[Bus], Awaitable[T]]) -> T:
    log = make_logger("warning", settings.log.format, sys.stderr)
    bus = AmqpBus(parse(settings.bus.url.get_secret_value()), settings.bus.prefix, incarnation("o"), Hooks(log=log))
    try:
        async with asyncio.timeout(CONNECT):
            await bus.start()
    except CannotConnect as problem:
        raise Failure(str(problem), code=2 if problem.wrong else 1, condition="broker") from None
    except TimeoutError:
        raise Failure(f"{_shown(settings, 'bus.url')}: no answer within {CONNECT:g} s; see whether it runs", condition="broker") from None
    try:
        return await work(bus)
    except BusError as problem:
        raise Failure(f"{_shown(settings, 'bus.url')}: {str(problem) or type(problem).__name__}", condition="broker") from None
    finally:
        await bus.close()


def user(settings: AldisSettings, question: Mapping[str, Any]) -> Answer:
    """`aldis user`."""
    return with_bus(settings, lambda bus: Accounts(bus).answer(question))


def trace(settings: AldisSettings, account: str, seconds: int) -> Answer:
    """`aldis trace ACCOUNT`."""

    async def work(bus: Bus) -> Answer:
        bus.broadcast(OPERATION, Trace(account=account, seconds=seconds))
        _ = await site.ask(bus, sessions=False)  # who has answered has heard what was said before
        return {"ok": True, "account": account, "seconds": seconds}

    return with_bus(settings, work)


def status(settings: AldisSettings, *, sessions: bool, children: list[dict[str, Any]] | None) -> Answer:
    """`aldis status`; `children` are those of an `aldis up` on this machine."""

    async def work(bus: Bus) -> Answer:
        answers = await site.ask(bus, sessions=sessions)
        owners, problem = await _owners(settings)
        processes = answers.processes
        answer: Answer = {
            "ok": True,
            "version": installed(),
            "domains": list(settings.domains),
            "processes": [_process(process) for process in site.ordered(processes)],
            "listening": site.listening(processes),
            "certificates": site.certificates(processes, time.time()),
            "sessions": sum(process.sessions for process in processes.values() if process.service == "gateway"),
            "shards": await site.shards(bus, owners, processes),
            "broker": _value(settings, "bus.url"),
            "broker_problem": next((process.blocked for process in processes.values() if process.blocked), None),
            "database": _value(settings, "database.url"),
            "database_problem": problem,
            "data_dir": str(settings.data_dir.absolute()),
        }
        if children is not None:
            answer["children"] = children
        if sessions:
            answer["session_list"] = [{"jid": session.jid, "peer": session.peer} for session in answers.sessions]
        return answer

    return with_bus(settings, work)


def _process(process: Any) -> dict[str, Any]:
    names = ("service", "name", "incarnation", "version", "host", "pid", "uptime", "sessions", "connections", "blocked")
    return {name: getattr(process, name) for name in names} | {"not_ready": list(process.not_ready)}


async def _owners(settings: AldisSettings) -> tuple[Mapping[int, Owned], str | None]:
    """The rows of the shards, and what is wrong with the database."""
    database = Database(settings.database.url.get_secret_value())
    try:
        await database.open()
        return (await SqlRegistry(database).view()).owners, None
    except StorageUnavailable as error:
        return {}, str(error)
    finally:
        await database.close()


def _value(settings: AldisSettings, name: str) -> str:
    """A setting as it may be shown."""
    return str(next(shown.value for shown in show(settings) if shown.name == name))


def _shown(settings: AldisSettings, name: str) -> str:
    return f"{name} = {_value(settings, name)}"
