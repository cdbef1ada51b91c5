"""One process at a time on a data directory; the system lets go of the lock however the process ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from aldis.launcher.failure import Failure

FILE: Final = "aldis.lock"
SERVE: Final = "serve"
UP: Final = "up"
SERVERS: Final = frozenset({SERVE, UP})
STEP: Final = 0.05
_LONGEST: Final = 100


class Held(Failure):
    """Somebody else has the data directory."""

    def __init__(self, data_dir: Path, holder: str) -> None:
        purpose, _, pid = holder.partition(" ")
        who = "another server" if purpose in SERVERS else f"another command ({purpose or 'unknown'})"
        mend = "stop it, or set another data_dir" if purpose in SERVERS else "try again when it is done"
        self.where = f"data_dir = {data_dir}"
        super().__init__(f"{self.where}: {who} uses it{f' (process {pid})' if pid else ''}; {mend}", condition="in-use")
        self.by_server = purpose in SERVERS


@contextmanager
def locked(data_dir: Path, purpose: str, *, patience: float) -> Iterator[None]:
    """Hold the data directory, made if there is none; raise `Held` at once if a server does, else after `patience` seconds."""
    make_data_dir(data_dir)
    try:
        handle = os.open(data_dir / FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise Failure(f"data_dir = {data_dir}: {FILE} in it can't be opened: {error.strerror}; {owner_mend(data_dir)}") from None
    try:
        _take(handle, data_dir, patience)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{purpose} {os.getpid()}".encode(), 0)
        yield
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def make_data_dir(data_dir: Path) -> None:
    """Make the directory, closed to others: it will hold keys."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"data_dir = {data_dir}: can't be made: {error.strerror}; set another one or mend the permissions") from None


def owner_mend(data_dir: Path) -> str:
    """What to do about a directory that lets us not in."""
    from pwd import getpwuid  # noqa: PLC0415  seldom needed

    try:
        uid = data_dir.stat().st_uid
        name = getpwuid(uid).pw_name
    except (OSError, KeyError):
        return "mend its permissions or set another data_dir"
    return f"mend its permissions, or run this as its owner, {name}" if uid != os.geteuid() else "mend its permissions"


def _take(handle: int, data_dir: Path, patience: float) -> None:
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            held = Held(data_dir, os.pread(handle, _LONGEST, 0).decode(errors="replace"))
        if held.by_server or time.monotonic() >= until:
            raise held
        time.sleep(STEP)
