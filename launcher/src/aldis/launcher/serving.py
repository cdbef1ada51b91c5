"""Run the services of one process, with the control socket and the welcome after them."""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from aldis.core.service.logging import make_logger, stdlib_into
from aldis.core.service.process import Part
from aldis.core.service.run import Host, host
from aldis.launcher.accounts import Accounts
from aldis.launcher.assemble import ONE, OneProcess
from aldis.launcher.control_server import ControlServer
from aldis.launcher.explain import explained
from aldis.launcher.failure import Failure
from aldis.launcher.report import Report
from aldis.launcher.settings import AldisSettings, check_shards
from aldis.launcher.welcome import Welcome, command_line


def serve(settings: AldisSettings, options: argparse.Namespace) -> int:
    """Serve; the exit code is 0 when it was told to stop, however that was."""
    with explained(settings):
        check_shards(settings, ONE.shards)
    failures: list[Failure] = []
    log = make_logger(settings.log.level, settings.log.format, sys.stderr)

    def app(host: Host[AldisSettings]) -> Sequence[Part]:
        house = OneProcess(host)
        report = Report(house)
        accounts = Accounts(house.buses.connect("o"))
        control = ControlServer(settings.data_dir, {"user": accounts.answer, "status": report.answer}, log)
        welcome = Welcome(report, command_line(options.config), sys.stdout, as_json=options.json)
        return [Mendable(part, settings, failures) for part in (*house.parts, control, welcome)]

    with stdlib_into(log):
        code = asyncio.run(host(settings, app, log))
    if failures:
        raise failures[0]
    return code


class Mendable:
    """A part whose failure to start, where an operator can mend it, is told on one plain line at the end."""

    def __init__(self, part: Part, settings: AldisSettings, failures: list[Failure]) -> None:
        self._part = part
        self._settings = settings
        self._failures = failures
        self.name = part.name

    async def start(self) -> None:
        try:
            with explained(self._settings):
                await self._part.start()
        except Failure as failure:
            self._failures.append(failure)
            raise

    async def stop(self) -> None:
        await self._part.stop()
