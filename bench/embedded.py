"""Aldis in one process: `aldis serve`."""

from collections.abc import Sequence
from pathlib import Path

from bench.processes import Child, environment, free_ports, python
from bench.servers import DOMAIN, Folder


def settings(certificate: Path, key: Path, port: int, tls_port: int) -> str:
    """The settings file: traffic limits as they are by default, those on strangers off, since all clients have one address."""
    return f"""
domains = ["{DOMAIN}"]

[c2s]
host = "127.0.0.1"
port = {port}
tls_port = {tls_port}
plain_without_tls = true

[tls]
certificate = "{certificate}"
key = "{key}"

[metrics]
port = 0

[log]
level = "warning"

[directory]
iterations = 4096

[registration]
enabled = true
attempts_per_hour = 0

[limits]
connections_per_address = 0
connections_per_address_per_minute = 0
"""


class Embedded:
    """`aldis serve`, with SQLite."""

    name = "aldis"

    def __init__(self) -> None:
        self._folder: Folder | None = None
        self._child: Child | None = None
        self._ports = free_ports(2)

    @property
    def ports(self) -> Sequence[int]:
        """Its one gateway's."""
        return self._ports[:1]

    @property
    def processes(self) -> dict[str, list[int]]:
        """It is one process."""
        return {self.name: [self._child.pid] if self._child else []}

    def start(self) -> None:
        """Start it."""
        self._folder = folder = Folder(self.name)
        (folder.path / "aldis.toml").write_text(settings(*folder.certificate(), *self._ports))
        self._child = Child(python("-m", "aldis.launcher", "serve"), folder.path, env=environment())
        self._child.await_port(self._ports[0])

    def stop(self) -> None:
        """End it."""
        if self._child is not None:
            self._child.stop()
        if self._folder is not None:
            self._folder.remove()
