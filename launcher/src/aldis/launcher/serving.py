"""Run the services of one process, with the control socket and the welcome after them."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

from aldis.core.service.health import HealthServer
from aldis.core.service.logging import make_logger, stdlib_into
from aldis.core.service.process import Part, Process
from aldis.core.service.run import Host, host
from aldis.gateway.net.certificates import CertificateProblem
from aldis.gateway.net.listening import CannotListen
from aldis.launcher.accounts import Accounts
from aldis.launcher.assemble import ONE, OneProcess
from aldis.launcher.control_server import ControlServer
from aldis.launcher.explain import explained
from aldis.launcher.failure import Failure
from aldis.launcher.report import Report
from aldis.launcher.settings import AldisSettings, check_shards
from aldis.launcher.tracing import Tracing
from aldis.launcher.version import installed
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
        tracing = Tracing(house.buses.connect("o"))
        handlers = {"user": accounts.answer, "status": report.answer, "trace": tracing.answer}
        control = ControlServer(settings.data_dir, handlers, log)
        welcome = Welcome(report, command_line(options.config), sys.stdout, as_json=options.json)
        return [*house.parts, control, welcome]

    log.info("serve.starting", version=installed(), domains=settings.domains, data_dir=settings.data_dir.absolute())
    with stdlib_into(log):
        code = asyncio.run(host(settings, app, log, environ=os.environ))
    for process in processes:
        if process.failure is not None:
            raise_mendable(settings, *process.failure)
    return code


def raise_mendable(settings: AldisSettings, part: str, error: Exception) -> None:
    """Raise why a part did not start, as a line with the mend."""
    if isinstance(error, CannotListen | CertificateProblem):
        raise Failure(str(error), condition="cannot-listen" if isinstance(error, CannotListen) else "certificate") from error
    if isinstance(error, OSError) and part == HealthServer.name:
        reason = os.strerror(error.errno).lower() if error.errno else error
        where = f"metrics.port = {settings.metrics.port}: cannot listen on {settings.metrics.host}"
        raise Failure(f"{where}: {reason}; set another port, or 0 for none", condition="cannot-listen") from error
    with explained(settings):
        raise error
