"""The stage of the scenarios: a server of two routers, two gateways and three shards, and the people of Verona.

A scenario that takes an actor, or `cluster`, runs calm and on every fault seed; one that takes `server` or `stranger` only
is about one stream's negotiation, where the bus has little to say, and runs once. To keep `make check` quick each scenario
runs on half of its ten seeds there, on two if it kills processes, and on none if it is marked `@pytest.mark.simple`; the
soak runs all on all. `make test` runs what runs under faults on PostgreSQL as well, calm and on a seed or two, and calm over
RabbitMQ.
`@pytest.mark.settings(section={…})` changes what the server is told.
"""

import asyncio
import secrets
import shutil
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from aldis.core.bus.amqp.bus import AmqpBus
from aldis.core.bus.memory import MemoryBroker, MemoryBus
from aldis.core.bus.port import Bus
from aldis.core.service.clock import SystemClock
from aldis.core.service.logging import Logger, make_logger
from aldis.core.service.process import Process
from aldis.core.service.run import Host
from aldis.core.shards.leases import Pace
from aldis.core.storage import Database
from aldis.core.storage.migrations import migrate
from aldis.core.testing.actor import Actor
from aldis.core.testing.cites import cited
from aldis.core.testing.cluster import Cluster, Composition
from aldis.core.testing.wire import Doors, TcpWire, Wire, trusting
from aldis.gateway.app import Gateway
from aldis.gateway.net.certificates import ensure_self_signed
from aldis.launcher.accounts import Accounts
from aldis.launcher.assemble import OneProcess, Topology
from aldis.launcher.settings import AldisSettings
from aldis.launcher.store import Store, migration_sets
from tests.support import postgres
from tests.support.buses import RabbitBuses
from tests.support.openssl_wire import OpenSslWire
from tests.support.rabbit import Rabbit
from tests.support.siege import Fortress, Pair
from tests.support.siege import fortress as run_fortress

T = TypeVar("T")

DOMAINS: Final = ("capulet.lit", "montague.lit")
PEOPLE: Final = {
    "juliet@capulet.lit": "R0m30",
    "nurse@capulet.lit": "AnonGoodNurse",
    "tybalt@capulet.lit": "PrinceOfCats",
    "romeo@montague.lit": "J0l13t",
    "benvolio@montague.lit": "PartFools",
    "mercutio@montague.lit": "QueenMab",
}
"""Accounts that there are, and their passwords."""
FEW: Final = 10
"""Fault seeds of `make check`."""
LAST_SEED: Final = {"postgresql": 2, "rabbitmq": 0}
"""The last fault seed on these grounds; the faults are those of the bus in memory."""
MANY: Final = Topology(routers=2, gateways=2, shards=3)
LOW: Final = {"directory": {"iterations": 4096}}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "settings(**sections): what the server of a scenario is told beside the usual")
    config.addinivalue_line("markers", "deaths: kills processes of the server, so the others look after each other")
    config.addinivalue_line("markers", f"simple: asks and is answered; with no more than {FEW} seeds it runs calm only, to save time")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Spare the gate's time: of few seeds each scenario runs on a part, and a simple one on none."""
    items[:] = [item for item in items if (_value(item, "fault_seed") or 0) <= LAST_SEED.get(str(_value(item, "ground")), sys.maxsize)]
    # What kills processes does so in the bus in memory; tests/kill does it over RabbitMQ.
    items[:] = [item for item in items if _value(item, "ground") != "rabbitmq" or item.get_closest_marker("deaths") is None]
    if config.getoption("--fault-seeds") <= FEW:
        items[:] = [item for item in items if _worth_its_time(item)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what takes the server under faults on each ground that was asked for."""
    grounds = metafunc.config.getoption("--grounds").split(",")
    if {"ground", "fault_seed"} <= set(metafunc.fixturenames) and grounds != ["sqlite"]:
        needs = {"postgresql": [pytest.mark.needs("initdb", "postgres")]}
        metafunc.parametrize("ground", [pytest.param(ground, marks=needs.get(ground, [])) for ground in grounds])


def _worth_its_time(item: pytest.Item) -> bool:
    seed = _value(item, "fault_seed")
    if seed is None:
        return True
    parts = 5 if item.get_closest_marker("deaths") is not None else 2
    part = zlib.crc32(item.nodeid.partition("[")[0].encode()) % parts
    return item.get_closest_marker("simple") is None and seed % parts == part


def _value(item: pytest.Item, name: str) -> Any:
    """The value that a test is run with; None if it takes none of this name."""
    call = getattr(item, "callspec", None)
    return call.params.get(name) if call is not None else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what a failed scenario cites."""
    report = yield
    if report.failed and (cites := cited(getattr(item, "function", None))):
        report.sections.append(("what it shows", ", ".join(cites)))
    return report


def make_settings(data_dir: Path, shards: int = MANY.shards, **sections: Any) -> AldisSettings:
    """Settings on the loopback; the ports are free ones, whatever stands here."""
    usual: dict[str, Any] = {
        "domains": DOMAINS,
        "data_dir": data_dir,
        "bus": {"shards": shards},
        "c2s": {"host": "127.0.0.1"},
        "metrics": {"port": 0},
        **LOW,
    }
    for name, values in sections.items():
        usual[name] = {**usual.get(name, {}), **values} if isinstance(values, dict) else values
    settings = AldisSettings.model_validate(usual)
    return settings.model_copy(update={"c2s": settings.c2s.model_copy(update={"port": 0, "tls_port": 0})})


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with certificate, tables and people, made once and copied for each scenario."""
    path = tmp_path_factory.mktemp("verona")
    ensure_self_signed(path, DOMAINS)
    await _people(make_settings(path, 1))
    return path


async def _people(settings: AldisSettings) -> None:
    """Make tables and people."""
    host = _host(settings, Process(_log()))
    house = OneProcess(host, durable=False, any_port=True)
    await house.database.open()
    await migrate(house.database, migration_sets())
    await house.directory.start()
    accounts = Accounts(house.buses.connect("o"))
    for account, password in PEOPLE.items():
        await accounts.answer({"action": "add", "account": account, "password": password})
    await house.directory.stop()
    await house.buses.stop()
    await house.database.close()


@pytest.fixture(scope="session")
def verona(tmp_path_factory: pytest.TempPathFactory) -> tuple[postgres.Cluster, str]:
    """A PostgreSQL, and on it the database with tables and people that is copied for each scenario."""
    folder = tmp_path_factory.mktemp("verona_postgres")
    cluster = postgres.shared()
    template = _outside(cluster.create())
    _outside(_people(make_settings(folder, 1, database={"url": cluster.url(template)})))
    return cluster, template


def _outside(work: Coroutine[Any, Any, T]) -> T:
    """Do it in a loop of its own, beside the test's."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


@pytest.fixture
def ground() -> str:
    """What the server stands on, unless `--grounds` asks for others: `sqlite`, `postgresql`, or `rabbitmq` with SQLite."""
    return "sqlite"


@pytest.fixture
def certificate(furnished: Path) -> str:
    """The path of the server's certificate."""
    return str(furnished / "self-signed.crt")


@pytest.fixture
def settings(request: pytest.FixtureRequest, furnished: Path, tmp_path: Path, ground: str) -> Iterator[AldisSettings]:
    """What the server is told."""
    data_dir = tmp_path / "data"
    shutil.copytree(furnished, data_dir)
    marker = request.node.get_closest_marker("settings")
    sections = marker.kwargs if marker is not None else {}
    if ground == "rabbitmq":
        rabbit: Rabbit = request.getfixturevalue("rabbit")
        sections = {**sections, "bus": {"url": rabbit.url, "prefix": f"s{secrets.token_hex(4)}."}}
    if ground != "postgresql":
        yield make_settings(data_dir, **sections)
        return
    cluster, template = request.getfixturevalue("verona")
    name = _outside(cluster.create(template))
    yield make_settings(data_dir, database={"url": cluster.url(name)}, **sections)
    _outside(cluster.drop(name))


def _log() -> Logger:
    return make_logger("info", "human", sys.stderr)


def _host(settings: AldisSettings, process: Process) -> Host[AldisSettings]:
    return Host(settings, _log(), CollectorRegistry(), process, SystemClock())


class Furnished:
    """The store's part without its migrations, which the furnished directory has seen: half of a scenario's time."""

    name: Final = "database"

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(self) -> None:
        await self._database.open()

    async def stop(self) -> None:
        await self._database.close()


async def _serve(settings: AldisSettings, certificate: str, seed: int | None, *, deaths: bool = False) -> AsyncIterator[Cluster]:
    def compose(process: Process, broker: MemoryBroker) -> Composition:
        pace = Pace(look=0.1) if deaths else None
        url = settings.bus.url.get_secret_value()
        buses = RabbitBuses(url, settings.bus.prefix, MANY.shards, _log()) if url else None
        house = OneProcess(_host(settings, process), topology=MANY, broker=broker, buses=buses, durable=False, any_port=True, pace=pace)

        def doors() -> list[Doors]:
            return [Doors(gateway.ports().port, gateway.ports().tls_port) for gateway in house.gateways]

        store, *parts = house.parts
        assert isinstance(store, Store)

        async def connect() -> Bus:
            bus = house.buses.connect("o")
            if isinstance(bus, AmqpBus):
                await bus.start()
            return bus

        return Composition([Furnished(store.database), *parts], house.routers, doors, connect, house.gateways, _kill)

    context = trusting(certificate)
    cluster = Cluster(compose, lambda: TcpWire(context), seed, _log(), deaths=deaths)
    await cluster.start()
    try:
        yield cluster
    finally:
        await cluster.stop()


def _kill(gateway: Gateway) -> None:
    """What SIGKILL leaves of a gateway: nothing more gets out of it, its connections break, its queue is gone."""
    bus, board = gateway._bus, gateway._board
    assert isinstance(bus, MemoryBus)
    bus.survivors = 0
    for server in gateway._servers:
        server.close()
    for connection in list(board.connections if board is not None else ()):
        connection.abort()
    bus.cut()


@pytest.fixture
async def cluster(
    request: pytest.FixtureRequest, settings: AldisSettings, certificate: str, fault_seed: int | None
) -> AsyncIterator[Cluster]:
    """The server, calm or under faults."""
    deaths = request.node.get_closest_marker("deaths") is not None
    async for cluster in _serve(settings, certificate, fault_seed, deaths=deaths):
        yield cluster


@pytest.fixture
async def server(settings: AldisSettings, certificate: str) -> AsyncIterator[Cluster]:
    """The server without faults."""
    async for cluster in _serve(settings, certificate, None):
        yield cluster


Enter = Callable[..., Awaitable[Actor]]


@pytest.fixture
def enter(cluster: Cluster) -> Enter:
    """Bring an account's client on: `await enter("nurse@capulet.lit", "chamber", gateway=1)`."""

    async def enter(account: str, resource: str = "", *, gateway: int = 0, wire: Callable[[], Wire] | None = None) -> Actor:
        actor = cluster.actor(account, PEOPLE[account], gateway=gateway, wire=wire)
        await actor.logs_in(resource)
        return actor

    return enter


@pytest.fixture
async def juliet(enter: Enter) -> Actor:
    """Logged in and bound, on the first gateway; no presence sent."""
    return await enter("juliet@capulet.lit", "balcony")


@pytest.fixture
async def nurse(enter: Enter) -> Actor:
    """Of Juliet's domain, on the second gateway."""
    return await enter("nurse@capulet.lit", "chamber", gateway=1)


@pytest.fixture
async def romeo(enter: Enter) -> Actor:
    """Of the other domain, on the second gateway."""
    return await enter("romeo@montague.lit", "orchard", gateway=1)


@pytest.fixture
async def benvolio(enter: Enter) -> Actor:
    """Of Romeo's domain, on the first gateway."""
    return await enter("benvolio@montague.lit", "street")


@pytest.fixture
def stranger(server: Cluster) -> Actor:
    """Juliet's client, not yet connected to a server without faults."""
    return server.actor("juliet@capulet.lit", PEOPLE["juliet@capulet.lit"])


@pytest.fixture
def binding_client(server: Cluster, certificate: str) -> Callable[[int], Actor]:
    """Juliet's client, not yet connected, that can compute every type of channel binding; given the version of TLS."""

    def make(version: int) -> Actor:
        return server.actor("juliet@capulet.lit", PEOPLE["juliet@capulet.lit"], wire=lambda: OpenSslWire(certificate, most=version))

    return make


# ── a server that is attacked ──

RSS_GROWTH: Final = 25.0
"""MB that an attack may leave behind; most of it is what allocators keep, so that it does not add up."""
RSS_PEAK: Final = 60.0
"""MB more than before that an attack may make it take at any time."""
LONGEST: Final = 3.0
"""Seconds that a message of others may take meanwhile, on a machine that runs the attack as well."""
ATTACK: Final = "attack"
"""The property of a test's report that says what its attack did."""


@pytest.fixture(scope="session")
def fortress(tmp_path_factory: pytest.TempPathFactory, furnished: Path) -> Iterator[Fortress]:
    """The real `aldis serve` in a process of its own."""
    with run_fortress(tmp_path_factory.mktemp("fortress"), furnished, PEOPLE) as running:
        yield running


@pytest.fixture
async def peace(request: pytest.FixtureRequest, fortress: Fortress) -> AsyncIterator[Pair]:
    """Two users who chat while the test attacks; afterwards they were not disturbed, and the server is as small as it was."""
    pair = Pair(fortress.actor("benvolio@montague.lit"), fortress.actor("nurse@capulet.lit"))
    await pair.one.logs_in("peace")
    await pair.other.logs_in("peace")
    before = fortress.rss
    fortress.forget_peak()
    chat = asyncio.ensure_future(pair.chat())
    try:
        yield pair
        pair.stop()
        await chat
        await fortress.withdraw()
        await fortress.is_rid_of(0)
    finally:
        chat.cancel()
        await fortress.withdraw()
    after = fortress.rss
    line = f"{request.node.name}: {before:.1f} → {after:.1f} MB, at most {fortress.peak:.1f} MB; {pair.figures}"
    request.node.user_properties.append((ATTACK, line))
    assert after - before < RSS_GROWTH, line
    assert fortress.peak - before < RSS_PEAK, line
    assert pair.longest < LONGEST, line


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the attacks did to the server's memory and to the others' messages."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports if isinstance(report, pytest.TestReport)]
    lines = [value for report in reports if report.when == "teardown" for name, value in report.user_properties if name == ATTACK]
    if lines:
        terminalreporter.section("attacks: memory of the server before and after, and messages of others meanwhile")
        for line in lines:
            terminalreporter.write_line(str(line))
