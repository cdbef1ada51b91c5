"""The kill test of `aldis serve`: nothing that was acknowledged is lost when its one process dies."""

from pathlib import Path

import pytest

from tests.kill.accounts import register
from tests.kill.deeds import Pace, calm, kills, lost_connections, stops, too_late
from tests.kill.load import Load
from tests.kill.one_process import DOMAIN, one_process
from tests.kill.play import Scene, play
from tests.kill.pressure import flooded
from tests.kill.sabotage import breaking

pytestmark = pytest.mark.timeout(120, func_only=True)  # others may be waited for
CLIENTS, RATE = 200, 1000.0


async def test_one_process_is_killed(tmp_path: Path, pace: Pace, seed: int) -> None:
    server = one_process(tmp_path, resume_seconds=60)
    load = Load(CLIENTS, rate=RATE, doors=server.ports, domain=DOMAIN, seed=seed)
    scenes = [
        Scene("calm", calm(pace.gap)),
        Scene("connections cut", lost_connections(50, pace.gap / 50)),
        Scene("the process killed", kills([server], pace.times(5), pace), may_repeat=True),
        Scene("the process stopped", stops(server, pace)),
    ]
    if not pace.bounded:
        scenes += [
            Scene("clients come back too late", too_late(5)),
            Scene("a flood from 50 clients", flooded([server], 20, deaf=False)),
            Scene("a flood to one who never reads", flooded([server], 20, deaf=True)),
        ]
    server.start()
    try:
        await server.ready()
        await register(load.clients, server.ports[0])
        async with load.running():
            faults = await play(load, scenes, seed=seed, settle=pace.settle)
    finally:
        await server.end()
    assert faults == []


async def test_a_count_before_the_commit_is_found(tmp_path: Path, seed: int) -> None:
    server = one_process(tmp_path, resume_seconds=60, more=breaking("h-before-the-confirm"))
    load = Load(CLIENTS, rate=RATE, doors=server.ports, domain=DOMAIN, seed=seed)
    pace = Pace(kills=2, gap=2.0)
    server.start()
    try:
        await server.ready()
        await register(load.clients, server.ports[0])
        async with load.running():
            faults = await play(load, [Scene("the process killed", kills([server], 2, pace), may_repeat=True)], seed=seed, settle=10)
    finally:
        await server.end()
    assert any("lost" in fault for fault in faults)
