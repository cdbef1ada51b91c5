"""Find the settings: all of them, or quickly where the server that has them can be asked."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aldis.core.service.text import path_fault
from aldis.launcher.failure import Failure

if TYPE_CHECKING:
    from aldis.launcher.settings import AldisSettings

FILES: Final = ("aldis.toml", "/etc/aldis/aldis.toml")
"""As `core.service.settings.SEARCH`, which is not imported here: pydantic costs more than all the rest of `aldis user add`."""


def load_settings(config: Path | None) -> "AldisSettings":
    """All settings, checked; a `Failure` with a line for each that is wrong."""
    from aldis.core.service.settings import SettingsError, load  # noqa: PLC0415  see FILES
    from aldis.launcher.settings import AldisSettings  # noqa: PLC0415

    try:
        return load(config, os.environ, AldisSettings)
    except SettingsError as error:
        raise Failure(*error.problems, code=2, condition="wrong-settings") from None


def quick_data_dir(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Where a running server listens for commands; None if that takes a look at all settings, such as to say what is wrong with them."""
    try:
        if "ALDIS_DATA_DIR" in environ:
            return _usable(environ["ALDIS_DATA_DIR"])
        named = config or environ.get("ALDIS_CONFIG")
        path = Path(named) if named else next((Path(name) for name in FILES if Path(name).is_file()), None)
        table = {} if path is None else tomllib.loads(path.read_bytes().decode())
        return path.parent / _usable(table["data_dir"]) if path and "data_dir" in table else Path("data")
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def _usable(text: object) -> Path:
    if not isinstance(text, str) or path_fault(text):
        raise ValueError("no path")
    return Path(text)
