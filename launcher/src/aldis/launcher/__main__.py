"""The `aldis` command: one line for whatever an operator can mend, and an exit code for scripts.

Each command is imported when it is asked for: what serves costs a second to import, what asks a running server almost nothing.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final

from aldis.launcher.arguments import parser
from aldis.launcher.failure import Failure

INTERRUPTED: Final = 130

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; the exit code."""
    options = parser().parse_args(arguments)
    try:
        run: Command = import_module(f"aldis.launcher.{options.command}").run
        code = run(options)
        sys.stdout.flush()
    except Failure as failure:
        return _tell(failure, as_json=options.json)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read has what he wanted: `aldis user list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _tell(failure: Failure, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"ok": False, "error": failure.condition, "text": "; ".join(failure.lines), "problems": failure.lines}))
    else:
        sys.stderr.write("".join(f"aldis: {line}\n" for line in failure.lines))
    return failure.code


if __name__ == "__main__":
    sys.exit(main())
