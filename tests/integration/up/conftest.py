"""What the tests of `aldis up` share: a supervisor over small children, in a process of its own and in this one."""

import asyncio
import io
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from aldis.core.service.logging import make_logger
from aldis.core.service.process import Part, Process
from aldis.launcher.keeper import Child
from aldis.launcher.supervisor import Supervisor

CHILD = Path(__file__).with_name("child.py")


class Stage:
    """A supervisor, its log, and the story that its children write."""

    def __init__(self, folder: Path, **limits: float) -> None:
        self.story_file = folder / "story"
        self.lines = io.StringIO()
        self.limits = limits
        self.process: Process
        self.supervisor: Supervisor
        self.registry = CollectorRegistry()

    def child(self, name: str, *how: str) -> Child:
        """Describe a small child that behaves like this."""
        environ = {**os.environ, "NOTIFY_SOCKET": self.supervisor.notify_socket}
        return Child(name, (sys.executable, str(CHILD), name, str(self.story_file), *how), environ)

    def story(self) -> list[str]:
        """What happened, without process ids."""
        return [line.rpartition(" ")[0] for line in self.lines_of_story()]

    def lines_of_story(self) -> list[str]:
        """What happened, with process ids."""
        return self.story_file.read_text().splitlines() if self.story_file.exists() else []

    def log(self) -> str:
        """What the supervisor logged."""
        return self.lines.getvalue()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(15):
            while not condition():
                await asyncio.sleep(0.02)

    async def run(self, ranks: tuple[tuple[tuple[str, ...], ...], ...], work: Callable[["Stage"], Awaitable[None]]) -> int:
        """Run children (name, how …) in ranks; `work` begins at once, and the stop when it is over."""
        log = make_logger("debug", "human", self.lines)
        self.process = Process(log, start_seconds=30, stop_seconds=30)

        def build(process: Process) -> list[Part]:
            self.supervisor = Supervisor(process, self.registry, log, **self.limits)
            self.supervisor.keep([[self.child(*child) for child in rank] for rank in ranks])
            _ = process.spawn("test", self._work(work))
            return [self.supervisor]

        return await self.process.run(build)

    async def _work(self, work: Callable[["Stage"], Awaitable[None]]) -> None:
        try:
            await work(self)
        finally:
            self.process.stop("the test is over")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Give a supervisor."""
    return Stage(tmp_path, awaited=0.3, rank_seconds=2.0)
