"""The load client, and the CPU seconds of everybody while it measures."""

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil

from bench.processes import BUILD, Failed, cpu_seconds
from bench.servers import DOMAIN, Server
from tests.support.postgres import die_with_parent

SOURCE: Final = Path(__file__).with_name("xload.c")
PROGRAM: Final = BUILD / "xload"


class Figure(msgspec.Struct):
    """One measurement of one server."""

    server: str
    run: str
    round: int
    load: dict[str, Any]
    """What the load client printed."""
    cpu: dict[str, float]
    """CPU seconds of the server's processes by what they do, while it was measured."""
    others: float
    """Cores that were busy with neither server nor client."""
    load_average: float
    """Of the last minute, before."""

    @property
    def rate(self) -> float:
        """Messages, or logins, a second."""
        return float(self.load["per_second"])

    def each(self, seconds: float) -> float:
        """CPU microseconds for each message."""
        return seconds * 1e6 / max(int(self.load["received"]), 1)


class _Sample:
    def __init__(self, server: Server) -> None:
        self.when = time.monotonic()
        self.machine = _busy()
        self.cpu = {name: cpu_seconds(pids) for name, pids in server.processes.items()}


def _busy() -> float:
    """Seconds that the machine's cores were busy, those that other machines took included."""
    times = psutil.cpu_times()
    busy: float = times.user + times.nice + times.system + times.irq + times.softirq + times.steal
    return busy


def build() -> None:
    """Compile the load client if its source is newer."""
    BUILD.mkdir(exist_ok=True)
    if PROGRAM.exists() and PROGRAM.stat().st_mtime > SOURCE.stat().st_mtime:
        return
    compiler = shutil.which("cc")
    if compiler is None:
        raise Failed("no C compiler; as root: apt-get install -y --no-install-recommends gcc libc6-dev libssl-dev")
    command = [compiler, "-O2", "-Wall", "-o", str(PROGRAM), str(SOURCE), "-lssl", "-lcrypto"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"xload.c does not compile; it needs libssl-dev:\n{done.stderr[-1000:]}")


def measure(server: Server, run: str, words: Sequence[str], *, number: int, limit: float) -> Figure:
    """Put one server through one run; raises `Failed` for one that loses, repeats or closes."""
    average = os.getloadavg()[0]
    ports = ",".join(map(str, server.ports))
    command = [str(PROGRAM), *words, "--port", ports, "--domain", DOMAIN]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent,  # noqa: PLW1509  takes no lock
    )
    timer = threading.Timer(limit, process.kill)
    samples: list[_Sample] = []
    said: dict[str, Any] = {}
    try:
        timer.start()
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            if "event" in said:
                samples.append(_Sample(server))
        _, errors = process.communicate()
    finally:
        timer.cancel()
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode or len(samples) != 2:
        raise Failed(f"{server.name}, {run}: {json.dumps(said)}\n{errors[-1000:]}")
    before, after = samples
    cpu = {name: seconds - before.cpu[name] for name, seconds in after.cpu.items()}
    ours = sum(cpu.values()) + said["cpu"]
    others = (after.machine - before.machine - ours) / (after.when - before.when)
    return Figure(server.name, run, number, said, cpu, max(others, 0.0), average)
