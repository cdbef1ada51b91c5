"""The process: order of start and stop, signals, and what a failing part does."""

import asyncio
import io
import os
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from aldis.core.service.clock import ManualClock, SystemClock
from aldis.core.service.logging import make_logger
from aldis.core.service.process import Part, Process
from aldis.core.service.run import Host, run
from aldis.core.service.sections import CommonSettings


class Recorder:
    """A part that writes down what happens to it, and does what it is told."""

    def __init__(
        self, name: str, story: list[str], *, start: Callable[[], object] | None = None, stop: Callable[[], object] | None = None
    ) -> None:
        self.name = name
        self._story = story
        self._start = start
        self._stop = stop

    async def start(self) -> None:
        self._story.append(f"+{self.name}")
        await self._do(self._start)

    async def stop(self) -> None:
        self._story.append(f"-{self.name}")
        await self._do(self._stop)

    async def _do(self, what: Callable[[], object] | None) -> None:
        result = what() if what else None
        if asyncio.iscoroutine(result):
            await result


def raises(error: Exception) -> Callable[[], object]:
    def fail() -> None:
        raise error

    return fail


async def forever() -> None:
    await asyncio.Event().wait()


class Stage:
    """A process with its log and story."""

    def __init__(self, **limits: float) -> None:
        self.lines = io.StringIO()
        self.story: list[str] = []
        self.process = Process(make_logger("info", "human", self.lines), **limits)

    def part(self, name: str, *, start: Callable[[], object] | None = None, stop: Callable[[], object] | None = None) -> Recorder:
        return Recorder(name, self.story, start=start, stop=stop)

    def kill(self, number: signal.Signals = signal.SIGTERM) -> Recorder:
        return self.part("kill", start=lambda: os.kill(os.getpid(), number))

    async def run(self, *parts: Part) -> int:
        async with asyncio.timeout(10):
            return await self.process.run(lambda _: parts)

    @property
    def events(self) -> list[str]:
        return [line.split()[2] for line in self.lines.getvalue().splitlines() if not line.startswith(" ")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_parts_start_in_order_and_stop_in_reverse_at_a_signal(number: signal.Signals) -> None:
    stage = Stage()
    reasons: list[list[str]] = []

    async def soon() -> None:
        await asyncio.sleep(0.01)
        reasons.append(stage.process.readiness.reasons())
        os.kill(os.getpid(), number)

    spawner = stage.part("c", start=lambda: stage.process.spawn("soon", soon()))
    seen = stage.part("a", stop=lambda: reasons.append(stage.process.readiness.reasons()))
    assert await stage.run(seen, stage.part("b"), spawner) == 0
    assert stage.story == ["+a", "+b", "+c", "-c", "-b", "-a"]
    assert stage.events == ["process.ready", "process.stopping", "process.stopped"]
    assert reasons == [[], ["process: stopping"]]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


async def test_a_part_that_can_not_start_gives_one_line_and_exit_code_1() -> None:
    stage = Stage()
    parts = [stage.part("a"), stage.part("b", start=raises(OSError(98, "Address already in use"))), stage.part("c")]
    assert await stage.run(*parts) == 1
    assert stage.story == ["+a", "+b", "-b", "-a"]
    line, end = stage.lines.getvalue().splitlines()
    assert line.endswith('process.cannot_start part=b reason="OSError: [Errno 98] Address already in use"')
    assert "process.stopped" in end


async def test_a_part_that_does_not_get_ready_in_time_is_given_up() -> None:
    stage = Stage(start_seconds=0.02)
    assert await stage.run(stage.part("a", start=forever)) == 1
    assert 'part=a reason="not ready within 0.02 s"' in stage.lines.getvalue()


async def test_a_timeout_of_the_parts_own_is_told_as_such() -> None:
    stage = Stage()
    assert await stage.run(stage.part("a", start=raises(TimeoutError("no answer from the broker")))) == 1
    assert "TimeoutError: no answer from the broker" in stage.lines.getvalue()


async def test_a_signal_during_the_start_ends_it_cleanly() -> None:
    stage = Stage()
    asyncio.get_running_loop().call_later(0.02, os.kill, os.getpid(), signal.SIGTERM)
    assert await stage.run(stage.part("a"), stage.part("b", start=forever), stage.part("c")) == 0
    assert stage.story == ["+a", "+b", "-b", "-a"]
    assert stage.events == ["process.stopping", "process.stopped"]


async def test_a_part_that_does_not_stop_in_time_holds_up_no_other() -> None:
    stage = Stage(stop_seconds=0.02)
    assert await stage.run(stage.part("a"), stage.part("b", stop=forever), stage.part("c", stop=raises(ValueError("x"))), stage.kill()) == 1
    assert stage.story[-3:] == ["-c", "-b", "-a"]
    assert 'part.not_stopped part=b reason="took too long"' in stage.lines.getvalue()


async def test_a_second_signal_stops_at_once() -> None:
    stage = Stage()
    asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGTERM)
    began = asyncio.get_running_loop().time()
    assert await stage.run(stage.part("a", stop=forever), stage.part("b", stop=forever), stage.kill()) == 1
    assert asyncio.get_running_loop().time() - began < 5
    assert stage.events.count("part.not_stopped") == 2
    assert "process.hurrying" in stage.events


async def test_a_task_that_dies_stops_the_process_with_its_reason() -> None:
    stage = Stage()

    async def die() -> None:
        await asyncio.sleep(0.01)
        raise ValueError("lost the thread")

    assert await stage.run(stage.part("a", start=lambda: stage.process.spawn("a worker", die()))) == 1
    assert stage.story == ["+a", "-a"]
    assert stage.events == ["process.ready", "part.died", "process.stopping", "process.stopped"]
    assert 'part.died part="a worker" reason="ValueError: lost the thread"' in stage.lines.getvalue()


async def test_a_task_that_ends_stops_nothing_and_one_that_is_left_is_cancelled() -> None:
    stage = Stage()
    ended: list[str] = []

    async def left() -> None:
        try:
            await forever()
        finally:
            ended.append("left")

    async def done() -> None:
        ended.append("done")

    def start() -> None:
        _ = stage.process.spawn("left", left())
        _ = stage.process.spawn("done", done())
        asyncio.get_running_loop().call_later(0.02, os.kill, os.getpid(), signal.SIGTERM)

    assert await stage.run(stage.part("a", start=start)) == 0
    assert ended == ["done", "left"]


async def test_sighup_calls_the_hooks_and_a_failing_one_changes_nothing() -> None:
    stage = Stage()

    async def reload() -> None:
        stage.story.append("reloaded")
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)

    async def fail() -> None:
        raise OSError("no such certificate")

    stage.process.on_reload("tls", fail)
    stage.process.on_reload("log", reload)
    assert await stage.run(stage.part("a"), stage.kill(signal.SIGHUP)) == 0
    assert "reloaded" in stage.story
    assert 'reload.failed part=tls reason="OSError: no such certificate"' in stage.lines.getvalue()


def test_wrong_settings_are_told_and_give_exit_code_2(tmp_path: Path) -> None:
    lines = io.StringIO()
    (tmp_path / "a.toml").write_text("[log]\nlevel = 'loud'\n[metrics]\nport = -1")
    assert run(CommonSettings, lambda _: [], config=tmp_path / "a.toml", environ={}, stderr=lines) == 2
    assert [line.split(" ")[0] for line in lines.getvalue().splitlines()] == ["metrics.port", "log.level"]


def test_a_service_runs_with_its_metrics_until_it_is_stopped() -> None:
    lines = io.StringIO()
    heard: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    async def probe(host: Host[CommonSettings]) -> None:
        await asyncio.sleep(0.05)
        for path in ("readyz", "metrics"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET /{path} HTTP/1.1\r\n\r\n".encode())
            heard.append((await reader.read()).decode())
            writer.close()
        host.process.stop("seen enough")

    def app(host: Host[CommonSettings]) -> Sequence[Part]:
        return [Recorder("probe", heard, start=lambda: host.process.spawn("probe", probe(host)))]

    assert run(CommonSettings, app, config=None, environ={"ALDIS_METRICS__PORT": str(port)}, stderr=lines) == 0
    assert heard[1].startswith("HTTP/1.1 200 OK")
    assert "aldis_loop_lag_seconds " in heard[2]
    assert 'process.stopping reason="seen enough"' in lines.getvalue()


def test_a_manual_clock_stands_until_it_is_moved() -> None:
    clock = ManualClock()
    clock.advance(2.5)
    clock.set_time(1000.0)
    assert (clock.now(), clock.time()) == (2.5, 1000.0)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)


def test_the_systems_clock_goes_on() -> None:
    clock = SystemClock()
    assert clock.now() <= clock.now()
    assert clock.time() > 1_700_000_000
