"""`aldis user …`: accounts, through the running server, or without one on the store itself."""

import argparse
import getpass
import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aldis.core.service.text import one_line
from aldis.launcher.arguments import WITH_PASSWORD
from aldis.launcher.configuration import load_settings, quick_data_dir
from aldis.launcher.control_client import ask
from aldis.launcher.failure import Failure
from aldis.launcher.lock import Held, locked
from aldis.launcher.output import say

if TYPE_CHECKING:
    from aldis.launcher.settings import AldisSettings

PATIENCE: Final = 15.0
"""Seconds to wait for a server that starts or stops, and for another command."""
MOST_PASSWORD: Final = 4096
DONE: Final = {"add": "added", "passwd": "has another password", "disable": "disabled", "enable": "enabled", "delete": "deleted"}


def run(options: argparse.Namespace) -> int:
    """Do it, and say so."""
    question: dict[str, Any] = {"do": "user", "action": options.action, "account": _text(options.jid, "the account")}
    if options.action in WITH_PASSWORD:
        question["password"] = _password(options)
    answer = _answer(options.config, question)
    if options.json:
        say(json.dumps(answer))
    elif options.action == "list":
        say("\n".join(f"{account['jid']}{'  disabled' if account['disabled'] else ''}" for account in answer["accounts"]))
    else:
        say(f"{one_line(options.jid)}: {DONE[options.action]}")
    return 0


def _answer(config: Path | None, question: dict[str, Any]) -> dict[str, Any]:
    """From the running server, else from the store; a server that is just starting or stopping is waited for."""
    data_dir = quick_data_dir(config, os.environ)
    if data_dir is not None and (answer := ask(data_dir, question)) is not None:
        return answer
    settings = load_settings(config)
    if settings.bus.url.get_secret_value():
        found: dict[str, Any] = import_module("aldis.launcher.remote").user(settings, question)
        return found
    until = time.monotonic() + PATIENCE
    while (answer := ask(settings.data_dir, question)) is None:
        try:
            return _without_server(settings, question)
        except Held as held:
            if not held.by_server:
                raise
            if time.monotonic() > until:
                raise Failure(f"{held.where}: the server there takes no commands; see its log", condition="no-answer") from None
        time.sleep(0.2)
    return answer


def _without_server(settings: "AldisSettings", question: dict[str, Any]) -> dict[str, Any]:
    with locked(settings.data_dir, "aldis user", patience=PATIENCE):
        from aldis.core.service.settings import masked  # noqa: PLC0415  loaded by now, but not where a server answers

        found: dict[str, Any] = import_module("aldis.launcher.offline").run(settings, question)
    where = f"in {settings.data_dir.absolute()}" if settings.database.is_file else f"at {masked(settings.database.url)}"
    print(f"aldis: no server is running; used the database {where}", file=sys.stderr)
    return found


def _password(options: argparse.Namespace) -> str:
    if options.password is not None:
        return _text(options.password, "the password")
    if options.password_stdin:
        return _from_stdin()
    if not sys.stdin.isatty():
        raise Failure(
            "there is no terminal to ask for the password; give --password-stdin (or --password)", code=2, condition="no-password"
        )
    try:
        password = getpass.getpass(f"Password for {one_line(options.jid)}: ")
        if getpass.getpass("The same again: ") != password:
            raise Failure("the two passwords differ; nothing was changed")
    except EOFError:
        raise Failure("no password was given; nothing was changed") from None
    return _text(password, "the password")


def _from_stdin() -> str:
    raw = sys.stdin.buffer.read(MOST_PASSWORD + 1)
    line = raw.removesuffix(b"\n").removesuffix(b"\r")
    if len(raw) > MOST_PASSWORD or b"\n" in line:
        raise Failure("what is on standard input is more than one line with a password", code=2, condition="no-password")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise Failure("the password on standard input is not UTF-8", code=2, condition="no-password") from None


def _text(argument: str, what: str) -> str:
    """An argument that is text; Python lets other bytes through as lone surrogates."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        raise Failure(f"{what} is not UTF-8", code=2, condition="bad-request") from None
    return argument
