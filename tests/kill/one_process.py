"""`aldis serve` as the kill test runs it: one process, SQLite, open to registration, on free ports of the loopback."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.kill.running import Running, port_below_the_others

DOMAIN: Final = "kill.example"
LIMITS: Final = """
[limits]
connections_per_address = 0
connections_per_address_per_minute = 0
auth_failures_per_minute = 0
auth_failures_per_address_per_minute = 0
[registration]
enabled = true
attempts_per_hour = 0
[directory]
iterations = 4096
[log]
level = "info"
"""


def environ(**more: str) -> dict[str, str]:
    """The environment without settings of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ALDIS_") and name != "PYTHONDONTWRITEBYTECODE"}
    bytecode = Path(__file__).resolve().parents[2] / "build" / "bytecode"
    return {**kept, "PYTHONPYCACHEPREFIX": str(bytecode), **more}


def one_process(folder: Path, resume_seconds: int, more: Mapping[str, str] | None = None) -> Running:
    """Prepare the server; `more` is added to its environment."""
    port, figures = port_below_the_others(), port_below_the_others()
    (folder / "aldis.toml").write_text(
        f'domains = ["{DOMAIN}"]\n[c2s]\nhost = "127.0.0.1"\nport = {port}\ntls_port = 0\nrequire_tls = false\nplain_without_tls = true\n'
        f"[sm]\nresume_seconds = {resume_seconds}\n[metrics]\nport = {figures}\n{LIMITS}"
    )
    command = [sys.executable, "-m", "aldis.launcher", "serve"]
    return Running("serve", command, folder=folder, environ=environ(**(more or {})), ports=[port], figures=figures)
