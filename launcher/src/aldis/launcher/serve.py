"""`aldis serve`: the whole server in this process, until it is told to stop."""

import argparse
from importlib import import_module
from typing import Final

from aldis.launcher.configuration import load_settings
from aldis.launcher.failure import Failure
from aldis.launcher.lock import SERVE, locked

PATIENCE: Final = 15.0
"""Seconds to wait for a command that works on the store, such as `aldis user add`."""
MAY_PASS: Final = 1
"""The exit code where another start may do better, since a disk or a name server was not there yet; with 2 systemd does not try."""


def run(options: argparse.Namespace) -> int:
    """Serve; what can't be served is told before the services are imported, which takes a second or two."""
    settings = load_settings(options.config)
    if settings.bus.url.get_secret_value():
        what = "bus.url: `aldis serve` is one process and has its bus in memory; leave it out, or use `aldis up`"
        raise Failure(what, code=2, condition="wrong-settings")
    import_module("aldis.launcher.preflight").check(settings, code=MAY_PASS)
    with locked(settings.data_dir, SERVE, patience=PATIENCE):
        return int(import_module("aldis.launcher.serving").serve(settings, options))
