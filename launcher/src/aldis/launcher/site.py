"""All processes of a site, asked over the bus: for `aldis status` where each service is a process of its own."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from aldis.core.bus.names import OPERATION, reply_queue, router_queue
from aldis.core.bus.port import Batch, Bus
from aldis.core.contracts.base import Message
from aldis.core.contracts.operation import HowAreYou, Process, Session, Sessions
from aldis.core.shards.members import Owned

LONGEST: Final = 3.0
"""Seconds to wait for answers."""
QUIET: Final = 0.4
"""Seconds without another answer after which all have answered that will."""


@dataclass(slots=True)
class Answers:
    """What came."""

    processes: dict[str, Process] = field(default_factory=dict)
    sessions: list[Session] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    def deliver(self, batch: Batch) -> None:
        """Take some in."""
        for message in batch.messages:
            self._take(message)
        batch.ack()
        self.came.set()

    def lost(self) -> None:
        """The broker went: no more will come."""

    def _take(self, message: Message) -> None:
        if isinstance(message, Process):
            self.processes[message.incarnation] = message
        elif isinstance(message, Sessions):
            self.sessions += message.sessions


async def ask(bus: Bus, *, sessions: bool, longest: float = LONGEST, quiet: float = QUIET) -> Answers:
    """Ask every process how it is; returns when no more answers come."""
    answers = Answers()
    queue = f"{reply_queue(bus.incarnation, bus.connection)}-operator"
    await bus.declare(queue, exclusive=True)
    subscription = await bus.consume(queue, answers)
    try:
        bus.broadcast(OPERATION, HowAreYou(reply_to=queue, sessions=sessions))
        until = asyncio.get_running_loop().time() + longest
        while (left := until - asyncio.get_running_loop().time()) > 0:
            answers.came.clear()
            try:
                await asyncio.wait_for(answers.came.wait(), min(left, quiet) if answers.processes else left)
            except TimeoutError:
                break
    finally:
        await subscription.cancel()
    return answers


async def lag(bus: Bus, shard: int) -> dict[str, Any]:
    """What waits in a shard's queue, and whether somebody consumes it."""
    state = await bus.look(router_queue(shard))
    return {"waiting": None, "consumers": 0} if state is None else {"waiting": state.messages, "consumers": state.consumers}


async def shards(bus: Bus, owners: Mapping[int, Owned], processes: dict[str, Process]) -> list[dict[str, Any]]:
    """Each shard: its row in the database, what its owner says of it, and what its queue holds."""
    found = []
    for number, row in sorted(owners.items()):
        epoch, owner = row.epoch, row.owner
        process = processes.get(owner or "")
        own = next((shard for shard in process.shards if shard.shard == number), None) if process else None
        entry: dict[str, Any] = {"shard": number, "epoch": epoch, "owner": owner, "process": process.name if process else None}
        entry |= msgspec.to_builtins(own) if own is not None and own.epoch == epoch else {"silent": owner is not None}
        found.append(entry | await lag(bus, number))
    return found


def listening(processes: dict[str, Process]) -> list[dict[str, Any]]:
    """What clients connect to, of every gateway."""
    return [msgspec.to_builtins(port) | {"process": process.name} for process in ordered(processes) for port in process.listening]


def certificates(processes: dict[str, Process], now: float) -> list[dict[str, Any]]:
    """The certificates that are shown to clients, each once."""
    found = {}
    for process in ordered(processes):
        for certificate in process.certificates:
            left = int(certificate.expires - now)
            found[certificate.path, certificate.sha256] = msgspec.to_builtins(certificate) | {"expires_in_seconds": left}
    return list(found.values())


def ordered(processes: dict[str, Process]) -> Iterator[Process]:
    """By service and name."""
    return iter(sorted(processes.values(), key=lambda process: (process.service, process.name, process.incarnation)))
