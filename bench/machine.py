"""Facts about the machine, without which a figure says nothing."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any, Final

import psutil

from bench.processes import ROOT

PACKAGES: Final = ("ejabberd", "prosody", "rabbitmq-server", "postgresql")


def facts() -> dict[str, Any]:
    """What is known of it."""
    models = {line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")}
    return {
        "cores": os.cpu_count(),
        "cpu": ", ".join(sorted(models)) or platform.machine(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "commit": _said("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"),
        "packages": {name: version for name in PACKAGES if (version := _said("dpkg-query", "-W", "-f", "${Version}", name))},
    }


def _said(*command: str) -> str:
    """What a program prints; nothing if it is not there."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
