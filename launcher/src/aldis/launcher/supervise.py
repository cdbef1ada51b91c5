"""The process of `aldis up`: it brings the database into shape, starts the services and looks after them."""

import argparse
import asyncio
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aldis.core.service.logging import Stream, make_logger, stdlib_into
from aldis.core.service.process import Part, Process
from aldis.core.service.run import Host, host
from aldis.core.storage import Database, StorageUnavailable
from aldis.core.storage.migrations import migrate
from aldis.gateway.net.certificates import ensure_self_signed
from aldis.gateway.net.listening import CannotListen, listen
from aldis.launcher.control_server import Answer, ControlServer
from aldis.launcher.control_socket import UP_FILE
from aldis.launcher.failure import Failure
from aldis.launcher.processes import listened, ranks
from aldis.launcher.serving import raise_mendable
from aldis.launcher.settings import AldisSettings
from aldis.launcher.store import migration_sets
from aldis.launcher.supervisor import Supervisor
from aldis.launcher.version import installed

STOP_SECONDS: Final = 150.0
"""For all ranks to end, each in its own time."""
AGAIN: Final = 1.0


class Prepared:
    """What has to be there once before the services start: the tables, and a certificate that all gateways share."""

    name: Final = "preparations"

    def __init__(self, host: Host[AldisSettings]) -> None:
        self._host = host

    async def start(self) -> None:
        """Wait for the database as long as it takes."""
        settings = self._host.settings
        if settings.tls.certificate is None:
            await asyncio.to_thread(ensure_self_signed, settings.data_dir, settings.domains)
        told = ""
        while True:
            try:
                await self._migrate(settings.database.url.get_secret_value())
            except StorageUnavailable as error:
                if str(error) != told:
                    told = str(error)
                    self._host.log.warning("database.awaited", reason=told)
                    self._host.process.readiness.set(self.name, told)
                await asyncio.sleep(AGAIN)
            else:
                return

    async def _migrate(self, url: str) -> None:
        database = Database(url)
        try:
            await database.open()
            for applied in await migrate(database, migration_sets()):
                self._host.log.info("database.migrated", service=applied.service, file=applied.file)
        finally:
            await database.close()

    async def stop(self) -> None:
        """Nothing is left to do."""


class Told:
    """The last part to start: says that everything is ready."""

    name: Final = "welcome"

    def __init__(self, settings: AldisSettings, supervisor: Supervisor, stream: Stream, *, as_json: bool) -> None:
        self._settings = settings
        self._supervisor = supervisor
        self._stream = stream
        self._as_json = as_json

    async def start(self) -> None:
        """Say it. A server whose standard output is gone serves all the same."""
        text = json.dumps(self.answer()) if self._as_json else "\n".join(self._lines())
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            return

    async def stop(self) -> None:
        """Say nothing; the log does."""

    def answer(self) -> Answer:
        """As data."""
        settings = self._settings
        return {
            "ok": True,
            "version": installed(),
            "pid": os.getpid(),
            "domains": list(settings.domains),
            "children": self._supervisor.states(),
            "listening": [{"name": name, "host": host, "port": port} for name, host, port in listened(settings)],
            "data_dir": str(settings.data_dir.absolute()),
        }

    def _lines(self) -> list[str]:
        found = [f"Aldis {installed()} serves {', '.join(self._settings.domains)}", ""]
        found += [f"  {child['name']:<14} process {child['pid']}" for child in self._supervisor.states()]
        found += [f"  {name:<28} {host} port {port}" for name, host, port in listened(self._settings) if name.startswith("c2s.")]
        return [*found, "  stop           Ctrl-C", ""]


def supervise(settings: AldisSettings, options: argparse.Namespace) -> int:
    """Run until told to stop; the exit code."""
    check_ports(settings)
    processes: list[Process] = []
    log = make_logger(settings.log.level, settings.log.format, sys.stderr).bind(process="up")

    def app(host: Host[AldisSettings]) -> Sequence[Part]:
        processes.append(host.process)
        supervisor = Supervisor(host.process, host.registry, log)
        supervisor.keep(ranks(settings, options.config, os.environ, supervisor.notify_socket))
        told = Told(settings, supervisor, sys.stdout, as_json=options.json)

        async def status(_: Mapping[str, Any]) -> Answer:
            return told.answer()

        control = ControlServer(settings.data_dir, {"status": status}, log, file=UP_FILE)
        return [control, Prepared(host), supervisor, told]

    log.info("serve.starting", version=installed(), domains=settings.domains, data_dir=settings.data_dir.absolute())
    with stdlib_into(log):
        code = asyncio.run(host(settings, app, log, environ=os.environ, start_seconds=math.inf, stop_seconds=STOP_SECONDS))
    for process in processes:
        if process.failure is not None:
            raise_mendable(settings, *process.failure)
    return code


def check_ports(settings: AldisSettings) -> None:
    """Raise a `Failure` that names every port that is taken, or wanted twice, while nothing has been started yet."""
    problems = []
    seen: dict[int, str] = {}
    for name, address, port in listened(settings):
        if port > 65535:
            problems.append(f"{name} would be {port}; a port is 1 to 65535")
        elif port in seen:
            problems.append(f"{name} would be {port}, which {seen[port]} is as well; move one of them")
        else:
            seen[port] = name
            try:
                for sock in listen(address, port, name):
                    sock.close()
            except CannotListen as error:
                problems.append(str(error))
    if problems:
        raise Failure(*problems, condition="cannot-listen")
