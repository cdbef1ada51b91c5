"""Debian's ejabberd and Prosody, with settings that make a fair comparison: see bench/README.md."""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.processes import Child, Failed, free_ports
from bench.servers import DOMAIN, Folder
from tests.support.postgres import nobody

TEMPLATES: Final = Path(__file__).with_name("peers")


class Peer:
    """What both have in common."""

    name: str
    program: str
    template: str

    def __init__(self) -> None:
        self._folder: Folder | None = None
        self._child: Child | None = None
        self._ports = free_ports(2)

    @property
    def ports(self) -> Sequence[int]:
        """Its one port without TLS."""
        return self._ports[:1]

    @property
    def processes(self) -> dict[str, list[int]]:
        """It is one process."""
        return {self.name: [self._child.pid] if self._child else []}

    def start(self) -> None:
        """Write its settings and start it."""
        program = shutil.which(self.program)
        if program is None:
            raise Failed(f"{self.name} is not installed; as root: apt-get install -y --no-install-recommends {self.name}")
        self._folder = folder = Folder(self.name)
        certificate, key = folder.certificate()
        pem = folder.path / "both.pem"
        pem.write_bytes(certificate.read_bytes() + key.read_bytes())
        words = {"DOMAIN": DOMAIN, "FOLDER": folder.path, "PEM": pem, "CERTIFICATE": certificate, "KEY": key}
        words |= {"PORT": self._ports[0], "TLS_PORT": self._ports[1]}
        settings = folder.path / self.template.removesuffix(".in")
        settings.write_text(
            re.sub(r"@([A-Z_]+)@", lambda found: str(words.get(found[1], found[0])), (TEMPLATES / self.template).read_text())
        )
        self._child = self._run(program, folder.path, settings)
        self._child.await_port(self._ports[0])

    def _run(self, program: str, folder: Path, settings: Path) -> Child:
        raise NotImplementedError

    def stop(self) -> None:
        """End it."""
        if self._child is not None:
            self._child.stop()
        if self._folder is not None:
            self._folder.remove()


class Prosody(Peer):
    """Prosody, one process by nature."""

    name = "prosody"
    program = "prosody"
    template = "prosody.cfg.lua.in"

    def _run(self, program: str, folder: Path, settings: Path) -> Child:
        return Child([program, "--config", str(settings), "-F"], folder)


class Ejabberd(Peer):
    """ejabberd, one Erlang machine.

    Started as `ejabberdctl` does it, with the same options, but without a node name: that would need the machine's epmd.
    """

    name = "ejabberd"
    program = "ejabberdctl"
    template = "ejabberd.yml.in"

    def _run(self, program: str, folder: Path, settings: Path) -> Child:
        libraries = re.search(r"^ERL_LIBS='([^']+)'", Path(program).read_text(), re.MULTILINE)
        erl = shutil.which("erl")
        if libraries is None or erl is None:
            raise Failed(f"{program} does not say where ejabberd is; Debian's package does")
        who = nobody()
        for path in (folder, *folder.iterdir()) if who else ():
            os.chown(path, who["user"], who["group"])
        env = {
            **os.environ,
            "HOME": str(folder),
            "ERL_LIBS": libraries[1],
            "ERL_MAX_PORTS": "32000",
            "ERL_MAX_ETS_TABLES": "1400",
            "ERL_CRASH_DUMP_SECONDS": "0",
            "EJABBERD_CONFIG_PATH": str(settings),
            "EJABBERD_LOG_PATH": str(folder / "ejabberd.log"),
        }
        command = [erl, "+K", "true", "+P", "250000", "-mnesia", "dir", f'"{folder}/mnesia"', "-s", "ejabberd", "-noinput"]
        return Child(command, folder, env=env, **who)
