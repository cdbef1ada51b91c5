"""`aldis status`: how the running server is."""

import argparse
import json
import os
from collections.abc import Iterator
from typing import Any

from aldis.launcher.configuration import load_settings, quick_data_dir
from aldis.launcher.control_client import ask
from aldis.launcher.failure import Failure
from aldis.launcher.output import say


def run(options: argparse.Namespace) -> int:
    """Ask the server and print what it says."""
    data_dir = quick_data_dir(options.config, os.environ) or load_settings(options.config).data_dir
    answer = ask(data_dir, {"do": "status", "sessions": options.json or options.sessions})
    if answer is None:
        raise Failure(f"data_dir = {data_dir}: no server is running there; start one with `aldis serve`", condition="not-running")
    say(json.dumps(answer) if options.json else "\n".join(lines(answer)))
    return 0


def lines(answer: dict[str, Any]) -> Iterator[str]:
    """What a person wants to know, the most important first."""
    yield f"aldis {answer['version']}, process {answer['pid']}, up {length(answer['uptime_seconds'])}"
    yield f"domains      {', '.join(answer['domains'])}"
    for port in answer["listening"]:
        yield f"listening    {port['name']} on {port['host']} port {port['port']}"
    for certificate in answer["certificates"]:
        left = certificate["expires_in_seconds"]
        yield f"certificate  {'expires in ' + length(left) if left > 0 else 'EXPIRED ' + length(-left) + ' ago'}: {certificate['path']}"
    yield f"sessions     {answer['sessions']}"
    for session in answer.get("session_list", ()):
        yield f"             {session['jid']}  from {session['peer'] or 'unknown'}"
    for shard in answer["shards"]:
        yield f"shard        {shard['shard']}: epoch {shard['epoch']}, owner {shard['owner'] or 'none'}"
    problem = answer.get("database_problem")
    yield f"database     {answer['database']}{f' UNAVAILABLE: {problem}' if problem else ''}"
    yield f"data         {answer['data_dir']}"


def length(seconds: float) -> str:
    """A length of time in its two largest units."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next((index for index, (count, _) in enumerate(units) if count), len(units) - 1)
    return " ".join(f"{count} {unit}" for count, unit in units[first : first + 2])
