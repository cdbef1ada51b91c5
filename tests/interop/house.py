"""The server under test, by the real command, and the clients that were started for it."""

import re
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.integration.launched import Server, Site, free_port
from tests.interop.profanity import Profanity
from tests.interop.slix import Slixmpp
from tests.interop.waiting import Client


@dataclass
class House(Site):
    """A site whose settings are the defaults but for its addresses, and `more`."""

    metrics_port: int = field(default_factory=free_port)
    server: Server | None = None

    def write(self, more: str = "") -> None:
        (self.path / "aldis.toml").write_text(
            f'[c2s]\nhost = "127.0.0.1"\nport = {self.port}\ntls_port = {self.tls_port}\n[metrics]\nport = {self.metrics_port}\n{more}'
        )

    @contextmanager
    def open(self) -> Iterator["House"]:
        """Serve until the block ends, which has to be in order."""
        with self.serving() as self.server:
            yield self
            assert self.server.stop() == 0
            assert "Traceback" not in self.server.log()

    @property
    def certificate(self) -> Path:
        """The certificate that the server made for itself."""
        return self.data / "self-signed.crt"

    def log(self) -> str:
        """Give what the server logged."""
        return self.server.log() if self.server is not None else ""

    def add(self, jid: str, password: str) -> None:
        """Make an account, as an operator does."""
        self.aldis("user", "add", jid, "--password-stdin", stdin=password)

    def logins(self) -> dict[tuple[str, str], int]:
        """Count logins by mechanism and result, as the server's metrics do."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=20) as answer:
            text = answer.read().decode()
        found = re.findall(r'^aldis_auth_total\{mechanism="(.+?)",result="(.+?)"\} (\S+)$', text, re.MULTILINE)
        return {(mechanism, result): int(float(count)) for mechanism, result, count in found}


@dataclass
class Clients:
    """Starts clients of one house, in folders of their own, and ends them."""

    house: House
    folder: Path
    ends: ExitStack
    started: list[Client] = field(default_factory=list)

    def slixmpp(self, jid: str, password: str, *, trusting: bool = True, **options: Any) -> Slixmpp:
        """Start a slixmpp, with the server's certificate as its only trust beside the system's."""
        house = self.house
        client = Slixmpp(
            self.folder / f"slixmpp-{len(self.started)}.log",
            jid,
            password,
            port=house.tls_port if options.get("direct") else house.port,
            certificate=house.certificate if trusting else None,
            **options,
        )
        self._begin(client)
        return client

    def profanity(self, jid: str, password: str, *, trusting: bool = True, direct: bool = False) -> Profanity:
        """Start a profanity."""
        house = self.house
        client = Profanity(
            self.folder / f"profanity-{len(self.started)}",
            jid,
            password,
            port=house.tls_port if direct else house.port,
            certificate=house.certificate if trusting else None,
            direct=direct,
        )
        self._begin(client)
        return client

    def _begin(self, client: Client) -> None:
        self.started.append(client)
        self.ends.callback(client.close)  # before it is there, so that half a start is undone too
        client.start()
