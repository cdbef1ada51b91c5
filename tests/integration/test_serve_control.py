"""The control socket against whoever is hostile, slow, many, or somebody else."""

import asyncio
import contextlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from aldis.core.service.logging import make_logger
from aldis.launcher.control_client import ask
from aldis.launcher.control_server import MOST, ControlServer
from aldis.launcher.control_socket import FILE, LONGEST_PATH, MAX_REQUEST, may_command
from aldis.launcher.failure import Failure


class Desk:
    """A control server whose handlers say what they were asked."""

    def __init__(self, path: Path, *, seconds: float = 5.0, patience: float = 5.0) -> None:
        self.path = path
        self.logged = io.StringIO()
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.finished = 0
        handlers = {"echo": self.echo, "wait": self.wait, "fail": self.fail, "refuse": self.refuse, "much": self.much}
        self.server = ControlServer(path, handlers, make_logger("info", "json", self.logged), seconds=seconds, patience=patience)

    async def echo(self, question: Mapping[str, Any]) -> dict[str, Any]:
        return {"ok": True, "question": dict(question)}

    async def wait(self, question: Mapping[str, Any]) -> dict[str, Any]:
        self.begun.set()
        await self.go_on.wait()
        self.finished += 1
        return {"ok": True}

    async def fail(self, question: Mapping[str, Any]) -> dict[str, Any]:
        raise ValueError("our own mistake")

    async def refuse(self, question: Mapping[str, Any]) -> dict[str, Any]:
        raise Failure("one", "two", condition="conflict")

    async def much(self, question: Mapping[str, Any]) -> dict[str, Any]:
        return {"ok": True, "much": "x" * 10_000_000}

    async def ask(self, **question: Any) -> dict[str, Any] | None:
        """Ask as the command does."""
        return await asyncio.to_thread(ask, self.path, question)

    async def send(self, raw: bytes, *, end: bool = False) -> bytes:
        """Send something else; what comes back until the server hangs up."""
        reader, writer = await asyncio.open_unix_connection(str(self.path / FILE))
        writer.write(raw)
        if end:
            writer.write_eof()
        try:
            async with asyncio.timeout(5):
                return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            await hang_up(writer)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Leave nothing open behind."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A running control server."""
    desk = Desk(tmp_path)
    await desk.server.start()
    yield desk
    await desk.server.stop()
    assert not (tmp_path / FILE).exists()


async def test_a_question_is_answered_and_the_connection_closed(desk: Desk) -> None:
    assert await desk.ask(do="echo", word="ü\n\x00") == {"ok": True, "question": {"do": "echo", "word": "ü\n\x00"}}
    assert json.loads(await desk.send(b'{"do": "echo"}\n')) == {"ok": True, "question": {"do": "echo"}}


async def test_a_client_that_has_closed_its_side_gets_its_answer(desk: Desk) -> None:
    assert json.loads(await desk.send(b'{"do": "echo"}\n', end=True))["ok"]
    assert await desk.send(b'{"do": "echo"}', end=True) == b""


@pytest.mark.parametrize(
    "line", [b"", b"x", b"[]", b"5", b'"do"', b"{", b'{"do":', b"\xff\xfe", b'{"do": "\xff"}', b"null", b"[" * 20_000, b'{"a":' * 10_000]
)
async def test_what_is_no_question_is_refused(desk: Desk, line: bytes) -> None:
    assert json.loads(await desk.send(line + b"\n"))["error"] == "bad-request"
    assert await desk.ask(do="echo") is not None


@pytest.mark.parametrize("name", [None, 5, "", "__class__", "serve", ["echo"]])
async def test_an_unknown_command_is_refused(desk: Desk, name: object) -> None:
    assert json.loads(await desk.send(json.dumps({"do": name}).encode() + b"\n"))["error"] == "feature-not-implemented"


async def test_an_endless_line_is_refused_when_it_is_too_long(desk: Desk) -> None:
    assert b"longer than" in await desk.send(b"x" * (MAX_REQUEST + 1))
    fits = json.dumps({"do": "echo", "pad": "x" * (MAX_REQUEST - 40)}).encode()
    assert json.loads(await desk.send(fits + b"\n"))["ok"]


async def test_only_the_first_of_several_questions_is_answered(desk: Desk) -> None:
    answer = await desk.send(b'{"do": "echo", "n": 1}\n{"do": "echo", "n": 2}\n' + b"z" * MAX_REQUEST)
    assert json.loads(answer)["question"] == {"do": "echo", "n": 1}


async def test_a_slow_question_is_hung_up_on(tmp_path: Path) -> None:
    desk = Desk(tmp_path, patience=0.2)
    await desk.server.start()
    began = time.monotonic()
    assert await desk.send(b'{"do": ') == b""
    assert time.monotonic() - began < 3
    await desk.server.stop()


async def test_who_does_not_read_the_answer_is_hung_up_on(tmp_path: Path) -> None:
    desk = Desk(tmp_path, seconds=0.3)
    await desk.server.start()
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / FILE), limit=1024)
    writer.write(b'{"do": "much"}\n')
    async with asyncio.timeout(5):
        while not desk.server.conversations:
            await asyncio.sleep(0.01)
        while desk.server.conversations:
            await asyncio.sleep(0.01)
    await hang_up(writer)
    assert len(reader._buffer) < 10_000_000  # type: ignore[attr-defined]
    await desk.server.stop()


async def test_a_long_answer_arrives_whole(desk: Desk) -> None:
    answer = await desk.ask(do="much")
    assert answer is not None
    assert len(answer["much"]) == 10_000_000


async def test_more_conversations_than_allowed_are_turned_away_and_later_taken(desk: Desk) -> None:
    waiting = [await asyncio.open_unix_connection(str(desk.path / FILE)) for _ in range(MOST)]
    await asyncio.sleep(0.05)
    assert await desk.send(b'{"do": "echo"}\n') == b""
    with pytest.raises(Failure, match="hung up"):
        await desk.ask(do="echo")
    for _, writer in waiting:
        await hang_up(writer)
    await asyncio.sleep(0.05)
    assert await desk.ask(do="echo") is not None


async def test_what_was_begun_comes_to_its_end_when_who_asked_hangs_up(desk: Desk) -> None:
    _, writer = await asyncio.open_unix_connection(str(desk.path / FILE))
    writer.write(b'{"do": "wait"}\n')
    await desk.begun.wait()
    writer.transport.abort()
    await hang_up(writer)
    await asyncio.sleep(0.05)
    desk.go_on.set()
    await asyncio.sleep(0.05)
    assert desk.finished == 1


async def test_a_mistake_of_ours_is_logged_and_not_shown(desk: Desk) -> None:
    with pytest.raises(Failure, match="its log says more") as caught:
        await desk.ask(do="fail", password="Rosaline")
    assert caught.value.condition == "internal-server-error"
    assert "our own mistake" in desk.logged.getvalue()
    assert "Rosaline" not in desk.logged.getvalue()


async def test_a_refusal_carries_its_condition_and_its_words(desk: Desk) -> None:
    with pytest.raises(Failure, match="one; two") as caught:
        await desk.ask(do="refuse")
    assert caught.value.condition == "conflict"


async def test_the_socket_is_open_to_its_owner_only(desk: Desk) -> None:
    assert (desk.path / FILE).stat().st_mode & 0o777 == 0o600


def test_the_servers_own_user_and_root_may_command() -> None:
    assert may_command(os.geteuid())
    assert may_command(0)
    assert not may_command(os.geteuid() + 12_345)


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root")
async def test_another_user_is_turned_away_even_where_the_modes_let_him_in(desk: Desk) -> None:
    open_to_all = Path(tempfile.mkdtemp())  # the test's own directory is closed to others
    os.chmod(open_to_all, 0o755)  # noqa: PTH101, S103  nothing but the socket is in it
    path = open_to_all / FILE
    os.link(desk.path / FILE, path)
    try:
        (desk.path / FILE).chmod(0o666)
        program = (
            "import os, socket, sys\nos.setuid(65534)\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
            "try:\n    s.sendall(b'{\"do\": \"echo\"}\\n')\n    print(s.recv(100))\nexcept OSError:\n    print(b'')\n"
        )
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True, timeout=20
        )
    finally:
        shutil.rmtree(open_to_all)
    assert done.stdout == "b''\n"
    assert '"uid": 65534' in desk.logged.getvalue()


async def test_the_socket_of_a_dead_server_is_replaced(tmp_path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / FILE))
    dead.close()
    assert await asyncio.to_thread(ask, tmp_path, {"do": "echo"}) is None
    desk = Desk(tmp_path)
    await desk.server.start()
    assert await desk.ask(do="echo") is not None
    await desk.server.stop()


async def test_a_file_in_the_sockets_place_is_named_and_kept(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("precious")
    desk = Desk(tmp_path)
    with pytest.raises(Failure, match="remove what is in its place"):
        await desk.server.start()
    await desk.server.stop()
    assert (tmp_path / FILE).read_text() == "precious"


async def test_a_path_longer_than_the_system_takes_works_all_the_same(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * LONGEST_PATH)
    deep.mkdir()
    desk = Desk(deep)
    await desk.server.start()
    assert await desk.ask(do="echo") is not None
    await desk.server.stop()
    assert not (deep / FILE).exists()


async def test_a_server_that_never_answers_is_told_of(desk: Desk) -> None:
    with pytest.raises(Failure, match="does not answer within"):
        await asyncio.to_thread(lambda: ask(desk.path, {"do": "wait"}, seconds=0.2))


@pytest.mark.parametrize("answer", [b"", b"nonsense\n", b"[1]\n"])
async def test_an_answer_that_is_none_is_told_of(tmp_path: Path, answer: bytes) -> None:
    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        await hang_up(writer)

    server = await asyncio.start_unix_server(reply, str(tmp_path / FILE))
    with pytest.raises(Failure, match="hung up"):
        await asyncio.to_thread(ask, tmp_path, {"do": "echo"})
    server.close()
    await server.wait_closed()


async def test_stopping_hangs_up_on_who_waits(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.server.start()
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / FILE))
    writer.write(b'{"do": "wait"}\n')
    await desk.begun.wait()
    async with asyncio.timeout(2):
        await desk.server.stop()
        assert await reader.read() == b""
    await hang_up(writer)
    assert desk.finished == 0
