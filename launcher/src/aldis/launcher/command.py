"""Run one command: one line for whatever an operator can mend, and an exit code for scripts.

Each command is imported when it is asked for: what serves costs a second to import, what asks a running server almost nothing.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from aldis.core.service.text import one_line
from aldis.launcher.arguments import parser
from aldis.launcher.failure import Failure
from aldis.launcher.output import flush, open_what_is_closed, say

Command = Callable[[argparse.Namespace], int]


def run(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; the exit code."""
    open_what_is_closed()
    try:
        return _run(arguments)
    except BrokenPipeError:  # whoever read has what he wanted: `aldis user list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(arguments: Sequence[str] | None) -> int:
    as_json = False
    try:
        options = _parsed(arguments)
        as_json = options.json
        command: Command = import_module(f"aldis.launcher.{options.command}").run
        return command(options)
    except Failure as failure:
        return _tell(failure, as_json=as_json)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    try:
        return parser().parse_args(arguments)
    except SystemExit:  # usage or help was printed, perhaps in vain
        flush()
        raise


def _tell(failure: Failure, *, as_json: bool) -> int:
    lines = [one_line(line) for line in failure.lines]
    if as_json:
        try:
            say(json.dumps({"ok": False, "error": failure.condition, "text": "; ".join(lines), "problems": lines}))
        except Failure as worse:
            lines += worse.lines
        else:
            return failure.code
    sys.stderr.write("".join(f"aldis: {line}\n" for line in lines))
    return failure.code
