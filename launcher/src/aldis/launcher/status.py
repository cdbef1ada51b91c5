"""`aldis status`: how the running server is."""

import argparse
import json
import os
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from aldis.launcher.configuration import load_settings, quick_data_dir
from aldis.launcher.control_client import ask
from aldis.launcher.control_socket import UP_FILE
from aldis.launcher.failure import Failure
from aldis.launcher.output import say


def run(options: argparse.Namespace) -> int:
    """Ask the server and print what it says."""
    answer = _answer(options)
    say(json.dumps(answer) if options.json else "\n".join(lines(answer)))
    return 0


def _answer(options: argparse.Namespace) -> dict[str, Any]:
    sessions = options.json or options.sessions
    data_dir = quick_data_dir(options.config, os.environ) or load_settings(options.config).data_dir
    answer = ask(data_dir, {"do": "status", "sessions": sessions})
    if answer is not None:
        return answer
    settings = load_settings(options.config)
    if not settings.bus.url.get_secret_value():
        raise Failure(f"data_dir = {data_dir}: no server is running there; start one with `aldis serve`", condition="not-running")
    up = ask(data_dir, {"do": "status"}, file=UP_FILE)
    found: dict[str, Any] = import_module("aldis.launcher.remote").status(
        settings, sessions=sessions, children=up["children"] if up is not None else None
    )
    if not found["processes"] and up is None:
        raise Failure("no process of this site answers on the bus; start them with `aldis up`", condition="not-running")
    return found


def lines(answer: dict[str, Any]) -> Iterator[str]:
    """What a person wants to know, the most important first."""
    yield _first(answer)
    yield f"domains      {', '.join(answer['domains'])}"
    for child in answer.get("children", ()):
        if not child["ready"]:
            yield f"NOT READY    {child['name']}: {child['status']}"
    for process in answer.get("processes", ()):
        yield f"process      {_process(process)}"
        yield from (f"NOT READY    {process['name']}: {reason}" for reason in process["not_ready"])
    for port in answer["listening"]:
        of = f" ({port['process']})" if "process" in port else ""
        yield f"listening    {port['name']} on {port['host']} port {port['port']}{of}"
    for certificate in answer["certificates"]:
        left = certificate["expires_in_seconds"]
        yield f"certificate  {'expires in ' + length(left) if left > 0 else 'EXPIRED ' + length(-left) + ' ago'}: {certificate['path']}"
    yield f"sessions     {answer['sessions']}"
    for session in answer.get("session_list", ()):
        yield f"             {session['jid']}  from {session['peer'] or 'unknown'}"
    for shard in answer["shards"]:
        yield f"shard        {_shard(shard)}"
    if "broker" in answer:
        yield f"broker       {answer['broker']}{_problem(answer.get('broker_problem'), 'BLOCKED')}"
    yield f"database     {answer['database']}{_problem(answer.get('database_problem'), 'UNAVAILABLE')}"
    yield f"data         {answer['data_dir']}"


def _first(answer: dict[str, Any]) -> str:
    if "pid" in answer:
        return f"aldis {answer['version']}, process {answer['pid']}, up {length(answer['uptime_seconds'])}"
    return f"aldis {answer['version']}, {len(answer['processes'])} processes"


def _process(process: dict[str, Any]) -> str:
    text = f"{process['name']}: process {process['pid']} on {process['host']}, {process['version']}, up {length(process['uptime'])}"
    return f"{text}, {process['connections']} connections" if process["service"] == "gateway" else text


def _shard(shard: dict[str, Any]) -> str:
    text = f"{shard['shard']}: epoch {shard['epoch']}, owner {shard.get('process') or shard['owner'] or 'none'}"
    if shard.get("silent"):
        text += " WHICH DOES NOT ANSWER"
    if "turns" in shard:
        text += f", {shard['sessions']} sessions, {shard['held']} copies held ({shard['held_bytes']} bytes)"
        text += f", {shard['turns']} batches in work, the oldest for {shard['oldest_seconds']:.1f} s" if shard["turns"] else ", idle"
    if "waiting" in shard:
        text += ", NO QUEUE" if shard["waiting"] is None else f", {shard['waiting']} waiting"
        text += "" if shard["consumers"] else ", NOBODY CONSUMES IT"
    return text


def _problem(text: str | None, word: str) -> str:
    return f" {word}: {text}" if text else ""


def length(seconds: float) -> str:
    """A length of time in its two largest units."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next((index for index, (count, _) in enumerate(units) if count), len(units) - 1)
    return " ".join(f"{count} {unit}" for count, unit in units[first : first + 2])
