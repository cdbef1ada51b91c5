"""The other end of sd_notify(3): children say here when they are ready, and what they wait for."""

import asyncio
import os
import secrets
import socket
import struct
from collections.abc import Callable
from typing import Final

CREDENTIALS: Final = struct.Struct("3i")
LONGEST: Final = 4096
MOST: Final = 100
"""Messages that are read in one turn of the loop."""

Heard = Callable[[int, dict[str, str]], None]


class Notices:
    """A socket that children send to; the system says which process each message is from, so nobody speaks for another."""

    def __init__(self, heard: Heard) -> None:
        """`heard` is called with a process id and what it said."""
        self._heard = heard
        self._socket: socket.socket | None = None
        self.address: Final = f"@aldis-{os.getpid()}-{secrets.token_hex(8)}"
        """What children get as NOTIFY_SOCKET. An abstract name: it needs no folder, and goes with this process."""

    def open(self) -> None:
        """Listen from now on."""
        sock = self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        sock.bind(f"\0{self.address[1:]}")
        asyncio.get_running_loop().add_reader(sock, self._read)

    def close(self) -> None:
        """Listen no more."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _read(self) -> None:
        for _ in range(MOST):
            if self._socket is None:
                return
            try:
                data, ancillary, _, _ = self._socket.recvmsg(LONGEST, socket.CMSG_SPACE(CREDENTIALS.size))
            except OSError:  # nothing more to read
                return
            for level, kind, content in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS and len(content) >= CREDENTIALS.size:
                    pid, _, _ = CREDENTIALS.unpack(content[: CREDENTIALS.size])
                    self._heard(pid, parsed(data))


def parsed(data: bytes) -> dict[str, str]:
    """`READY=1` and `STATUS=…`, a line each."""
    lines = data.decode(errors="replace").splitlines()
    return {name: value for name, found, value in (line.partition("=") for line in lines) if found}
