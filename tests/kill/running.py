"""A server's process: started, killed, stopped and continued from outside, and dead when the test is."""

import asyncio
import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import psutil

READY_SECONDS: Final = 40.0
LEASH: Final = """
import os, sys
from aldis.core.service.leash import die_with
die_with(int(sys.argv[1])) or sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


def port_below_the_others() -> int:
    """A free port that no outgoing connection takes while a process that listens there is dead: they come from 32768 on."""
    while True:
        port = random.randrange(15_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Running:
    """One process and its successors."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        folder: Path,
        environ: Mapping[str, str],
        ports: Sequence[int],
        figures: int = 0,
    ) -> None:
        """`ports` are the clients'; `figures` is that of /readyz and /metrics, if it has one."""
        self.name = name
        self.figures = figures
        self.log_path = folder / f"{name}.log"
        self.ports = ports
        self.starts = 0
        self._command = [str(word) for word in command]
        self._folder = folder
        self._environ = environ
        self._process: subprocess.Popen[bytes] | None = None
        self._born = 0.0

    @property
    def pid(self) -> int:
        """Its present id."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def rss(self) -> float:
        """Its memory in MB."""
        return float(psutil.Process(self.pid).memory_info().rss) / (1024 * 1024)

    def start(self) -> None:
        """Start it, with its words added to its log."""
        assert not self.alive, f"{self.name} runs already"
        self.starts += 1
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", LEASH, str(os.getpid()), *self._command],
                cwd=self._folder,
                env=dict(self._environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def ready(self) -> None:
        """Wait until it says that it is ready, and takes clients' connections."""
        until = time.monotonic() + READY_SECONDS
        why = ""
        while True:
            assert self.alive, f"{self.name} ended:\n{self.tail()}"
            assert time.monotonic() < until, f"{self.name} is not ready: {why}\n{self.tail()}"
            why = await self._missing()
            if not why:
                return
            await asyncio.sleep(0.05)

    async def metrics(self) -> dict[str, float]:
        """Every sample of its /metrics, by name with its labels."""
        text = await self._get("/metrics")
        return {name: float(value) for name, value in re.findall(r"^(\w+(?:\{.*\})?) ([-+.\de]+)$", text, re.MULTILINE)}

    async def _missing(self) -> str:
        try:
            for port in self.ports:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
            answer = await self._get("/readyz") if self.figures else " 200 "
        except OSError as error:
            return str(error)
        return "" if " 200 " in answer.partition("\n")[0] else answer

    async def _get(self, path: str) -> str:
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.figures)
            writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            text = (await reader.read()).decode()
            writer.close()
        return text

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def kill(self) -> None:
        """End it as a power cut does."""
        self.signal(signal.SIGKILL)
        await asyncio.to_thread(self._wait, 10.0)

    async def end(self) -> None:
        """Ask it to end, and kill it if it does not."""
        if not self.alive:
            return
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(self._wait, 30.0)
        except subprocess.TimeoutExpired:
            await self.kill()
            raise AssertionError(f"{self.name} did not end when it was asked to:\n{self.tail()}") from None

    def tail(self, lines: int = 30) -> str:
        """What it logged last."""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def _wait(self, seconds: float) -> None:
        assert self._process is not None
        self._process.wait(seconds)
