"""What `aldis serve` says when it is ready: where to connect, and the next command to type."""

import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from aldis.core.service.logging import Stream
from aldis.gateway.settings import EVERYWHERE
from aldis.launcher.report import Report


class Welcome:
    """The last part to start: whoever waits for its words finds everything in place."""

    name: Final = "welcome"

    def __init__(self, report: Report, command: str, stream: Stream, *, as_json: bool) -> None:
        """`command` is how `aldis` is called from this folder; JSON is one line, as `aldis status` gives it."""
        self._report = report
        self._command = command
        self._stream = stream
        self._as_json = as_json

    async def start(self) -> None:
        """Say it. A server whose standard output is gone serves all the same."""
        answer = await self._report.answer({})
        text = json.dumps(answer) if self._as_json else "\n".join(_lines(answer, self._command))
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            return

    async def stop(self) -> None:
        """Say nothing; the log does."""


def _lines(answer: Mapping[str, Any], command: str) -> Iterator[str]:
    domain = answer["domains"][0]
    yield f"Aldis {answer['version']} serves {', '.join(answer['domains'])}"
    yield ""
    where = {port["host"] for port in answer["listening"]}
    ports = " or ".join(f"{port['port']} ({port['name']})" for port in answer["listening"])
    yield f"  connect   {', '.join(where).replace(EVERYWHERE, 'any address of this machine')}, port {ports}, as a user of {domain}"
    for certificate in answer["certificates"]:
        if certificate["self_signed"]:
            yield f"  TLS       self-signed certificate; clients ask whether to trust SHA-256 {certificate['sha256']}"
        else:
            yield f"  TLS       {certificate['path']}"
    yield f"  add user  {command} user add juliet@{domain}"
    yield f"  status    {command} status"
    yield f"  data      {answer['data_dir']}"
    yield "  stop      Ctrl-C"
    yield ""


def command_line(config: Path | None) -> str:
    """How this command is called from this folder, so that it finds the same server."""
    program = Path(sys.argv[0])
    if shutil.which("aldis") == str(program.absolute()):
        name = "aldis"
    else:
        here = program.absolute()
        name = os.path.relpath(here) if here.is_relative_to(Path.cwd()) else str(here)
    settings = [
        f"{variable}={shlex.quote(os.environ[variable])}" for variable in ("ALDIS_CONFIG", "ALDIS_DATA_DIR") if variable in os.environ
    ]
    option = ["--config", shlex.quote(str(config))] if config else []
    return " ".join([*settings, shlex.quote(name), *option])
