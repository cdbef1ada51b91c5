"""`aldis trace ID [FILE …]`: one stanza through the logs; `aldis trace ACCOUNT`: have everything that it sends logged for a while."""

import argparse
import json
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from aldis.launcher.configuration import load_settings, quick_data_dir
from aldis.launcher.control_client import ask
from aldis.launcher.failure import Failure
from aldis.launcher.output import say

ID: Final = re.compile(r"(?:00-)?([0-9a-f]{32})(?:-[0-9a-f]{16}-[0-9a-f]{2})?")
"""A traceparent (W3C Trace Context), or the trace id in it."""
HUMAN: Final = re.compile(r"(\d{4}-\d\d-\d\dT[\d:.]+Z) (\w+) +(\S+)(.*)")
FIRST: Final = ("time", "level", "event", "process", "trace")
LONGEST: Final = 3600


def run(options: argparse.Namespace) -> int:
    """Follow a stanza, or begin to mark an account's."""
    if "@" in options.what:
        return _begin(options)
    found = ID.fullmatch(options.what)
    if found is None:
        raise Failure(f"{options.what}: is no trace id (32 hexadecimal digits, as trace= in the log) and no account", code=2)
    with ExitStack() as opened:
        events = sorted(_events(_read(options.files, opened), found[1]), key=lambda event: str(event.get("time", "")))
    if not events:
        mend = "stanzas that go well are logged while their sender is traced: aldis trace ACCOUNT"
        raise Failure(f"{options.what}: no line is about it; {mend}", condition="item-not-found")
    say(json.dumps({"ok": True, "events": events}) if options.json else "\n".join(_lines(events)))
    return 0


def _begin(options: argparse.Namespace) -> int:
    """Tell every gateway, by the running server or over the bus."""
    if not 0 <= options.seconds <= LONGEST:
        raise Failure(f"--seconds {options.seconds}: must be 0 to {LONGEST}", code=2)
    question = {"do": "trace", "account": options.what, "seconds": options.seconds}
    data_dir = quick_data_dir(options.config, os.environ) or load_settings(options.config).data_dir
    answer = ask(data_dir, question)
    if answer is None:
        settings = load_settings(options.config)
        if not settings.bus.url.get_secret_value():
            raise Failure(f"data_dir = {data_dir}: no server is running there", condition="not-running")
        answer = import_module("aldis.launcher.remote").trace(settings, options.what, options.seconds)
    how = f"is logged for {options.seconds} s as stanza.hop" if options.seconds else "is logged no more"
    say(json.dumps(answer) if options.json else f"{options.what}: what it sends {how}")
    return 0


def _read(files: list[Path], opened: ExitStack) -> Iterator[str]:
    if not files:
        if sys.stdin.isatty():
            raise Failure("name the log files, or pipe the log in: journalctl -u aldis | aldis trace ID", code=2)
        yield from sys.stdin
        return
    for path in files:
        try:
            yield from opened.enter_context(path.open(errors="replace"))
        except OSError as error:
            raise Failure(f"{path}: can't be read: {error.strerror}") from None


def _events(lines: Iterable[str], trace: str) -> Iterator[dict[str, Any]]:
    """Every event about the stanza, of either form of log; what stands before an event, as journalctl or Compose put it, is left out."""
    for line in lines:
        if trace in line and (event := _parsed(line)) is not None and trace in str(event.get("trace")):
            yield event


def _parsed(line: str) -> dict[str, Any] | None:
    if (start := line.find("{")) >= 0 and '"event"' in line:
        try:
            event = json.loads(line[start:])
        except ValueError:
            return None
        return event if isinstance(event, dict) else None
    if (found := HUMAN.search(line)) is None:
        return None
    event = {"time": found[1], "level": found[2], "event": found[3]}
    try:
        words = shlex.split(found[4])
    except ValueError:
        words = found[4].split()
    return event | {name: value for name, equals, value in (word.partition("=") for word in words) if equals}


def _lines(events: list[dict[str, Any]]) -> Iterator[str]:
    began = _when(events[0])
    for event in events:
        keys = "  ".join(f"{name}={value}" for name, value in event.items() if name not in FIRST and value != "")
        after = (_when(event) - began) * 1000
        yield f"{event['time']}  {after:+8.0f} ms  {event.get('process', '-'):<12}  {event['event']}  {keys}"


def _when(event: dict[str, Any]) -> float:
    try:
        return datetime.fromisoformat(str(event["time"])).timestamp()
    except (KeyError, ValueError):
        return 0.0
