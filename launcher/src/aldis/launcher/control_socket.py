"""The control socket in the data directory, over which the `aldis` command talks to a running server.

One JSON object on one line is the question, one is the answer, and the connection is over. Who may connect is decided by
the mode of the socket and of its directory, and by the user that the system says is at the other end.
"""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from aldis.launcher.failure import Failure

FILE: Final = "control.sock"
UP_FILE: Final = "up.sock"
"""That of `aldis up`, which knows its processes; everything else is asked of them over the bus."""
LONGEST_PATH: Final = 107
"""Octets that the system's address of a Unix socket has room for (unix(7))."""
MAX_REQUEST: Final = 64 * 1024
MAX_ANSWER: Final = 256 * 1024 * 1024
"""A list of two million accounts; the answer is whole in memory at both ends."""
REQUEST_SECONDS: Final = 5.0
"""For the question to arrive."""
SECONDS: Final = 30.0
"""For the whole conversation: a change of password hashes thrice, up to a million rounds each."""


@contextmanager
def address(data_dir: Path, file: str = FILE) -> Iterator[str]:
    """The socket's path in a form that fits: a long one goes through an open directory."""
    path = data_dir / file
    if len(os.fsencode(path)) <= LONGEST_PATH:
        yield str(path)
        return
    handle = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if not Path(f"/proc/self/fd/{handle}").exists():
            raise Failure(
                f"data_dir = {data_dir}: the path of {file} in it has {len(os.fsencode(path))} octets, "
                f"the system allows {LONGEST_PATH}; set a data_dir with a shorter path"
            )
        yield f"/proc/self/fd/{handle}/{file}"
    finally:
        os.close(handle)


def peer_uid(connection: socket.socket) -> int:
    """The user at the other end, as the system knows it."""
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(uid)


def may_command(uid: int) -> bool:
    """The server's own user and root may."""
    return uid in (0, os.geteuid())
