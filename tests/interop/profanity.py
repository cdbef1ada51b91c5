"""Profanity, the console client, on a terminal of its own: what is typed goes in, the screen and the log can be read."""

import os
import re
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from OpenSSL import crypto

from tests.interop.waiting import eventually

COLUMNS: Final = 180
LINES: Final = 50
PRESENCES: Final = ("Available for chat", "Online", "Away", "Extended Away", "Do not disturb", "Offline")
"""The headings of its roster, in their order."""


class Profanity:
    """One profanity with folders of its own. Everything that profanity keeps or logs lies in `folder`."""

    def __init__(self, folder: Path, jid: str, password: str, *, port: int, certificate: Path | None, direct: bool = False) -> None:
        """It connects by itself once started. `direct` for a port where TLS comes first."""
        self.name = f"profanity {jid}"
        self.jid = jid
        self.version = ""
        self.pid = 0
        self._folder = folder
        self._log, self._errors = folder / "profanity.log", folder / "errors"
        folder.mkdir()
        trusted = _trusted(folder / "trusted", certificate)
        _write(folder / "config" / "profanity" / "profrc", f"[connection]\ntls.certpath={trusted}\n[ui]\nsplash=false\nvercheck=false\n")
        _write(
            folder / "data" / "profanity" / "accounts",
            f"[{jid}]\nenabled=true\njid={jid}\nresource=profanity\npassword={password}\nserver=127.0.0.1\nport={port}\n"
            f"tls.policy={'legacy' if direct else 'force'}\npresence.last=online\npresence.login=online\n",
        )
        # A socket's path is limited to 107 bytes, and pytest's folders have long names.
        self._short = tempfile.TemporaryDirectory(prefix="aldis-")
        self._socket = Path(self._short.name) / "tmux"
        self._terminal: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.version = _version()
        # In the foreground, so that it is our child and ends with us.
        self._terminal = subprocess.Popen(
            ["tmux", "-S", self._socket, "-f", "/dev/null", "-u", "-D"],
            cwd=self._folder,
            env=self._environ(),
            stdin=subprocess.DEVNULL,
        )
        eventually(self._socket.exists, "tmux's socket")
        command = f"exec profanity --log DEBUG --logfile '{self._log}' --account '{self.jid}' 2>'{self._errors}'"
        self._tmux("new-session", "-d", "-x", str(COLUMNS), "-y", str(LINES), command)
        self.pid = int(self._tmux("list-panes", "-F", "#{pane_pid}"))

    def _environ(self) -> dict[str, str]:
        config, data = self._folder / "config", self._folder / "data"
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "XDG_CONFIG_HOME": str(config),
            "XDG_DATA_HOME": str(data),
            "LANG": "C.UTF-8",
        }

    def _tmux(self, *command: str) -> str:
        done = self._ask_tmux(*command)
        assert done.returncode == 0, f"tmux {command}: {done.stderr}"
        return done.stdout

    def _ask_tmux(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["tmux", "-S", self._socket, "-u", "-N", *command], capture_output=True, text=True, check=False, timeout=20)

    def type(self, line: str) -> None:
        """Type a line, and Enter."""
        self._tmux("send-keys", "-l", "--", line)
        self._tmux("send-keys", "Enter")

    def screen(self) -> str:
        """Give what is on its screen."""
        return self._tmux("capture-pane", "-p", "-J")

    def log(self) -> str:
        """Give what it logged, with all stanzas that it sent and received."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def shows(self, pattern: str) -> re.Match[str]:
        """Wait until this is on the screen."""
        return eventually(lambda: re.search(pattern, self.screen(), re.MULTILINE), f"{pattern!r} on the screen of {self.name}")

    def lists(self, jid: str, presence: str) -> None:
        """Wait until the roster beside its console has a contact under this heading ("Online", "Extended Away" …)."""
        eventually(lambda: self._heading(jid) == presence, f"{jid} as {presence} in the roster of {self.name}")

    def _heading(self, jid: str) -> str:
        lines = self.screen().splitlines()
        column = lines[1].find(PRESENCES[0]) if len(lines) > 1 else -1
        heading = ""
        for line in lines[1:] if column > 0 else []:
            entry = line[column:].strip()
            if entry.rpartition(" (")[0] in PRESENCES:
                heading = entry.rpartition(" (")[0]
            elif entry == jid:
                return heading
        return ""

    def logged(self, pattern: str) -> re.Match[str]:
        """Wait until this is in the log."""
        return eventually(lambda: re.search(pattern, self.log(), re.MULTILINE), f"{pattern!r} in the log of {self.name}")

    def transcript(self) -> str:
        screen = self._ask_tmux("capture-pane", "-p", "-J").stdout.rstrip() or "(none)"
        errors = self._errors.read_text(errors="replace") if self._errors.exists() else ""
        return f"{screen}\n── log ──\n{self.log()[-12_000:]}\n── stderr ──\n{errors}"

    def close(self) -> None:
        """End it without a word, as if its window was closed, and then its terminal."""
        terminal, self._terminal = self._terminal, None
        if terminal is not None:
            try:
                if self.pid and not self._ask_tmux("has-session").returncode:
                    os.kill(self.pid, signal.SIGHUP)
                    eventually(lambda: self._ask_tmux("has-session").returncode, f"the end of {self.name}")
            finally:
                terminal.terminate()
                terminal.wait(20)
        self._short.cleanup()


def _version() -> str:
    done = subprocess.run(["profanity", "--version"], capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.partition("\n")[0].lower().replace(",", "").replace("version ", "")


def _trusted(folder: Path, certificate: Path | None) -> Path:
    """Make a folder of trusted certificates as OpenSSL reads them: named by the hash of their subject."""
    folder.mkdir()
    if certificate is None:
        return folder
    pem = certificate.read_bytes()
    (folder / f"{crypto.load_certificate(crypto.FILETYPE_PEM, pem).subject_name_hash():08x}.0").write_bytes(pem)
    return folder


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(text)
