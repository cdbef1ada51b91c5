"""A connection's way through the test, so that it can be cut or held up: one small TCP proxy for each process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from enum import Enum
from typing import Final

PUBLISH: Final = b"\x00\x3c\x00\x28"
"""AMQP 0-9-1 basic.publish, class 60 and method 40: by it the connection that publishes is known."""


class State(Enum):
    """What happens to the bytes."""

    OPEN = "open"
    CUT = "cut"
    HELD = "held"
    """Nothing passes in any direction, and connections stay."""
    MUTE = "mute"
    """What publishes is held; what consumes and acknowledges passes."""


class Half(asyncio.Protocol):
    """One end of a connection through the proxy."""

    def __init__(self, link: "Link", peer: "Half | None" = None) -> None:
        self.link, self.peer = link, peer
        self.transport: asyncio.Transport | None = None
        self.publishes = False
        self.held = False
        self._waiting = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.link.halves.add(self)
        if self.peer is None:
            self.link.dial(self)
        else:
            self.peer.joined(self)
            self.obey()

    def joined(self, peer: "Half") -> None:
        """Send on what came before the other side was there."""
        self.peer = peer
        if peer.transport is not None and self._waiting:
            peer.transport.write(bytes(self._waiting))
            self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        if not self.publishes and PUBLISH in data:
            self.publishes = True
            if self.peer is not None:
                self.peer.publishes = True
            if self.link.state is State.MUTE:
                self.obey()
        if self.peer is None or self.peer.transport is None:
            self._waiting += data
        elif not self.peer.transport.is_closing():
            self.peer.transport.write(data)

    def pause_writing(self) -> None:
        if self.peer is not None:
            self.peer.read(on=False)

    def resume_writing(self) -> None:
        if self.peer is not None:
            self.peer.read(on=True)

    def connection_lost(self, exc: Exception | None) -> None:
        self.link.halves.discard(self)
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.abort()

    def read(self, *, on: bool) -> None:
        """Read on, or let the bytes wait with the sender."""
        if self.transport is not None and not self.transport.is_closing():
            (self.transport.resume_reading if on and not self.held else self.transport.pause_reading)()

    def obey(self) -> None:
        """Do as the link's state says."""
        state = self.link.state
        self.held = state is State.HELD or (state is State.MUTE and self.publishes)
        if state is State.CUT:
            if self.transport is not None:
                self.transport.abort()
        else:
            self.read(on=True)


class Link:
    """Listens on a free port and passes on to another."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.state = State.OPEN
        self.halves: set[Half] = set()
        self._dialling: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["Link"]:
        """Listen until the block ends."""
        server = await asyncio.get_running_loop().create_server(lambda: Half(self), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.set(State.CUT)
            while self.halves or self._dialling:
                await asyncio.sleep(0.01)

    def set(self, state: State) -> None:
        """Change what happens, for connections that are there and for new ones."""
        self.state = state
        for half in list(self.halves):
            half.obey()

    def dial(self, half: Half) -> None:
        """Connect the other side of a new connection."""
        task = asyncio.get_running_loop().create_task(self._dial(half))
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)

    async def _dial(self, half: Half) -> None:
        try:
            if self.state is State.CUT:
                raise ConnectionRefusedError
            await asyncio.get_running_loop().create_connection(lambda: Half(self, half), "127.0.0.1", self.target)
        except OSError:
            if half.transport is not None:
                half.transport.abort()
        else:
            half.obey()
