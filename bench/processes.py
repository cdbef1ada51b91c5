"""Processes of the benchmark: they end with it, are waited for, and their CPU seconds are counted."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import psutil

from tests.support.postgres import die_with_parent
from tests.support.rabbit import free_ports

__all__ = ["BUILD", "ROOT", "Child", "Failed", "cpu_seconds", "free_ports"]

ROOT: Final = Path(__file__).resolve().parent.parent
BUILD: Final = ROOT / "build"
STARTING: Final = 120.0
"""Seconds that a server may take to start where others are at work."""
STOPPING: Final = 30.0


class Failed(Exception):
    """What can't be measured, in a line for whoever started the benchmark."""


class Child:
    """One process, with its output in a file; killed when the benchmark ends, however that is."""

    def __init__(self, command: Sequence[str], folder: Path, *, env: Mapping[str, str] | None = None, **options: Any) -> None:
        self.output = folder / "output"
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=die_with_parent,  # noqa: PLW1509  takes no lock
                **options,
            )

    @property
    def pid(self) -> int:
        """Its id."""
        return self.process.pid

    def await_port(self, port: int) -> None:
        """Wait until somebody listens on the port."""
        until = time.monotonic() + STARTING
        while not _listens(port):
            if self.process.poll() is not None or time.monotonic() > until:
                raise Failed(f"{self.process.args!r} did not start:\n{self.said()}")
            time.sleep(0.1)

    def said(self) -> str:
        """The end of its output."""
        return self.output.read_text(errors="replace")[-2000:]

    def stop(self) -> None:
        """End it in order, or else."""
        self.process.terminate()
        try:
            self.process.wait(STOPPING)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(STOPPING)


def _listens(port: int) -> bool:
    """Look without connecting, which a server would count and log."""
    wanted = f":{port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(wanted) and fields[3] == "0A":
            return True
    return False


def cpu_seconds(roots: Iterable[int]) -> float:
    """CPU seconds that these processes and all below them have had, in user and system mode."""
    seen: dict[int, float] = {}
    for root in roots:
        with contextlib.suppress(psutil.NoSuchProcess):
            found = psutil.Process(root)
            for process in (found, *found.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    times = process.cpu_times()
                    seen[process.pid] = times.user + times.system
    return sum(seen.values())


def environment(**more: str) -> dict[str, str]:
    """The environment for Aldis: without settings of whoever runs the benchmark, and with its byte code kept."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ALDIS_") and name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(BUILD / "bytecode"), **more}


def python(*words: str) -> list[str]:
    """A command of this interpreter."""
    return [sys.executable, *words]
