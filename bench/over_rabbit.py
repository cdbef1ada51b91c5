"""Aldis as processes over RabbitMQ and PostgreSQL: `aldis up`, with a broker and a database of the benchmark's own."""

import contextlib
import json
import os
import random
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench.embedded import settings
from bench.processes import STARTING, Child, Failed, environment, python
from bench.servers import Folder
from tests.support import postgres, rabbit

PORTS: Final = range(20_000, 32_000)
"""Below those that the kernel deals out, so that nobody gets one between looking and listening."""


class Ground:
    """What all variants stand on, each with its own prefix and its own database; started when the first one needs it."""

    def __init__(self) -> None:
        self.rabbit: rabbit.Rabbit | None = None
        self.database: postgres.Server | None = None
        self._folder: Folder | None = None

    def prepare(self, name: str) -> tuple[rabbit.Rabbit, postgres.Server]:
        """The broker and the database server, with an empty database of this name."""
        broker, database = self.rabbit, self.database
        if broker is None:
            if rabbit.scripts() is None:
                raise Failed("rabbitmq-server is not installed; as root: apt-get install -y --no-install-recommends rabbitmq-server")
            self._folder = Folder("ground")
            broker = self.rabbit = rabbit.Rabbit.made(self._folder.path / "rabbit")
            broker.start(os.getpid())
        if database is None:
            if postgres.program("initdb") is None:
                raise Failed("PostgreSQL is not installed; as root: apt-get install -y --no-install-recommends postgresql")
            database = self.database = postgres.Server(options=())
            database.create()
            database.start()
        createdb = [str(postgres.program("createdb")), "-h", "127.0.0.1", "-p", str(database.port), "-U", postgres.ROLE, name]
        subprocess.run(createdb, check=True, timeout=60)
        return broker, database

    def end(self) -> None:
        """End both and remove what they wrote."""
        if self.rabbit is not None:
            self.rabbit.end()
        if self.database is not None:
            self.database.remove()
        if self._folder is not None:
            self._folder.remove()


class OverRabbit:
    """`aldis up` with one directory, and so many gateways and routers."""

    def __init__(self, name: str, ground: Ground, *, gateways: int, routers: int) -> None:
        self.name = name
        self._ground = ground
        self._gateways = gateways
        self._routers = routers
        self._folder: Folder | None = None
        self._child: Child | None = None
        self._base = _free_row(2 * gateways)
        self._children: dict[str, int] = {}

    @property
    def ports(self) -> Sequence[int]:
        """One for each gateway."""
        return range(self._base, self._base + 2 * self._gateways, 2)

    @property
    def processes(self) -> dict[str, list[int]]:
        """By service; broker and database are shared with other variants, which are silent meanwhile."""
        ground = self._ground
        found: dict[str, list[int]] = {"gateway": [], "router": [], "directory": []}
        for child, pid in self._children.items():
            found[child.partition(".")[0]].append(pid)
        found["rabbitmq"] = [] if ground.rabbit is None else [ground.rabbit.pid]
        found["postgresql"] = [] if ground.database is None else [ground.database.pid]
        return found

    def start(self) -> None:
        """Start it and wait until all of its processes are ready."""
        database = self.name.replace("-", "_")
        broker, server = self._ground.prepare(database)
        self._folder = folder = Folder(self.name)
        text = settings(*folder.certificate(), self._base, self._base + 1)
        (folder.path / "aldis.toml").write_text(
            f'{text}\n[bus]\nurl = "{broker.url}"\nprefix = "{self.name}."\nshards = {self._routers}\n\n'
            f'[database]\nurl = "{server.url(database)}"\n\n[up]\ngateways = {self._gateways}\nrouters = {self._routers}\n'
        )
        self._child = Child(python("-m", "aldis.launcher", "up", "--json"), folder.path, env=environment())
        self._children = {child["name"]: child["pid"] for child in self._ready(self._child)["children"]}

    @staticmethod
    def _ready(child: Child) -> dict[str, Any]:
        """What it says when everything is ready."""
        until = time.monotonic() + STARTING
        while child.process.poll() is None and time.monotonic() < until:
            for line in child.output.read_text(errors="replace").splitlines():
                if line.startswith('{"ok"'):
                    with contextlib.suppress(json.JSONDecodeError):
                        said: dict[str, Any] = json.loads(line)
                        return said
            time.sleep(0.1)
        raise Failed(f"aldis up did not start:\n{child.said()}")

    def stop(self) -> None:
        """End it."""
        if self._child is not None:
            self._child.stop()
        if self._folder is not None:
            self._folder.remove()


def _free_row(count: int) -> int:
    """The first of so many ports in a row on which nobody listens just now."""
    taken = {int(line.split()[1].rpartition(":")[2], 16) for line in Path("/proc/net/tcp").read_text().splitlines()[1:]}
    while True:
        base = random.choice(PORTS)
        if taken.isdisjoint(range(base, base + count)):
            return base
