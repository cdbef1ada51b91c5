"""Run the services of one process, with the control socket and the welcome after them."""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from aldis.core.service.logging import make_logger, stdlib_into
from aldis.core.service.process import Part, Process
from aldis.core.service.run import Host, host
from aldis.launcher.accounts import Accounts
from aldis.launcher.assemble import ONE, OneProcess
from aldis.launcher.control_server import ControlServer
from aldis.launcher.explain import explained
from aldis.launcher.report import Report
from aldis.launcher.settings import AldisSettings, check_shards
from aldis.launcher.welcome import Welcome, command_line


def serve(settings: AldisSettings, options: argparse.Namespace) -> int:
    """Serve; the exit code is 0 when it was told to stop, however that was.

    Why it could not start stands in the log, and is raised for whoever called it, with the mend.
    """
    with explained(settings):
        check_shards(settings, ONE.shards)
    processes: list[Process] = []
    log = make_logger(settings.log.level, settings.log.format, sys.stderr)

    def app(host: Host[AldisSettings]) -> Sequence[Part]:
        processes.append(host.process)
        house = OneProcess(host)
        report = Report(house)
        accounts = Accounts(house.buses.connect("o"))
        control = ControlServer(settings.data_dir, {"user": accounts.answer, "status": report.answer}, log)
        welcome = Welcome(report, command_line(options.config), sys.stdout, as_json=options.json)
        return [*house.parts, control, welcome]

    with stdlib_into(log):
        code = asyncio.run(host(settings, app, log))
    for process in processes:
        if process.failure is not None:
            part, error = process.failure
            with explained(settings, part):
                raise error
    return code
