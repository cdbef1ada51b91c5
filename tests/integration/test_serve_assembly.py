"""The composition of one process, with one of each service and with several."""

import asyncio
import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from aldis.core.bus.faults import Faults
from aldis.core.bus.memory import MemoryBroker
from aldis.core.bus.names import gateway_queue
from aldis.core.service.clock import SystemClock
from aldis.core.service.logging import make_logger
from aldis.core.service.process import Part, Process
from aldis.core.service.run import Host
from aldis.core.service.sections import Bus
from aldis.core.service.settings import SettingsError
from aldis.core.shards.members import GATEWAY
from aldis.gateway.settings import C2s
from aldis.launcher.accounts import Accounts
from aldis.launcher.assemble import OneProcess, Topology
from aldis.launcher.failure import Failure
from aldis.launcher.report import Report
from aldis.launcher.settings import AldisSettings


class Running:
    """A server in this loop."""

    def __init__(self, path: Path, topology: Topology, broker: MemoryBroker | None = None, *, shards: int | None = None) -> None:
        self.settings = AldisSettings(data_dir=path, c2s=C2s(host="127.0.0.1"), bus=Bus(shards=shards or topology.shards))
        self.topology = topology
        self.broker = broker
        self.logged = io.StringIO()
        self.registry = CollectorRegistry()
        self.process = Process(make_logger("info", "json", self.logged))
        self.ready = asyncio.Event()
        self.house: OneProcess | None = None
        self._task: asyncio.Task[int] | None = None

    def build(self, process: Process) -> Sequence[Part]:
        """Put it together."""
        host = Host(self.settings, process.log, self.registry, process, SystemClock())
        self.house = OneProcess(host, topology=self.topology, broker=self.broker, durable=False, any_port=True)
        self.accounts = Accounts(self.house.buses.connect("o"))
        return self.house.parts

    async def __aenter__(self) -> OneProcess:
        self._task = asyncio.create_task(self.process.run(self.build))
        async with asyncio.timeout(20):
            while self.process.readiness.reasons():
                assert not self._task.done(), self.logged.getvalue()
                await asyncio.sleep(0.01)
        assert self.house is not None
        return self.house

    async def __aexit__(self, *_: object) -> None:
        self.process.stop("the test is over")
        assert self._task is not None
        async with asyncio.timeout(20):
            assert await self._task == 0, self.logged.getvalue()


async def test_several_routers_and_gateways_share_the_shards(tmp_path: Path) -> None:
    running = Running(tmp_path, Topology(routers=2, gateways=2, shards=3))
    async with running as house:
        runners = [router.runner for router in house.routers if router.runner is not None]
        async with asyncio.timeout(5):
            while sorted(len(runner.running) for runner in runners) != [1, 2]:
                await asyncio.sleep(0.01)
        assert sorted(shard for runner in runners for shard in runner.running) == [0, 1, 2]
        ports = [port for gateway in house.gateways for port in (gateway.ports().port, gateway.ports().tls_port)]
        assert len(set(ports)) == 4
        assert len(await house.registry.gateways()) == 2
        assert all(port["port"] in ports for port in Report(house).listening())
        await running.accounts.answer({"action": "add", "account": "juliet@localhost", "password": "x"})
        listed = await running.accounts.answer({"action": "list", "account": ""})
        assert listed["accounts"] == [{"jid": "juliet@localhost", "disabled": False}]
    assert house.broker.buses == []
    assert '"level": "error"' not in running.logged.getvalue()


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_accounts_are_changed_once_whatever_the_bus_does(tmp_path: Path, seed: int) -> None:
    running = Running(tmp_path, Topology(), MemoryBroker(Faults(seed)))
    async with running as house:
        await running.accounts.answer({"action": "add", "account": "juliet@localhost", "password": "x"})
        with pytest.raises(Failure, match="already"):
            await running.accounts.answer({"action": "add", "account": "juliet@localhost", "password": "x"})
        await running.accounts.answer({"action": "delete", "account": "juliet@localhost"})
        assert list((await house.registry.view()).owners) == [0]


async def test_what_an_earlier_run_left_of_its_gateways_is_forgotten(tmp_path: Path) -> None:
    async with Running(tmp_path, Topology()) as house:
        await house.registry.join("dead", GATEWAY, gateway_queue("dead"))
    async with Running(tmp_path, Topology()) as house:
        assert [gateway.id == "dead" for gateway in await house.registry.gateways()] == [False]


async def test_no_two_runs_have_the_same_names_on_the_bus(tmp_path: Path) -> None:
    seen: set[str] = set()
    for _ in range(2):
        async with Running(tmp_path, Topology()) as house:
            names = {bus.incarnation for bus in house.broker.buses}
            assert len(names) == 4
            assert not names & seen
            seen |= names


async def test_shards_that_nobody_owns_are_refused(tmp_path: Path) -> None:
    running = Running(tmp_path, Topology(), shards=2)
    with pytest.raises(SettingsError, match=r"bus\.shards = 2"):
        running.build(running.process)


@pytest.mark.parametrize(
    "question",
    [
        {},
        {"action": "add", "account": "a@localhost"},
        {"action": "add", "account": 5, "password": "x"},
        {"action": "register", "account": "a@localhost", "password": "x"},
        {"action": "disable", "account": "a@localhost", "password": "x"},
        {"action": ["add"], "account": "a@localhost"},
        {"action": "list", "account": "\ud800"},
        {"action": "add", "account": "a@localhost", "password": "\ud800"},
    ],
)
async def test_only_what_an_operator_may_ask_is_passed_on(tmp_path: Path, question: dict[str, object]) -> None:
    running = Running(tmp_path, Topology())
    async with running:
        with pytest.raises(Failure) as caught:
            await running.accounts.answer(question)
        assert caught.value.condition in ("bad-request", "jid-malformed", "item-not-found")
        assert (await running.accounts.answer({"action": "list", "account": ""}))["accounts"] == []


async def test_the_metrics_of_all_services_stand_in_one_registry(tmp_path: Path) -> None:
    running = Running(tmp_path, Topology())
    async with running:
        text = generate_latest(running.registry).decode()
    for name in ("aldis_sessions", "aldis_stanzas_total", "aldis_dropped_total", "aldis_auth_total", "aldis_certificate_expiry_seconds"):
        assert f"# TYPE {name} " in text
