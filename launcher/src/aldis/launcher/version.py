"""`aldis version`."""

import argparse
import json
from importlib.metadata import version

from aldis.launcher.output import say


def run(options: argparse.Namespace) -> int:
    """Print the version."""
    text = installed()
    say(json.dumps({"ok": True, "version": text}) if options.json else f"aldis {text}")
    return 0


def installed() -> str:
    """The version of the installed launcher, which is the version of all of it."""
    return version("aldis-launcher")
