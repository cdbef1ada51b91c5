"""`aldis config check` and `aldis config show`."""

import argparse
import json
import os
from pathlib import Path

from aldis.launcher.configuration import load_settings
from aldis.launcher.output import say


def run(options: argparse.Namespace) -> int:
    """Name what is wrong, or print what is in effect."""
    settings = load_settings(options.config)
    if options.action == "check":
        from aldis.launcher import preflight, up  # noqa: PLC0415  as heavy as the settings are

        if settings.bus.url.get_secret_value():
            up.check(settings)
        preflight.check(settings, code=2)
        say(json.dumps({"ok": True}) if options.json else f"{_source(options.config)}: no problems")
        return 0
    from aldis.core.service.settings import show  # noqa: PLC0415  pydantic is heavy

    shown = show(settings)
    if options.json:
        say(json.dumps({"ok": True, "settings": {item.name: {"value": item.value, "origin": item.origin} for item in shown}}))
    else:
        say("\n".join(item.line() for item in shown))
    return 0


def _source(config: Path | None) -> str:
    from aldis.core.service.settings import SEARCH  # noqa: PLC0415

    named = config or os.environ.get("ALDIS_CONFIG") or next((path for path in SEARCH if path.is_file()), None)
    return str(named) if named else "no settings file, defaults and environment"
