"""The server's end of the control socket: few, short and timed conversations, with nobody but the server's own user and root."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from aldis.core.service.logging import Logger
from aldis.launcher.control_socket import FILE, MAX_REQUEST, REQUEST_SECONDS, SECONDS, address, may_command, peer_uid
from aldis.launcher.failure import Failure

MOST: Final = 16
"""Conversations at a time."""

Answer = dict[str, Any]
Handler = Callable[[Mapping[str, Any]], Awaitable[Answer]]


class ControlServer:
    """A part that answers the `aldis` command; the last to start, so that nobody is told of a server that isn't there yet."""

    name: Final = "control"

    def __init__(
        self,
        data_dir: Path,
        handlers: Mapping[str, Handler],
        log: Logger,
        *,
        file: str = FILE,
        seconds: float = SECONDS,
        patience: float = REQUEST_SECONDS,
    ) -> None:
        """`patience` is for the question to arrive, `seconds` for all of it."""
        self._data_dir = data_dir
        self._file = file
        self._handlers = handlers
        self._log = log
        self.seconds = seconds
        self.patience = patience
        self.conversations: set[_Conversation] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._inode = 0

    async def start(self) -> None:
        """Listen; the socket of a server that was killed is replaced, since whoever starts here holds the directory's lock."""
        path = self._data_dir / self._file
        if path.is_socket():
            path.unlink()
        listener = socket.socket(socket.AF_UNIX)
        try:
            with address(self._data_dir, self._file) as short:
                listener.bind(short)
            path.chmod(0o600)  # nobody can connect before it listens
            self._inode = path.stat().st_ino
        except OSError as error:
            listener.close()
            raise Failure(
                f"data_dir = {self._data_dir}: {self._file} in it can't be made: {error.strerror}; remove what is in its place"
            ) from None
        self._server = await asyncio.get_running_loop().create_unix_server(lambda: _Conversation(self), sock=listener)

    async def stop(self) -> None:
        """Take no more, hang up on who waits, remove the socket; a change that was begun comes to its end in the directory."""
        if self._server is None:
            return
        self._server.close()
        for conversation in list(self.conversations):
            conversation.drop()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()
        path = self._data_dir / self._file
        if path.is_socket() and path.stat().st_ino == self._inode:
            path.unlink()

    async def answer(self, line: bytes) -> Answer:
        """Answer one question; whatever is wrong with it is an answer too."""
        try:
            question = msgspec.json.decode(line, type=dict[str, Any])
        except (ValueError, RecursionError):  # msgspec raises UnicodeDecodeError beside its own
            return refusal("bad-request", "the question is not one JSON object on one line")
        handler = self._handlers.get(str(question.get("do")))
        if handler is None:
            return refusal("feature-not-implemented", "the running server does not know this command; it may be of another version")
        try:
            return await handler(question)
        except Failure as failure:
            return refusal(failure.condition, "; ".join(failure.lines))
        except Exception:  # noqa: BLE001  our mistake, logged; the server goes on
            self._log.exception("control.failed", command=str(question.get("do")))
            return refusal("internal-server-error", "the server failed at it; its log says more")

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run one answer, which goes on if who asked hangs up."""
        task = asyncio.get_running_loop().create_task(work, name="control answer")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def admit(self, conversation: "_Conversation", connection: socket.socket) -> bool:
        """Whether to talk to who connected."""
        uid = peer_uid(connection)
        if not may_command(uid):
            self._log.warning("control.refused", uid=uid)
            return False
        if len(self.conversations) >= MOST:
            return False
        self.conversations.add(conversation)
        return True


def refusal(condition: str, text: str) -> Answer:
    """The answer to what is not done."""
    return {"ok": False, "error": condition, "text": text}


class _Conversation(asyncio.Protocol):
    """One question, one answer."""

    def __init__(self, server: ControlServer) -> None:
        self._server = server
        self._line = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._timers: list[asyncio.TimerHandle] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  what create_unix_server gives; narrows the type
        self._transport = transport
        if not self._server.admit(self, transport.get_extra_info("socket")):
            transport.abort()
            return
        loop = asyncio.get_running_loop()
        self._timers = [loop.call_later(self._server.patience, self._late), loop.call_later(self._server.seconds, self.drop)]

    def connection_lost(self, error: Exception | None) -> None:
        self._server.conversations.discard(self)
        for timer in self._timers:
            timer.cancel()

    def data_received(self, data: bytes) -> None:
        if self._task is not None:  # one question only
            return
        self._line += data[: MAX_REQUEST + 1]
        line, end, _ = self._line.partition(b"\n")
        if len(line) > MAX_REQUEST:
            self._send(refusal("bad-request", f"the question is longer than {MAX_REQUEST} octets"))
        elif end:
            self._task = self._server.spawn(self._reply(bytes(line)))

    def eof_received(self) -> bool:
        """Keep the connection for the answer of who has closed his side; who asked nothing gets none."""
        return self._task is not None

    async def _reply(self, line: bytes) -> None:
        self._send(await self._server.answer(line))

    def _send(self, answer: Answer) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(msgspec.json.encode(answer) + b"\n")
            self._transport.close()

    def _late(self) -> None:
        if self._task is None:
            self.drop()

    def drop(self) -> None:
        """Close without another word."""
        if self._transport is not None:
            self._transport.abort()
