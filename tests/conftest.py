"""What all tests share: fault seeds, needed programs, and Hypothesis profiles."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from tests.support import postgres
from tests.support.rabbit import Rabbit, scripts, shared
from tests.support.stores import KINDS, Stores, make

pytest.register_assert_rewrite("tests.support.bus_suite", "tests.support.bus_suite_connections")

# Other work on the machine must not decide whether a property holds, so no example has a deadline.
settings.register_profile("check", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("soak", parent=settings.get_profile("check"), max_examples=2000)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make check` and `make soak` choose how many seeds the scenarios run on."""
    parser.addoption(
        "--fault-seeds", type=int, default=1, help="run what takes `fault_seed` calm, and on so many seeds of the bus's fault mode"
    )
    parser.addoption("--grounds", default="sqlite", help="run scenarios on these: sqlite,postgresql,rabbitmq")


def pytest_configure(config: pytest.Config) -> None:
    """Choose the Hypothesis profile: long with the soak tests, short otherwise."""
    settings.load_profile("soak" if os.environ.get("ALDIS_TEST_SOAK") else "check")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in a folder that is named like a mark."""
    for item in items:
        for mark in {"integration", "interop"} & set(item.path.parts):
            item.add_marker(mark)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes `fault_seed` once calm (None) and once on each seed."""
    if "fault_seed" in metafunc.fixturenames:
        seeds = [None, *range(1, metafunc.config.getoption("--fault-seeds") + 1)]
        metafunc.parametrize("fault_seed", seeds, ids=["calm", *(f"seed{n}" for n in seeds[1:])])


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose programs are missing (`@pytest.mark.needs("profanity")`); under CI nothing may be missing."""
    needed = [program for mark in item.iter_markers("needs") for program in mark.args]
    missing = [program for program in needed if postgres.program(program) is None]
    if missing:
        miss(f"not installed: {', '.join(missing)}")


def miss(reason: str) -> NoReturn:
    """Skip a test for what is missing; under CI fail it."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def rabbit(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rabbit]:
    """The run's RabbitMQ, shared by its workers: use a `prefix` of your own, and do it no harm."""
    if scripts() is None:
        miss("not installed: rabbitmq-server")
    base = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):  # the workers' folders lie in one of the run, and they are children of one process
        kept = shared(base.parent, os.getppid())
        yield kept
        kept.leave()
        return
    broker = shared(base, os.getpid())
    yield broker
    broker.end()


@pytest.fixture(scope="module")
def own_rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rabbit]:
    """A RabbitMQ for one module, to be killed, stopped and configured."""
    if scripts() is None:
        miss("not installed: rabbitmq-server")
    broker = Rabbit.made(tmp_path_factory.mktemp("own-rabbit"))
    broker.start(os.getpid())
    yield broker
    broker.end()


@pytest.fixture(scope="session", params=[KINDS[0], pytest.param(KINDS[1], marks=pytest.mark.needs("initdb", "postgres"))])
def stores(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stores:
    """Databases of each kind: a test that takes this runs once on either."""
    return make(request.param, tmp_path_factory.mktemp("stores"))


@pytest.fixture
async def database_url(stores: Stores, tmp_path: Path) -> AsyncIterator[str]:
    """The address of an empty database, of either kind."""
    async with stores.fresh(tmp_path) as url:
        yield url


@pytest.fixture
async def postgres_url(tmp_path: Path) -> AsyncIterator[str]:
    """The address of an empty database on PostgreSQL; whoever takes it is marked as needing that."""
    async with make("postgresql", tmp_path).fresh(tmp_path) as url:
        yield url
