"""Runs processes in order: each rank is ready before the next begins, and ended before the one before it ends."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any, Final

from prometheus_client import CollectorRegistry

from aldis.core.service.logging import Logger
from aldis.core.service.metrics import Level, Tally
from aldis.core.service.process import Process
from aldis.launcher.keeper import Child, Keeper
from aldis.launcher.notices import Notices

AWAITED: Final = 10.0
"""Seconds after which the log says, again and again, which children are not ready."""
RANK_SECONDS: Final = 40.0
"""For all of a rank to end in order: longer than a process gives to its own parts."""
KILL_SECONDS: Final = 2.0
"""For the system to end what was killed."""


class Supervisor:
    """Children in ranks, as one part of the supervising process."""

    name: Final = "children"

    def __init__(
        self, process: Process, registry: CollectorRegistry, log: Logger, *, awaited: float = AWAITED, rank_seconds: float = RANK_SECONDS
    ) -> None:
        self._process = process
        self._log = log
        self._awaited = awaited
        self._rank_seconds = rank_seconds
        self._notices = Notices(self._heard)
        self._restarts = Tally(registry, "aldis_child_restarts_total", "Times that a process was started again.", ("child",))
        self._ready = Level(registry, "aldis_child_ready", "Whether a process is ready: 1 or 0.", ("child",))
        self.ranks: list[list[Keeper]] = []
        process.on_reload("children", self._reload)

    @property
    def keepers(self) -> Iterator[Keeper]:
        """All of them, in the order in which they start."""
        return chain.from_iterable(self.ranks)

    @property
    def notify_socket(self) -> str:
        """What children find in NOTIFY_SOCKET."""
        return self._notices.address

    def keep(self, ranks: Sequence[Sequence[Child]]) -> None:
        """Say what to run; before `start`."""
        self.ranks = [[Keeper(child, self._restarts.cell(child.name), self._log) for child in rank] for rank in ranks]
        for keeper in self.keepers:
            self._ready.read(partial(_is_ready, keeper), keeper.child.name)

    async def start(self) -> None:
        """Start rank after rank; returns when all are ready, however long that takes."""
        self._notices.open()
        for rank in self.ranks:
            for keeper in rank:
                _ = self._process.spawn(keeper.child.name, keeper.run())
            await self._until_ready(rank)
        _ = self._process.spawn("readiness of children", self._watch())

    async def stop(self) -> None:
        """End rank after rank, the last first; what does not end in its time is killed."""
        try:
            for rank in reversed(self.ranks):
                await self._end(rank)
        finally:
            await self._kill()  # nothing is left to kill unless we were told to hurry
            self._notices.close()

    def states(self) -> list[dict[str, Any]]:
        """How each child is, for `aldis status`."""
        return [
            {
                "name": keeper.child.name,
                "pid": keeper.pid,
                "ready": keeper.ready.is_set(),
                "status": "ready" if keeper.ready.is_set() else keeper.status,
                "restarts": keeper.restarts,
            }
            for keeper in self.keepers
        ]

    def missing(self) -> list[str]:
        """Who is not ready and why."""
        return [f"{keeper.child.name}: {keeper.status}" for keeper in self.keepers if not keeper.ready.is_set()]

    async def _until_ready(self, rank: list[Keeper]) -> None:
        for keeper in rank:
            while True:
                try:
                    await asyncio.wait_for(keeper.ready.wait(), self._awaited)
                    break
                except TimeoutError:
                    self._log.warning("child.awaited", child=keeper.child.name, status=keeper.status)

    async def _watch(self) -> None:
        """Be ready only while every child is, and name who is not."""
        while True:
            missing = self.missing()
            self._process.readiness.set("children ready", "; ".join(missing) if missing else None)
            await asyncio.sleep(1.0)

    async def _end(self, rank: list[Keeper]) -> None:
        running = [keeper for keeper in rank if keeper.status != "not started"]
        for keeper in running:
            keeper.stop()
        try:
            async with asyncio.timeout(self._rank_seconds):
                for keeper in running:
                    await keeper.ended.wait()
        except TimeoutError:
            for keeper in running:
                if not keeper.ended.is_set():
                    self._log.warning(
                        "child.killed", child=keeper.child.name, pid=keeper.pid, reason=f"did not end in {self._rank_seconds:g} s"
                    )
                    keeper.signal(signal.SIGKILL)
            for keeper in running:
                await keeper.ended.wait()

    async def _kill(self) -> None:
        running = [keeper for keeper in self.keepers if keeper.pid]
        for keeper in running:
            keeper.stop()
            keeper.signal(signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KILL_SECONDS):
                for keeper in running:
                    await keeper.ended.wait()

    async def _reload(self) -> None:
        for keeper in self.keepers:
            keeper.signal(signal.SIGHUP)

    def _heard(self, pid: int, said: dict[str, str]) -> None:
        for keeper in self.keepers:
            if pid and keeper.pid == pid:
                keeper.heard(said)


def _is_ready(keeper: Keeper) -> float:
    return float(keeper.ready.is_set())
