"""A service as a process of its own: what it says, what it waits for, and how healthy it calls itself when the broker is not."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from aldis.core.service.probe import probe
from tests.integration.launched import BYTECODE, free_port
from tests.support.postgres import shared
from tests.support.rabbit import Rabbit

SECONDS = 40.0

pytestmark = pytest.mark.timeout(180)


@dataclass
class Directory:
    """The directory in a folder of its own."""

    folder: Path
    bus: str
    database: str
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        (self.folder / "aldis.toml").write_text(
            f'[bus]\nurl = "{self.bus}"\nprefix = "alone{os.getpid()}-{self.port}."\nshards = 4\n[database]\nurl = "{self.database}"\n'
            f"[metrics]\nport = {self.port}\n[directory]\niterations = 4096\n[limits]\nroster_items = 5\n"
        )

    @property
    def environ(self) -> dict[str, str]:
        """Its environment, without settings of whoever runs the tests."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ALDIS_") and name != "PYTHONDONTWRITEBYTECODE"}
        return {**kept, "PYTHONPYCACHEPREFIX": str(BYTECODE)}

    @contextmanager
    def running(self, **environ: str) -> Iterator[None]:
        """Run it until the block ends."""
        command = [sys.executable, "-m", "aldis.directory", "--name", "directory.7", "--parent", str(os.getpid())]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, env={**self.environ, **environ}, stderr=log)
        try:
            yield
        finally:
            if self.process.poll() is None:
                self.process.terminate()
                self.process.wait(SECONDS)

    def log(self) -> str:
        """What it logged."""
        return (self.folder / "log").read_text()

    def health(self, path: str) -> tuple[bool, str]:
        """What a probe hears."""
        return probe(path, {"ALDIS_METRICS__PORT": str(self.port)})

    def until_ready(self) -> None:
        """Wait until it is."""
        self.until(lambda answer: answer[0])

    def until_not_ready(self, words: str) -> None:
        """Wait until it says that it is not, in these words; it is alive all the while."""
        self.until(lambda answer: not answer[0] and words in answer[1])

    def until(self, wanted: Callable[[tuple[bool, str]], bool]) -> None:
        """Wait for an answer of /readyz."""
        until = time.monotonic() + SECONDS
        while not wanted(answer := self.health("/readyz")):
            assert time.monotonic() < until, (answer, self.log())
            time.sleep(0.1)
        assert self.health("/healthz") == (True, "ok")


@pytest.fixture
async def database() -> AsyncIterator[str]:
    """An empty PostgreSQL database."""
    cluster = await asyncio.to_thread(shared)
    async with cluster.database() as url:
        yield url


def migrate(directory: Directory) -> None:
    """Do what an operator does before."""
    command = [str(Path(sys.executable).with_name("aldis")), "migrate"]
    subprocess.run(command, cwd=directory.folder, env=directory.environ, check=True, stdout=subprocess.DEVNULL)


@pytest.mark.needs("initdb", "postgres")
def test_it_waits_for_its_tables_and_tells_by_sd_notify_when_it_is_ready(tmp_path: Path, rabbit: Rabbit, database: str) -> None:
    directory = Directory(tmp_path, rabbit.url, database)
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as notices:
        notices.bind(f"\0aldis-test-{os.getpid()}")
        notices.settimeout(SECONDS)
        with directory.running(NOTIFY_SOCKET=f"@aldis-test-{os.getpid()}"):
            directory.until_not_ready("`aldis migrate` is still to be run: directory/0001_accounts.py")
            migrate(directory)
            directory.until_ready()
            said = b""
            while not said.startswith(b"READY=1"):
                said = notices.recv(4096)
            assert directory.process is not None
            directory.process.send_signal(signal.SIGTERM)
            while b"STOPPING=1" not in said:
                said = notices.recv(4096)
            assert directory.process.wait(SECONDS) == 0
    assert "process=directory.7" in directory.log()
    assert "Traceback" not in directory.log()


@pytest.mark.needs("initdb", "postgres")
def test_it_is_alive_without_a_broker_and_ready_only_with_one_that_takes_something(
    tmp_path: Path, own_rabbit: Rabbit, database: str
) -> None:
    directory = Directory(tmp_path, own_rabbit.url, database)
    migrate(directory)
    with directory.running():
        directory.until_ready()
        own_rabbit.ctl("set_vm_memory_high_watermark", "0.000001")
        directory.until_not_ready("the broker takes nothing")
        own_rabbit.ctl("set_vm_memory_high_watermark", "0.6")
        directory.until_ready()
        own_rabbit.kill()
        directory.until_not_ready("no connection to the broker")
        own_rabbit.start(os.getpid())
        directory.until_ready()


@pytest.mark.needs("initdb", "postgres")
def test_it_is_alive_without_a_database_and_says_so(tmp_path: Path, rabbit: Rabbit) -> None:
    directory = Directory(tmp_path, rabbit.url, f"postgresql://aldis:secret-word@127.0.0.1:{free_port()}/aldis")
    with directory.running():
        directory.until_not_ready("database")
    assert "database.awaited" in directory.log()
    assert "secret-word" not in directory.log()


@pytest.mark.parametrize("service", ["directory", "gateway", "router"])
def test_every_service_has_a_command_that_tells_how_it_is_used_and_what_is_wrong(tmp_path: Path, service: str) -> None:
    directory = Directory(tmp_path, "amqp://127.0.0.1/", "sqlite:///aldis.db")

    def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        command: list[str] = [sys.executable, "-m", f"aldis.{service}", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env={**directory.environ, **environ}, capture_output=True, text=True, timeout=SECONDS, check=False
        )

    told = run("--help")
    assert told.returncode == 0
    assert f"aldis-{service}" in told.stdout
    wrong = run(ALDIS_BUS__URL="http://127.0.0.1/", ALDIS_METRICS__PORT="0.5")
    assert wrong.returncode == 2
    assert "must begin with amqp:// or amqps://" in wrong.stderr
    assert "metrics.port" in wrong.stderr
    alone = run(ALDIS_BUS__URL="")
    assert alone.returncode == 2
    assert "bus.url" in alone.stderr
    assert not any("Traceback" in done.stderr for done in (told, wrong, alone))
    orphan = run("--parent", "1")
    assert orphan.returncode == 1, "its parent is not who it says"
