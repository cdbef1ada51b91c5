"""Handshakes one a loop turn, so that a storm of connects does not stall the sessions that are there."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class HandshakeGate:
    """Runs at most one handshake step in a turn of the event loop, first come first served.

    A step (`TlsLayer.receive` before it is established) costs 0.2 to 0.5 ms, so 500 connects in one turn would hold everybody
    else for a quarter of a second. Between two steps the loop serves every socket that is ready. One gate serves all listeners
    of a process, and it keeps at most `limit` steps: a connection should wait for its step with reading paused.
    """

    __slots__ = ("_limit", "_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop, *, limit: int = 2048) -> None:
        self._loop = loop
        self._limit = limit
        self._waiting: deque[Callable[[], object]] = deque()

    @property
    def waiting(self) -> int:
        """How many steps wait, for the metrics."""
        return len(self._waiting)

    def admit(self, step: Callable[[], object]) -> bool:
        """Put a step in the queue; False, and the step is dropped, if as many wait as may: refuse that connection.

        The step runs later, so it must look first whether its connection still lives.
        """
        if len(self._waiting) >= self._limit:
            return False
        self._waiting.append(step)
        if len(self._waiting) == 1:
            self._loop.call_soon(self._turn)
        return True

    def _turn(self) -> None:
        # asyncio runs what call_soon adds in the next turn, after it has polled the sockets. The step is taken out only after
        # it ran, so that one which admits another does not start a second round; and the next is certain even if it raises.
        try:
            self._waiting[0]()
        finally:
            self._waiting.popleft()
            if self._waiting:
                self._loop.call_soon(self._turn)
