"""Keeps one PostgreSQL for all processes of a test run, and ends it when the last of them has ended, killed or not.

Each of them holds a pipe open; the keeper, a process of its own, reads that until nobody holds it any more.
"""

import fcntl
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

PATIENCE: Final = 60.0
_HELD: Final[dict[Path, int]] = {}
_STARTED: Final[list["subprocess.Popen[bytes]"]] = []


def join() -> int:
    """The port of the server, which is started if nobody of this run has done so."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    folder = Path(tempfile.gettempdir(), f"aldis-postgres-of-{run}")
    folder.mkdir(mode=0o700, exist_ok=True)
    pipe, ready = folder / "pipe", folder / "port"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        first = not pipe.exists()
        if first:
            os.mkfifo(pipe)
        if folder not in _HELD:
            _HELD[folder] = os.open(pipe, os.O_RDWR)  # kept until this process ends
        if first:
            root = Path(__file__).parents[2]
            keeper = [sys.executable, "-m", "tests.support.postgres_keeper", str(folder)]
            _STARTED.append(subprocess.Popen(keeper, cwd=root, start_new_session=True))
        until = time.monotonic() + PATIENCE
        while not ready.exists():
            if time.monotonic() > until:
                raise TimeoutError("the tests' PostgreSQL did not start")
            time.sleep(0.02)
    return int(ready.read_text())


def keep(folder: Path) -> None:
    """Run the server until nobody holds the pipe."""
    from tests.support.postgres import Server  # noqa: PLC0415  who joins needn't

    pipe = os.open(folder / "pipe", os.O_RDONLY)
    server = Server()
    try:
        server.create()
        server.start()
        (folder / "port.new").write_text(str(server.port))
        (folder / "port.new").rename(folder / "port")
        while os.read(pipe, 1):
            pass
    finally:
        server.remove()
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
