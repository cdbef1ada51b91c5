"""The real `aldis up` in a folder of its own, over the tests' own RabbitMQ and PostgreSQL."""

import json
import os
import random
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aldis.core.testing.actor import Actor
from aldis.core.testing.wire import Doors
from tests.integration.launched import SECONDS, Site
from tests.support.openssl_wire import OpenSslWire

BELOW_EPHEMERAL = (20_000, 32_000)
METRICS = (0, 1, 2, 21, 22, 41)
DOORS = (100, 101, 102, 103)


def free_base() -> int:
    """Find a number from which on all ports of a small site are free."""
    while True:
        base = random.randrange(*BELOW_EPHEMERAL)
        if all(is_free(base + more) for more in (*METRICS, *DOORS)):
            return base


def is_free(port: int) -> bool:
    """Tell whether nobody listens on a port."""
    with closing(socket.socket()) as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@dataclass
class Running:
    """An `aldis up` that was started."""

    process: subprocess.Popen[str]
    errors: Path
    ready: dict[str, Any]

    def log(self) -> str:
        """Read what all of its processes logged."""
        return self.errors.read_text()

    def wait_for(self, words: str, *, seconds: float = SECONDS) -> None:
        """Wait until one of them says so."""
        until = time.monotonic() + seconds
        while words not in self.log():
            assert self.process.poll() is None or words in self.log(), f"ended:\n{self.log()}"
            assert time.monotonic() < until, f"never logged {words!r}:\n{self.log()}"
            time.sleep(0.05)

    def stop(self) -> int:
        """End it in order; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS)

    def child(self, name: str) -> int:
        """The process id of a child when everything was ready."""
        return int(next(child["pid"] for child in self.ready["children"] if child["name"] == name))


class UpSite(Site):
    """A settings file for several processes."""

    def __init__(self, path: Path, bus: str, database: str, *, more: str = "") -> None:
        base = free_base()
        self.metrics = base
        self.bus = bus
        self.database = database
        super().__init__(path, more, base + DOORS[0], base + DOORS[1])

    def write(self, more: str = "") -> None:
        (self.path / "aldis.toml").write_text(
            f'{more}\n[c2s]\nhost = "127.0.0.1"\nport = {self.port}\ntls_port = {self.tls_port}\n'
            f"[metrics]\nport = {self.metrics}\n[directory]\niterations = 4096\n"
            f'[bus]\nurl = "{self.bus}"\nprefix = "{self.path.name}-{os.getpid()}."\nshards = 4\n[database]\nurl = "{self.database}"\n'
            "[up]\ngateways = 2\nrouters = 2\n"
        )

    @contextmanager
    def begun(self, *arguments: str) -> Iterator[Running]:
        """Start it, and do not wait for anything."""
        errors = self.path / "up.log"
        with errors.open("w") as stderr:
            process = self.start("up", "--json", *arguments, stderr=stderr)
        try:
            yield Running(process, errors, {})
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(SECONDS)
                finally:
                    process.kill()
            if process.stdout is not None:
                process.stdout.close()

    @contextmanager
    def running(self, *arguments: str) -> Iterator[Running]:
        """Start it and wait until everything is ready."""
        with self.begun(*arguments) as running:
            stdout = running.process.stdout
            assert stdout is not None
            readable, _, _ = select.select([stdout], [], [], 2 * SECONDS)
            line = stdout.readline() if readable else ""
            assert line, f"not ready:\n{running.log()}"
            running.ready = json.loads(line)
            yield running

    def actor(self, name: str, gateway: int) -> Actor:
        """A client of this gateway, counted from 1; the password is the name."""
        more = 2 * (gateway - 1)
        doors = Doors(self.port + more, self.tls_port + more)
        return Actor(f"{name}@localhost", name, doors, lambda: OpenSslWire(str(self.data / "self-signed.crt")))
