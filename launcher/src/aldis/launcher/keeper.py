"""Keeps one child process running: starts it, starts it again when it ends, later each time, and ends it when told."""

import asyncio
import contextlib
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aldis.core.service.logging import Logger
from aldis.core.service.metrics import Cell

FIRST_DELAY: Final = 0.1
LONGEST_DELAY: Final = 10.0
SETTLED: Final = 10.0
"""Seconds of being ready after which an end is a first one again."""
SEVERAL: Final = 3
"""Ends in a row from which on the log says that something is wrong with it."""


@dataclass(frozen=True, slots=True)
class Child:
    """What is to run: its name in log lines, its command, and what its environment has beside ours."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str]


class Keeper:
    """One child and how it is."""

    def __init__(self, child: Child, restarts: Cell, log: Logger) -> None:
        self.child = child
        self.pid = 0
        """0 while it does not run."""
        self.status = "not started"
        """Why it is not ready."""
        self.ready = asyncio.Event()
        self.ended = asyncio.Event()
        """It has ended for good: it was told to, and it did."""
        self._restarts = restarts
        self._log = log
        self._process: Process | None = None
        self._stopping = asyncio.Event()
        self._in_a_row = 0
        self._ready_since = 0.0

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return int(self._restarts.n)

    async def run(self) -> None:
        """Keep it running until `stop`."""
        try:
            while not self._stopping.is_set():
                code = await self._once()
                if not self._stopping.is_set():
                    await self._pause(code)
                    self._restarts.n += 1
        finally:
            self.ended.set()

    def heard(self, said: Mapping[str, str]) -> None:
        """Take what it says of itself."""
        self.status = said.get("STATUS", self.status)
        if said.get("READY") != "1":
            self.ready.clear()
        elif not self.ready.is_set():
            self._ready_since = asyncio.get_running_loop().time()
            self.ready.set()
            self._log.info("child.ready", child=self.child.name, pid=self.pid)

    def stop(self) -> None:
        """Tell it to end, and start it no more."""
        if not self._stopping.is_set():
            self._stopping.set()
            self.signal(signal.SIGTERM)

    def signal(self, number: signal.Signals) -> None:
        """Pass a signal on."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _once(self) -> int | str:
        """Run it to its end; its exit code, or why it could not be started."""
        child = self.child
        self.status = "starting"
        try:
            # a session of its own, so that Ctrl-C in a terminal comes to us alone and the order of the stop is ours
            process = await asyncio.create_subprocess_exec(
                *child.command, env=dict(child.environ), stdin=DEVNULL, stdout=DEVNULL, start_new_session=True
            )
        except OSError as error:
            return error.strerror or str(error)
        self._process, self.pid = process, process.pid
        self._log.info("child.started", child=child.name, pid=process.pid)
        if self._stopping.is_set():
            self.signal(signal.SIGTERM)
        code = await process.wait()
        self.pid, self._process = 0, None
        self._log.log(
            20 if self._stopping.is_set() and not code else 30, "child.ended", child=child.name, pid=process.pid, code=_told(code)
        )
        return code

    async def _pause(self, code: int | str) -> None:
        """Wait before the next start: not at all long after a first end, longer after each further one."""
        now = asyncio.get_running_loop().time()
        settled = self.ready.is_set() and now - self._ready_since >= SETTLED
        self.ready.clear()
        self._in_a_row = 1 if settled else self._in_a_row + 1
        delay = min(LONGEST_DELAY, FIRST_DELAY * 2 ** (self._in_a_row - 1))
        self.status = f"ended {_told(code)}"
        if self._in_a_row >= SEVERAL:
            self.status = f"ended {self._in_a_row} times in a row, the last time {_told(code)}"
            self._log.error(
                "child.keeps_ending",
                child=self.child.name,
                times=self._in_a_row,
                code=_told(code),
                again_in=delay,
                mend="see its lines above",
            )
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), delay)


def _told(code: int | str) -> str:
    """An exit code as a person reads it: `with exit code 1`, `by SIGKILL`."""
    if isinstance(code, str):
        return f"before it began: {code}"
    if code >= 0:
        return f"with exit code {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"
