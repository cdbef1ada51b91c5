"""Has a server under test break a promise: a kill test that does not notice proves nothing."""

import os
from pathlib import Path

FOLDER = Path(__file__).with_name("broken")


def breaking(promise: str) -> dict[str, str]:
    """What a process finds in its environment to break this promise, see `broken/sitecustomize.py`."""
    path = os.pathsep.join(filter(None, [str(FOLDER), os.environ.get("PYTHONPATH")]))
    return {"KILL_SABOTAGE": promise, "PYTHONPATH": path}
