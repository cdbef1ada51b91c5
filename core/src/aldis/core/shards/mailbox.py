"""Mailboxes: work for one key runs one at a time and in order, work for different keys concurrently."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from aldis.core.shards.turn import Turn

Result = Awaitable[None] | None
"""A handler that is done returns None; one that has to wait returns what to wait for."""
Work = tuple[str, Callable[[Any, Any, Turn], Result], Any, Any, Turn]
"""Key, handler, its two arguments, and the turn under which it runs."""


class Mailboxes:
    """Runs posted work; a handler that does not wait costs no task.

    Work that a handler posts is run after the handler returned, never within it: A may post to B and B to A without
    a deadlock and without recursion.
    """

    __slots__ = ("_busy", "_failed", "_ready", "_running", "_tasks", "closed")

    def __init__(self, failed: Callable[[str, Exception, Any, Any, Turn], None]) -> None:
        self._failed = failed
        self._ready: deque[Work] = deque()
        self._busy: dict[str, deque[Work]] = {}
        self._running = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.closed = False

    def post(self, key: str, handler: Callable[[Any, Any, Turn], Result], first: Any, second: Any, turn: Turn) -> None:
        """Have the handler called with its arguments when the key's earlier work is done."""
        turn.pending += 1
        self._ready.append((key, handler, first, second, turn))
        if not self._running:
            self.run()

    def run(self) -> None:
        """Run what is ready, and what it posts."""
        self._running = True
        ready = self._ready
        try:
            while ready:
                work = ready.popleft()
                waiting = self._busy.get(work[0])
                if waiting is not None:
                    waiting.append(work)
                    continue
                _, handler, first, second, turn = work
                try:
                    result = handler(first, second, turn)
                except Exception as error:  # noqa: BLE001  a handler's defect must not end the shard
                    self._failed(work[0], error, first, second, turn)
                    result = None
                if result is None:
                    turn.release()
                else:
                    self._wait(work, result)
        finally:
            self._running = False

    def _wait(self, work: Work, result: Awaitable[None]) -> None:
        if self.closed:
            if asyncio.iscoroutine(result):
                result.close()
            return
        waiting = self._busy[work[0]] = deque()
        task = asyncio.get_running_loop().create_task(self._follow(work, result, waiting))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(self, work: Work, result: Awaitable[None] | None, waiting: deque[Work]) -> None:
        """Wait for the handler, then run what came for its key meanwhile."""
        key = work[0]
        while True:
            _, _, first, second, turn = work
            try:
                if result is not None:
                    await result
            except Exception as error:  # noqa: BLE001  as above
                self._failed(work[0], error, first, second, turn)
            turn.release()
            if not waiting or self.closed:
                break
            work = waiting.popleft()
            try:
                result = work[1](work[2], work[3], work[4])
            except Exception as error:  # noqa: BLE001  as above
                self._failed(work[0], error, work[2], work[3], work[4])
                result = None
        self._busy.pop(key, None)

    def close(self) -> None:
        """Drop what has not begun: the state that it would work on is somebody else's now.

        What waits is not cancelled, since it may be in the middle of a transaction; what it does in the end goes nowhere.
        """
        self.closed = True
        self._ready.clear()
        self._busy.clear()

    @property
    def at_work(self) -> bool:
        """Has something begun that is not over?"""
        return bool(self._tasks)

    async def ended(self) -> None:
        """Wait for what had begun when it was closed."""
        if self._tasks:
            await asyncio.wait(self._tasks)
