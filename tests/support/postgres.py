"""PostgreSQL servers of the tests' own: on a free port of the loopback, in a folder of their own, gone with whoever started them."""

import contextlib
import ctypes
import itertools
import os
import pwd
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
import psutil

BINARIES: Final = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), key=lambda path: int(path.split("/")[4]), reverse=True)
"""Where Debian puts what is not in the path, the newest first."""
ROLE: Final = "aldis"
STARTING: Final = 30.0
QUICK: Final = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off")
ENGLISH: Final = ("--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en")
PDEATHSIG: Final = 1
_NUMBERS: Final = itertools.count(1)


def program(name: str) -> str | None:
    """The path of one of PostgreSQL's programs."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *BINARIES]))


def nobody() -> dict[str, Any]:
    """For root, as whom PostgreSQL refuses to run: who runs it instead."""
    if os.geteuid() != 0:
        return {}
    who = pwd.getpwnam("nobody")
    return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}


def die_with_parent() -> None:
    """Be killed when the parent ends, however that is (after a change of user, which forgets it)."""
    ctypes.CDLL(None).prctl(PDEATHSIG, signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Server:
    """One server; its texts sort as in English unless a column says otherwise, so that a test finds one that doesn't say."""

    def __init__(self, *, options: Sequence[str] = QUICK, largest: int = 0) -> None:
        """`largest` is the size in bytes that no file may exceed, as if the disk were full."""
        self._largest = largest
        self.folder = Path(tempfile.mkdtemp(prefix="aldis-postgres-"))
        self.port = 0
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process that started all others."""
        assert self._process is not None
        return self._process.pid

    def create(self) -> None:
        """Make the data directory."""
        who = nobody()
        if who:
            os.chown(self.folder, who["user"], who["group"])
        initdb = program("initdb")
        assert initdb is not None, "PostgreSQL is not installed"
        subprocess.run(
            [initdb, "-D", self._data, "-U", ROLE, "-A", "trust", "-E", "UTF8", "--no-sync", *ENGLISH],
            check=True,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            **who,
        )

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def start(self) -> None:
        """Start it, on the port that it had, else on a free one; returns when it lets clients in."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Begin to start it; not in a thread, since it ends with that."""
        assert threading.current_thread() is threading.main_thread()
        postgres = program("postgres")
        assert postgres is not None
        self.port = self.port or free_port()
        options = [
            f"port={self.port}",
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=200",
            "shared_buffers=32MB",
        ]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [postgres, "-D", self._data, *(part for option in (*options, *self._options) for part in ("-c", option))],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=self._before,  # noqa: PLW1509  takes no lock
                **nobody(),
            )

    def wait(self) -> None:
        """Wait until it lets clients in."""
        assert self._process is not None
        ready = [str(program("pg_isready")), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", ROLE, "-d", "postgres", "-t", "1"]
        until = time.monotonic() + STARTING
        while subprocess.run(ready, check=False).returncode != 0:
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < until, "PostgreSQL did not start"
            time.sleep(0.02)

    def _before(self) -> None:
        die_with_parent()
        if self._largest:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self._largest, self._largest))

    def signal(self, what: signal.Signals) -> None:
        """Send it to the server and to each of its processes."""
        if self._process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            main = psutil.Process(self._process.pid)
            for process in (main, *main.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(what)

    @property
    def runs(self) -> bool:
        """Was it started, and neither stopped nor killed since?"""
        return self._process is not None

    def freeze(self) -> None:
        """Let it answer nothing, as a machine that hangs."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it without a word."""
        self.freeze()
        self.signal(signal.SIGKILL)
        self._wait()

    def stop(self) -> None:
        """Have it end its clients' connections and shut down in order."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._wait()

    def _wait(self) -> None:
        if self._process is not None:
            self._process.wait(timeout=STARTING)
            self._process = None

    def remove(self) -> None:
        """End it and leave nothing behind."""
        self.thaw()
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def let_in_by_password(self, role: str) -> None:
        """From now on this role needs a password."""
        access = Path(self._data, "pg_hba.conf")
        access.write_text(f"host all {role} all scram-sha-256\n{access.read_text()}")
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def url(self, database: str, role: str = ROLE) -> str:
        """The address of a database."""
        return f"postgresql://{role}@127.0.0.1:{self.port}/{database}"

    @property
    def cluster(self) -> "Cluster":
        """To make databases on it."""
        return Cluster(self.port)


class Cluster:
    """Makes databases on a server that runs, wherever that is."""

    def __init__(self, port: int) -> None:
        self.port = port

    def url(self, database: str) -> str:
        return f"postgresql://{ROLE}@127.0.0.1:{self.port}/{database}"

    async def do(self, statement: str) -> None:
        """Do something on the server itself."""
        connection = await asyncpg.connect(self.url("postgres"), timeout=STARTING)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    @asynccontextmanager
    async def database(self, template: str = "template1") -> AsyncIterator[str]:
        """A database for as long as it is needed, as a copy of another one; its address."""
        name = await self.create(template)
        try:
            yield self.url(name)
        finally:
            await self.drop(name)

    async def create(self, template: str = "template1") -> str:
        """Make a database, as a copy of another one; its name."""
        name = f"test_{os.getpid()}_{next(_NUMBERS)}"
        await self.do(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    async def drop(self, name: str) -> None:
        """Remove it, whoever uses it."""
        await self.do(f"DROP DATABASE {name} WITH (FORCE)")


def shared() -> Cluster:
    """The server that all processes of a test run share; the first starts it, and it ends with the last."""
    from tests.support import postgres_keeper  # noqa: PLC0415  which imports this

    return Cluster(postgres_keeper.join())
