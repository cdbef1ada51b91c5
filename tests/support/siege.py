"""A server in a process of its own that is attacked while two users chat, and what that costs it."""

import asyncio
import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from aldis.core.testing.actor import Actor
from aldis.core.testing.wire import Doors, TcpWire, trusting
from tests.integration.launched import Site

SETTINGS: Final = """
domains = ["capulet.lit", "montague.lit"]
[limits]
unauthenticated_seconds = 1.5
bind_seconds = 1.5
idle_seconds = 2
connections_per_address = 150
connections_per_address_per_minute = 500
bytes_per_second = 0
stanzas_per_second = 0
write_buffer_bytes = 262144
auth_failures_per_minute = 0
auth_failures_per_address_per_minute = 0
[log]
level = "warning"
"""
MEGABYTE: Final = 1024 * 1024
CLEAN_SECONDS: Final = 12.0


@dataclass
class Fortress:
    """The server's process."""

    process: psutil.Process
    doors: Doors
    certificate: str
    people: dict[str, str]
    actors: list[Actor] = field(default_factory=list)
    _sources: int = 0

    def __post_init__(self) -> None:
        self.context = trusting(self.certificate)

    @property
    def rss(self) -> float:
        """Its memory in MB."""
        return float(self.process.memory_info().rss) / MEGABYTE

    def forget_peak(self) -> None:
        """Begin to watch for the most memory that it has at any time."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    @property
    def peak(self) -> float:
        """The most memory in MB since then."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))

    def actor(self, account: str = "juliet@capulet.lit", *, source: str = "", receive_buffer: int = 0) -> Actor:
        """A client that has not connected yet; each comes from an address of its own, unless told from which."""
        if not source:
            self._sources += 1
            source = f"127.0.{1 + self._sources // 200}.{1 + self._sources % 200}"
        context = self.context
        actor = Actor(account, self.people[account], self.doors, lambda: TcpWire(context, source=source, receive_buffer=receive_buffer))
        self.actors.append(actor)
        return actor

    async def withdraw(self) -> None:
        """Cut off whoever attacks or chats."""
        for actor in self.actors:
            await actor.vanishes()
        self.actors.clear()

    async def is_rid_of(self, connections: int) -> None:
        """Wait until it has no more open connections than so many."""
        until = time.monotonic() + CLEAN_SECONDS
        while (have := len([c for c in self.process.net_connections("tcp4") if c.status != psutil.CONN_LISTEN])) > connections:
            assert time.monotonic() < until, f"{have} connections are still open, of which {connections} are wanted"
            await asyncio.sleep(0.05)


@contextmanager
def fortress(path: Path, furnished: Path, people: dict[str, str]) -> Iterator[Fortress]:
    """Run the real `aldis serve` in a folder."""
    site = Site(path, SETTINGS)
    shutil.copytree(furnished, site.data)
    with site.serving() as server:
        yield Fortress(psutil.Process(server.process.pid), Doors(site.port, site.tls_port), str(furnished / "self-signed.crt"), people)
    assert "Traceback" not in server.log(), server.log()


@dataclass
class Pair:
    """Two users who chat all the time, each message timed."""

    one: Actor
    other: Actor
    seconds: list[float] = field(default_factory=list)
    _over: bool = False

    async def chat(self) -> None:
        """Chat until told to stop."""
        while not self._over:
            for sender, recipient in ((self.one, self.other), (self.other, self.one)):
                number = len(self.seconds)
                began = time.monotonic()
                await sender.sends(f"<message to='{recipient.jid}' type='chat' id='c{number}'><body>{number}</body></message>")
                await recipient.receives(f"<message from='{sender.jid}' type='chat' id='c{number}'><body>{number}</body></message>")
                self.seconds.append(time.monotonic() - began)
            await asyncio.sleep(0.005)

    def stop(self) -> None:
        """Stop after the present message."""
        self._over = True

    @property
    def figures(self) -> str:
        """What was measured, for people to read."""
        return f"{len(self.seconds)} messages, median {self.median * 1000:.1f} ms, longest {self.longest * 1000:.0f} ms"

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def longest(self) -> float:
        return max(self.seconds)
