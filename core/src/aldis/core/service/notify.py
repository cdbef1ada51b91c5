"""Tell whoever started the process how it is, in systemd's words (sd_notify(3)): `NOTIFY_SOCKET` names where."""

import asyncio
import socket
from collections.abc import Mapping
from typing import Final

from aldis.core.service.health import Readiness

VARIABLE: Final = "NOTIFY_SOCKET"
LONGEST: Final = 2048
"""Octets of a message: a datagram is taken whole or not at all."""
AGAIN: Final = 0.2
"""Seconds before another try, where messages wait to be read."""


class Notifier:
    """Says `READY=1` when nothing is missing, and why not when something is; whoever does not listen loses nothing."""

    def __init__(self, readiness: Readiness, environ: Mapping[str, str]) -> None:
        self._readiness = readiness
        self._address = environ.get(VARIABLE, "")
        self._said = ""
        self._waiting = False
        if self._address:
            self._address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
            readiness.changed = self.tell

    def tell(self) -> None:
        """Say how it is, if that is not what was said last."""
        reasons = self._readiness.reasons()
        words = "; ".join(reasons).replace("\n", " ")
        text = "READY=1\nSTATUS=ready" if not reasons else f"STATUS={words}"
        if any(reason == "process: stopping" for reason in reasons):
            text += "\nSTOPPING=1"
        if self._address and text != self._said and not self._waiting:
            try:
                self._socket.sendto(text.encode()[:LONGEST], self._address)
            except BlockingIOError:  # some ten messages wait to be read; the last one counts
                self._waiting = True
                asyncio.get_running_loop().call_later(AGAIN, self._try_again)
            except OSError:  # gone: nobody needs to know any more
                self._address = ""
            else:
                self._said = text

    def _try_again(self) -> None:
        self._waiting = False
        self.tell()
