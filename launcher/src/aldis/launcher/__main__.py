"""The `aldis` command, so small that Ctrl-C finds nothing half loaded: whatever takes time is imported within the `try`."""

import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130


def main() -> int:
    """Do what the command line says; the exit code."""
    try:
        signal.signal(signal.SIGINT, _interrupted)
        from aldis.launcher.command import run  # noqa: PLC0415  see above

        return run()
    except KeyboardInterrupt:
        if sys.stderr is not None:
            sys.stderr.write("\n")
        return INTERRUPTED


def _interrupted(number: int, frame: FrameType | None) -> None:
    """End at once where modules load, which would swallow the exception or wrap it in one of theirs; raise it elsewhere."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            os._exit(INTERRUPTED)
        frame = frame.f_back
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
