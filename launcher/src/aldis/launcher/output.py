"""What commands print: all of it or a reason, also where standard output is closed, or a full disk."""

import os
import sys

from aldis.launcher.failure import Failure


def say(text: str) -> None:
    """Print text and a line end at once; raises `Failure` if it can't be written, BrokenPipeError if nobody reads."""
    _write(f"{text}\n" if text else "")


def flush() -> None:
    """Let out what somebody else printed."""
    _write("")


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what still waits would be tried, and fail, at the end again
        raise Failure(f"standard output can't be written: {error.strerror}", condition="no-output") from None


def open_what_is_closed() -> None:
    """Put /dev/null in place of standard streams that were closed (`>&-`).

    Python has None instead of them, and the next file that is opened, such as the database, would get their number.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is this one
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115  for the life of the process
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
