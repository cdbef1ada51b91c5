"""The supervisor: order, restarts, signals, and what becomes of children whatever happens to it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.integration.up.conftest import CHILD, Stage

TWO_RANKS = ((("directory.1",),), (("router.1",), ("router.2",)), (("gateway.1",),))


def is_there(pid: int) -> bool:
    """Tell whether a process still runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def ready(stage: Stage, count: int = 1) -> None:
    await stage.until(lambda: sum(line.startswith("ready") for line in stage.story()) >= count)
    await stage.until(lambda: all(keeper.ready.is_set() for keeper in stage.supervisor.keepers))


async def test_each_rank_is_ready_before_the_next_begins_and_ends_in_reverse(stage: Stage) -> None:
    async def work(stage: Stage) -> None:
        await ready(stage, 4)

    assert await stage.run(TWO_RANKS, work) == 0
    story = stage.story()
    assert story[:2] == ["began directory.1", "ready directory.1"]
    assert set(story[2:6]) == {"began router.1", "ready router.1", "began router.2", "ready router.2"}
    assert story[6:9] == ["began gateway.1", "ready gateway.1", "ended gateway.1"]
    assert set(story[9:11]) == {"ended router.1", "ended router.2"}
    assert story[11:] == ["ended directory.1"]
    assert "child.keeps_ending" not in stage.log()


async def test_a_child_that_is_killed_comes_back_at_once_and_is_counted(stage: Stage) -> None:
    async def work(stage: Stage) -> None:
        await ready(stage)
        (keeper,) = stage.supervisor.keepers
        first = keeper.pid
        keeper.signal(signal.SIGKILL)
        began = time.monotonic()
        await stage.until(lambda: keeper.pid not in {0, first} and keeper.ready.is_set())
        assert time.monotonic() - began < 2
        assert stage.registry.get_sample_value("aldis_child_restarts_total", {"child": "router.1"}) == 1
        assert stage.supervisor.states()[0]["restarts"] == 1

    assert await stage.run(((("router.1",),),), work) == 0
    assert 'code="by SIGKILL"' in stage.log()
    assert "child.keeps_ending" not in stage.log()


async def test_a_child_that_dies_again_and_again_is_tried_later_each_time_and_named(stage: Stage) -> None:
    async def work(stage: Stage) -> None:
        await stage.until(lambda: stage.story().count("began router.1") == 4)
        assert "router.1: ended 4 times in a row, the last time with exit code 3" in await missing(stage)

    assert await stage.run(((("router.1", "dies"),),), work) == 0
    assert "error   child.keeps_ending child=router.1 times=3" in stage.log()


async def missing(stage: Stage) -> list[str]:
    await stage.until(lambda: any("4 times" in line for line in stage.supervisor.missing()))
    return stage.supervisor.missing()


async def test_who_is_not_ready_is_named_with_what_it_waits_for(stage: Stage) -> None:
    async def work(stage: Stage) -> None:
        await stage.until(lambda: "child.awaited" in stage.log())
        assert 'child=router.1 status="bus: waiting for it"' in stage.log()
        assert stage.process.readiness.reasons()
        await ready(stage)
        await stage.until(lambda: not stage.process.readiness.reasons())

    assert await stage.run(((("router.1", "late"),),), work) == 0


async def test_who_is_ready_no_more_is_named_by_readyz(stage: Stage) -> None:
    async def work(stage: Stage) -> None:
        await ready(stage)
        await stage.until(lambda: not stage.process.readiness.reasons())
        (keeper,) = stage.supervisor.keepers
        keeper.heard({"STATUS": "bus: blocked by the broker"})
        await stage.until(lambda: stage.process.readiness.reasons() == ["children ready: router.1: bus: blocked by the broker"])

    assert await stage.run(((("router.1",),),), work) == 0


async def test_nobody_speaks_for_a_child(stage: Stage) -> None:
    async def work(stage: Stage) -> None:
        environ = {**os.environ, "NOTIFY_SOCKET": stage.supervisor.notify_socket}
        stranger = await asyncio.create_subprocess_exec(sys.executable, str(CHILD), "stranger", str(stage.story_file), env=environ)
        await stage.until(lambda: "ready stranger" in stage.story())
        stranger.kill()
        await stranger.wait()
        assert stage.supervisor.missing()

    assert await stage.run(((("router.1", "late"),),), work) == 0


async def test_what_does_not_end_in_its_time_is_killed_and_said(stage: Stage) -> None:
    async def work(stage: Stage) -> None:
        await ready(stage, 2)

    began = time.monotonic()
    assert await stage.run(((("directory.1",),), (("router.1", "deaf"),)), work) == 0
    assert time.monotonic() - began < 10
    assert "child.killed child=router.1" in stage.log()
    assert stage.story()[-1] == "ended directory.1"


async def test_a_second_signal_kills_what_is_left_at_once(stage: Stage) -> None:
    async def work(stage: Stage) -> None:
        await ready(stage, 1)
        os.kill(os.getpid(), signal.SIGTERM)
        await stage.until(lambda: "process.stopping" in stage.log())
        os.kill(os.getpid(), signal.SIGTERM)

    stage.limits["rank_seconds"] = 30.0
    began = time.monotonic()
    await stage.run(((("router.1", "deaf"),),), work)
    assert time.monotonic() - began < 10
    pid = int(stage.lines_of_story()[0].rpartition(" ")[2])
    assert not is_there(pid)


async def test_sighup_goes_to_every_child(stage: Stage) -> None:
    async def work(stage: Stage) -> None:
        await ready(stage, 2)
        os.kill(os.getpid(), signal.SIGHUP)
        await stage.until(lambda: {"reloaded router.1", "reloaded gateway.1"} <= set(stage.story()))

    assert await stage.run(((("router.1",),), (("gateway.1",),)), work) == 0


async def test_a_command_that_can_not_be_run_is_named(stage: Stage, tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.until(lambda: "child.keeps_ending" in stage.log())
        assert "before it began: No such file or directory" in stage.supervisor.missing()[0]

    sys_executable = sys.executable
    try:
        sys.executable = str(tmp_path / "nothing")
        assert await stage.run(((("router.1",),),), work) == 0
    finally:
        sys.executable = sys_executable


def test_children_die_with_whoever_started_them_also_by_kill_9(tmp_path: Path) -> None:
    story = tmp_path / "story"
    script = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, {str(CHILD)!r}, 'router.1', {str(story)!r}, 'parent', 'deaf', 'late'])\n"
        "time.sleep(60)\n"
    )
    environ = {**os.environ, "NOTIFY_SOCKET": "@nobody"}
    parent = subprocess.Popen([sys.executable, "-c", script], env=environ, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 15
    while not story.exists() or "began" not in story.read_text():
        assert time.monotonic() < until
        time.sleep(0.02)
    parent.kill()
    parent.wait()
    pid = int(story.read_text().split()[2])
    while is_there(pid):
        assert time.monotonic() < until, "the child lives on"
        time.sleep(0.02)
