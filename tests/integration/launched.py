"""The real `aldis` command in a folder of its own, on free ports of the loopback."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

ALDIS = Path(sys.executable).with_name("aldis")
BYTECODE = Path(__file__).resolve().parents[2] / "build" / "bytecode"
"""Kept between the many processes here, whatever the environment says: without it each takes two seconds to import."""
SECONDS = 40.0


def free_port() -> int:
    """Find a port that nobody listens on just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass
class Server:
    """A running `aldis serve`."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]
    errors: Path

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(SECONDS)

    def log(self) -> str:
        """Read what it logged."""
        return self.errors.read_text()

    def wait_for(self, words: str) -> None:
        """Wait until the log says so."""
        until = time.monotonic() + SECONDS
        while words not in self.log():
            assert time.monotonic() < until, f"never logged {words!r}:\n{self.log()}"
            time.sleep(0.05)


@dataclass
class Site:
    """A folder with a settings file, where commands are run."""

    path: Path
    text: str = ""
    port: int = field(default_factory=free_port)
    tls_port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.path.mkdir(exist_ok=True)
        self.write(self.text)

    @property
    def data(self) -> Path:
        """Name its data directory."""
        return self.path / "data"

    @property
    def environ(self) -> dict[str, str]:
        """Give the environment without settings of whoever runs the tests."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ALDIS_") and name != "PYTHONDONTWRITEBYTECODE"}
        return {**kept, "PYTHONPYCACHEPREFIX": str(BYTECODE)}

    def write(self, more: str = "") -> None:
        """Write the settings file; `more` may begin with settings outside of sections."""
        (self.path / "aldis.toml").write_text(
            f'{more}\n[c2s]\nhost = "127.0.0.1"\nport = {self.port}\ntls_port = {self.tls_port}\n'
            "[metrics]\nport = 0\n[directory]\niterations = 4096\n"
        )

    def aldis(self, *arguments: str, stdin: str = "", code: int | None = 0, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, and see that its exit code is this one."""
        done = subprocess.run(
            [ALDIS, *arguments],
            cwd=self.path,
            env={**self.environ, **environ},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert code is None or done.returncode == code, (done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def start(
        self, *arguments: str, stdin: int | None = None, stdout: int = subprocess.PIPE, stderr: int | IO[str] = subprocess.PIPE
    ) -> subprocess.Popen[str]:
        """Begin to run a command."""
        return subprocess.Popen(
            [ALDIS, *arguments],
            cwd=self.path,
            env=self.environ,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            text=True,
            start_new_session=stdin is not None,
        )

    def json(self, *arguments: str, stdin: str = "", code: int = 0) -> Any:
        """Run a command for programs; what it printed."""
        return json.loads(self.aldis("--json", *arguments, stdin=stdin, code=code).stdout)

    @contextmanager
    def serving(self, *arguments: str) -> Iterator[Server]:
        """Run the server, ready for clients, until the block ends."""
        errors = self.path / "server.log"
        with errors.open("w") as stderr:
            process = self.start("serve", "--json", *arguments, stderr=stderr)
        try:
            yield Server(process, json.loads(_line(process.stdout, errors)), errors)
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(SECONDS)
            if process.stdout is not None:
                process.stdout.close()


def _line(stream: IO[str] | None, errors: Path) -> str:
    assert stream is not None
    readable, _, _ = select.select([stream], [], [], SECONDS)
    line = stream.readline() if readable else ""
    assert line, f"not ready:\n{errors.read_text()}"
    return line
