"""Real clients against the real command: who they were stands at the end of a run, what they said at a failure."""

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.interop.house import Clients, House

WHO = pytest.StashKey[dict[str, list[int]]]()
"""The processes of each version of a client."""


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A fresh server with its default settings."""
    with House(tmp_path_factory.mktemp("interop") / "house").open() as house:
        yield house


@pytest.fixture
def clients(house: House, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Clients]:
    """What starts clients; they are ended, and named in the log."""
    with ExitStack() as ends:
        clients = Clients(house, tmp_path, ends)
        yield clients
        who = request.config.stash.setdefault(WHO, {})
        for client in clients.started:
            who.setdefault(client.version, []).append(client.pid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach what clients and server said to a failure."""
    report = yield
    clients = getattr(item, "funcargs", {}).get("clients")
    if report.failed and isinstance(clients, Clients):
        for client in clients.started:
            report.sections.append((f"{client.name} ({client.version}, process {client.pid})", client.transcript()))
        report.sections.append(("server", clients.house.log()[-12_000:]))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name the clients that took part."""
    for version, processes in config.stash.get(WHO, {}).items():
        terminalreporter.write_line(f"{version} took part: process {', '.join(map(str, processes))}")
