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

    Work is posted, never awaited, so A may post to B and B to A without a deadlock; what a handler posts that does not
    wait is run after it returned, so there is no recursion.
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
                result = self._call(work)
                if result is None:
                    work[4].release()
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

    async def _follow(self, work: Work, result: Result, waiting: deque[Work]) -> None:
        """Wait for the handler, then run what came for its key meanwhile."""
        key = work[0]
        try:
            while True:
                await self._finish(work, result)
                if not waiting or self.closed:
                    return
                work = waiting.popleft()
                result = self._call(work)
        finally:
            self._busy.pop(key, None)

    async def _finish(self, work: Work, result: Result) -> None:
        """Wait for a handler; whatever becomes of it, its turn goes on."""
        try:
            if result is not None:
                await result
        except Exception as error:  # noqa: BLE001  a handler's defect must not end the shard
            self._report(work, error)
        except asyncio.CancelledError:  # not of this task, which nobody cancels: of something that the handler waited for
            self._report(work, RuntimeError("what the handler waited for was cancelled"))
        finally:
            work[4].release()

    def _call(self, work: Work) -> Result:
        _, handler, first, second, turn = work
        try:
            return handler(first, second, turn)
        except Exception as error:  # noqa: BLE001  as above
            self._report(work, error)
            return None

    def _report(self, work: Work, error: Exception) -> None:
        """Have the service answer for a failure; if that fails as well, the loop's handler hears of it."""
        key, _, first, second, turn = work
        try:
            self._failed(key, error, first, second, turn)
        except Exception as fault:  # noqa: BLE001  as above
            message = "a failure could not be answered"
            asyncio.get_running_loop().call_exception_handler({"message": message, "exception": fault})

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

    def adopt(self, task: asyncio.Task[None]) -> None:
        """Something else that has begun."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def ended(self) -> None:
        """Wait for what had begun when it was closed."""
        if self._tasks:
            await asyncio.wait(self._tasks)
