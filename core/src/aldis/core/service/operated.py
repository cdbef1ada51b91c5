"""A process's answers to the operator's command: how it is, told to whoever asks on the bus."""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from aldis.core.bus.names import OPERATION
from aldis.core.bus.port import Bus, Subscription
from aldis.core.contracts.base import Message
from aldis.core.contracts.operation import Certificate, HowAreYou, Listening, Process, Session, Sessions, Shard
from aldis.core.service.clock import Clock
from aldis.core.service.health import Readiness


@dataclass(frozen=True, slots=True)
class State:
    """What a service tells of itself."""

    sessions: int = 0
    connections: int = 0
    listening: tuple[Listening, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    shards: tuple[Shard, ...] = ()


Look = Callable[[], State]
PART: Final = 500
"""Sessions in one message, far below what a batch may have."""


class Operated:
    """The answers as a part."""

    name: Final = "operation"

    def __init__(
        self,
        service: str,
        name: str,
        bus: Bus,
        clock: Clock,
        readiness: Readiness,
        look: Look,
        sessions: Callable[[], list[Session]] = list,
    ) -> None:
        """`look` looks at the service, `sessions` lists its sessions."""
        self._service = service
        self._name = name
        self._bus = bus
        self._clock = clock
        self._began = clock.now()
        self._readiness = readiness
        self._look = look
        self._sessions = sessions
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        self._subscription = await self._bus.listen(OPERATION, self._heard)

    async def stop(self) -> None:
        if self._subscription is not None:
            await self._subscription.cancel()

    def _heard(self, message: Message) -> None:
        if isinstance(message, HowAreYou):
            self._bus.publish(message.reply_to, self.report())
            if message.sessions:
                found = self._sessions()
                for start in range(0, len(found), PART):
                    part = tuple(found[start : start + PART])
                    self._bus.publish(message.reply_to, Sessions(incarnation=self._bus.incarnation, sessions=part))

    def report(self) -> Process:
        """How this process is."""
        state = self._look()
        return Process(
            service=self._service,
            name=self._name,
            incarnation=self._bus.incarnation,
            version=version("aldis-core"),
            host=socket.gethostname(),
            pid=os.getpid(),
            uptime=round(self._clock.now() - self._began, 1),
            not_ready=tuple(reason for reason in self._readiness.reasons() if not reason.startswith(f"{self.name}:")),
            blocked=self._bus.blocked,
            sessions=state.sessions,
            connections=state.connections,
            listening=state.listening,
            certificates=state.certificates,
            shards=state.shards,
        )
