"""The running process: parts start in order and stop in reverse, each in its time, and every task has an owner."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

from aldis.core.service.health import Readiness
from aldis.core.service.logging import Logger

START_SECONDS = 60.0
STOP_SECONDS = 15.0


class Part(Protocol):
    """Something that starts and stops: a listener, the database, the bus.

    `start` returns when it is ready for what comes after it. `stop` drains: it ends what it began, within the time
    limit; it is called after a `start` that failed as well, to let go of what is held.
    """

    @property
    def name(self) -> str: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...


Build = Callable[["Process"], Sequence[Part]]


class Process:
    """The process that parts run in: it owns their tasks, and stops when asked, signalled, or when a task dies."""

    def __init__(self, log: Logger, *, start_seconds: float = START_SECONDS, stop_seconds: float = STOP_SECONDS) -> None:
        self.log = log
        self.readiness = Readiness()
        self.failure: tuple[str, Exception] | None = None
        """The part that could not start, and why."""
        self._start_seconds = start_seconds
        self._stop_seconds = stop_seconds
        self._stopping = asyncio.Event()
        self._failed = False
        self._urgent = False
        self._scope: asyncio.Timeout | None = None
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._hooks: list[tuple[str, Callable[[], Awaitable[None]]]] = []

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` beside everything else, until it returns or the process has stopped; if it raises, the process stops."""
        if self._group is None:
            raise RuntimeError("a task begins when the process runs")
        task = self._group.create_task(self._guarded(name, work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def on_reload(self, name: str, hook: Callable[[], Awaitable[None]]) -> None:
        """Call `hook` at SIGHUP; what it raises is logged and changes nothing."""
        self._hooks.append((name, hook))

    def stop(self, reason: str, *, failed: bool = False) -> None:
        """Begin to stop, for a reason that is logged; `failed` makes the exit code 1."""
        self._failed |= failed
        if self._stopping.is_set():
            return
        self.log.info("process.stopping", reason=reason)
        self._stopping.set()
        self.readiness.set("process", "stopping")
        self._hurry()

    async def run(self, build: Build) -> int:
        """Start what `build` names, wait for the end, stop it; the exit code."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        started: list[Part] = []
        async with asyncio.TaskGroup() as self._group:
            self._listen(loop)
            try:
                if await self._start(build, started) and not self._stopping.is_set():
                    self.readiness.set("process", None)
                    self.log.info("process.ready", seconds=round(loop.time() - began, 3))
                    await self._stopping.wait()
            finally:
                self.readiness.set("process", "stopping")
                await self._stop(started)
                for task in list(self._tasks):
                    task.cancel()
                self._deafen(loop)
        self.log.info("process.stopped", seconds=round(loop.time() - began, 3))
        return 1 if self._failed else 0

    async def _start(self, build: Build, started: list[Part]) -> bool:
        try:
            parts = build(self)
        except Exception as error:  # noqa: BLE001  told on one line, and the process ends
            return self._cannot_start("process", error)
        for part in parts:
            if self._stopping.is_set():
                return False
            started.append(part)
            self.readiness.set(part.name, "starting")
            scope = asyncio.timeout(self._start_seconds)
            try:
                await self._within(scope, part.start())
            except Exception as error:  # noqa: BLE001  told on one line, and the process ends
                if scope.expired():  # out of time, or told to stop meanwhile
                    return not self._stopping.is_set() and self._cannot_start(part.name, f"not ready within {self._start_seconds:g} s")
                return self._cannot_start(part.name, error)
            self.readiness.set(part.name, None)
        return True

    async def _within(self, scope: asyncio.Timeout, step: Coroutine[Any, Any, None]) -> None:
        """Wait for one start or stop; `_hurry` ends it before its time."""
        self._scope = scope
        try:
            async with scope:
                await step
        finally:
            self._scope = None

    def _cannot_start(self, name: str, reason: object) -> bool:
        self.log.error("process.cannot_start", part=name, reason=reason)
        if isinstance(reason, Exception):
            self.failure = name, reason
            self.log.debug("process.cannot_start", part=name, exc_info=reason)
        self._failed = True
        return False

    async def _stop(self, started: list[Part]) -> None:
        for part in reversed(started):
            scope = asyncio.timeout(0 if self._urgent else self._stop_seconds)
            try:
                await self._within(scope, part.stop())
            except Exception as error:
                self._failed = True
                if scope.expired():
                    self.log.warning("part.not_stopped", part=part.name, reason="told to hurry" if self._urgent else "took too long")
                else:
                    self.log.exception("part.not_stopped", part=part.name, reason=error)

    async def _guarded(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:
            self.log.exception("part.died", part=name, reason=error)
            self.stop(f"{name} died", failed=True)

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, loop, number)
        loop.add_signal_handler(signal.SIGHUP, lambda: self.spawn("reload", self._reload()))

    def _deafen(self, loop: asyncio.AbstractEventLoop) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)

    def _signalled(self, loop: asyncio.AbstractEventLoop, number: signal.Signals) -> None:
        """The first drains, the second hurries, the third is the system's own and kills."""
        if not self._stopping.is_set():
            self.stop(number.name)
            return
        self.log.warning("process.hurrying", reason=number.name)
        self._urgent = True
        self._hurry()
        self._deafen(loop)

    def _hurry(self) -> None:
        """End the start or stop that is waited for just now."""
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(asyncio.get_running_loop().time())

    async def _reload(self) -> None:
        for name, hook in self._hooks:
            try:
                await hook()
            except Exception as error:  # noqa: BLE001  what was loaded before goes on
                self.log.warning("reload.failed", part=name, reason=error)
            else:
                self.log.info("reload.done", part=name)
