"""Every service a process of its own, as `aldis up` and containers run them, over the tests' own RabbitMQ and PostgreSQL.

The test is the supervisor, so that it can choose the moment at which what was killed comes back, and each process reaches
the broker through a link that can be cut.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

from tests.kill.link import Link
from tests.kill.one_process import DOMAIN, LIMITS, environ
from tests.kill.running import Running, port_below_the_others
from tests.support.postgres import Server as Postgres
from tests.support.rabbit import Rabbit

SHARDS: Final = 4


class Site:
    """Two gateways, two routers and a directory, and a third router that is not started yet."""

    def __init__(self, folder: Path, *, resume_seconds: int = 180, broken: Mapping[str, Mapping[str, str]] | None = None) -> None:
        """`broken` gives more environment to the processes of a service."""
        self.folder = folder
        self.rabbit = Rabbit.made(folder / "rabbit")
        self.postgres = Postgres(options=())
        self.links: dict[str, Link] = {}
        self.processes: dict[str, Running] = {}
        self.metrics: dict[str, int] = {}
        self._broken = broken or {}
        self._stack = contextlib.AsyncExitStack()
        self._settings = folder / "aldis.toml"
        self._settings.write_text(
            f'domains = ["{DOMAIN}"]\n[bus]\nshards = {SHARDS}\n[c2s]\nhost = "127.0.0.1"\ntls_port = 0\nrequire_tls = false\n'
            f"plain_without_tls = true\n[sm]\nresume_seconds = {resume_seconds}\n{LIMITS}"
        )

    @property
    def doors(self) -> list[int]:
        """Where clients connect."""
        return [port for process in self.gateways for port in process.ports]

    @property
    def gateways(self) -> list[Running]:
        return self.of("gateway")

    @property
    def routers(self) -> list[Running]:
        """Those that were started."""
        return [process for process in self.of("router") if process.starts]

    @property
    def directory(self) -> Running:
        return self.processes["directory-0"]

    def of(self, service: str) -> list[Running]:
        """A service's processes."""
        return [process for name, process in self.processes.items() if name.startswith(service)]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Site"]:
        """Have everything started, until the block ends."""
        async with self._stack:
            self._stack.callback(self.rabbit.end)
            self._stack.callback(self.postgres.remove)
            self.postgres.create()
            self.postgres.launch()
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.to_thread(self.rabbit.start, os.getpid()))
                group.create_task(asyncio.to_thread(self._database))
            for service in ("directory", "router", "router", "gateway", "gateway"):
                (await self.add(service)).start()
            await asyncio.gather(*(process.ready() for process in self.processes.values()))
            await self.add("router")
            self._stack.push_async_callback(self._end)
            yield self

    async def add(self, service: str) -> Running:
        """Prepare one more process of a service, with a link of its own."""
        name = f"{service}-{len(self.of(service))}"
        link = await self._stack.enter_async_context(Link(self.rabbit.port).serving())
        folder = self.folder / name
        folder.mkdir()
        port, figures = port_below_the_others(), port_below_the_others()
        more = {
            "ALDIS_BUS__URL": f"amqp://guest:guest@127.0.0.1:{link.port}/",
            "ALDIS_DATABASE__URL": self.postgres.url("postgres"),
            "ALDIS_DATA_DIR": str(folder / "data"),
            "ALDIS_METRICS__PORT": str(figures),
        }
        if service == "gateway":
            more["ALDIS_C2S__PORT"] = str(port)
        process = Running(
            name,
            [sys.executable, "-m", f"aldis.{service}", "--config", self._settings],
            folder=folder,
            environ=environ(**more, **self._broken.get(service, {})),
            ports=[port] if service == "gateway" else [],
            figures=figures,
        )
        self.links[name], self.processes[name], self.metrics[name] = link, process, figures
        return process

    def _database(self) -> None:
        self.postgres.wait()
        done = subprocess.run(
            [sys.executable, "-m", "aldis.launcher", "--config", self._settings, "migrate"],
            cwd=self.folder,
            env=environ(ALDIS_DATABASE__URL=self.postgres.url("postgres"), ALDIS_BUS__URL=self.rabbit.url),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    async def _end(self) -> None:
        for service in ("gateway", "router", "directory"):
            async with asyncio.TaskGroup() as group:
                for process in self.of(service):
                    group.create_task(process.end())
