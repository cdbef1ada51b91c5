"""What is measured: a server that can be started on ports of its own, and whose processes can be told apart."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from aldis.gateway.net.certificates import ensure_self_signed

DOMAIN: Final = "example.org"


class Server(Protocol):
    """One server under test."""

    name: str

    @property
    def ports(self) -> Sequence[int]:
        """Where clients connect in the clear, one port for each gateway."""

    @property
    def processes(self) -> dict[str, list[int]]:
        """The ids of its processes by what they do; whatever they start counts with them."""

    def start(self) -> None:
        """Start it and wait until clients can connect; raises `Failed`."""

    def stop(self) -> None:
        """End it and remove what it wrote."""


class Folder:
    """A folder of a server's own, with the certificate that all servers share."""

    def __init__(self, name: str) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=f"aldis-bench-{name}-"))

    def certificate(self) -> tuple[Path, Path]:
        """The certificate and its key."""
        return ensure_self_signed(self.path, [DOMAIN])

    def remove(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.path, ignore_errors=True)
