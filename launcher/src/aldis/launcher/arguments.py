"""What may stand on the command line; the names and exit codes are fixed, since scripts rely on them."""

import argparse
from pathlib import Path
from typing import Final

USER_ACTIONS: Final = {
    "add": "make an account",
    "passwd": "set another password",
    "disable": "let nobody in and end the sessions, but keep everything",
    "enable": "let the user in again",
    "delete": "delete the account and everything that is kept of it",
    "list": "list the accounts",
}
DEAD_ACTIONS: Final = {
    "show": "tell what is in it, but for what users wrote",
    "replay": "put it back into its queue, once what was wrong has been mended",
    "drop": "forget it for good",
}
SERVICES: Final = ("gateways", "routers", "directories")
WITH_PASSWORD: Final = frozenset({"add", "passwd"})


def parser() -> argparse.ArgumentParser:
    """The parser of the `aldis` command."""
    top = argparse.ArgumentParser(prog="aldis", description="An XMPP server. Exit codes: 0 good, 1 failed, 2 wrong usage or settings.")
    top.set_defaults(config=None, json=False)
    _everywhere(top)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _command(commands, "serve", "run the whole server in this process until it is told to stop")
    up = _command(commands, "up", "run every service as processes of their own, over a RabbitMQ and a PostgreSQL that are there")
    for service in SERVICES:
        up.add_argument(f"--{service}", type=int, metavar="N", help=f"processes of this kind, instead of the setting up.{service}")
    _user(_command(commands, "user", "make, change, delete and list accounts, whether a server is running or not"))
    config = _command(commands, "config", "look at the settings")
    actions = config.add_subparsers(dest="action", metavar="ACTION", required=True)
    _command(actions, "check", "name every wrong setting and its mend")
    _command(actions, "show", "print what is in effect and where it comes from")
    migrate = _command(commands, "migrate", "bring the database to the shape that this version needs; `serve` does so by itself")
    migrate.add_argument("--check", action="store_true", help="change nothing; exit code 1 if there is something to do")
    migrate.add_argument(
        "--after-restore", action="store_true", help="the database was restored from a backup: raise every epoch, while no process runs"
    )
    status = _command(commands, "status", "tell how the running server is")
    status.add_argument("--sessions", action="store_true", help="list the sessions; with --json they are always listed")
    _dead(_command(commands, "dead", "look after what was put aside on the broker, since nobody could handle it"))
    trace = _command(commands, "trace", "follow one stanza through the logs, or have an account's stanzas logged for a while")
    trace.add_argument("what", metavar="ID|ACCOUNT", help="trace= of a line in the log, or an account such as juliet@example.org")
    trace.add_argument("files", nargs="*", type=Path, metavar="FILE", help="logs of all processes; else standard input")
    trace.add_argument("--seconds", type=int, default=60, metavar="N", help="for how long the account's stanzas are logged; 0 ends it")
    _command(commands, "version", "print the version")
    return top


def _dead(dead: argparse.ArgumentParser) -> None:
    actions = dead.add_subparsers(dest="action", metavar="ACTION", required=True)
    _command(actions, "list", "list what was put aside, the oldest first")
    for action, text in DEAD_ACTIONS.items():
        parser = _command(actions, action, text)
        parser.add_argument("ids", nargs="*", metavar="ID", help="as `list` names it")
        if action != "show":
            parser.add_argument("--all", action="store_true", help="all of them")


def _user(user: argparse.ArgumentParser) -> None:
    actions = user.add_subparsers(dest="action", metavar="ACTION", required=True)
    for action, text in USER_ACTIONS.items():
        parser = _command(actions, action, text)
        if action == "list":
            parser.add_argument("jid", nargs="?", default="", metavar="DOMAIN", help="of this domain only")
            continue
        parser.add_argument("jid", metavar="JID", help="the account, such as juliet@example.org")
        if action in WITH_PASSWORD:
            source = parser.add_mutually_exclusive_group()
            source.add_argument("--password", help="the password; others on this machine can see it while the command runs")
            source.add_argument("--password-stdin", action="store_true", help="read the password from standard input")


def _command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=f"{text[:1].upper()}{text[1:]}.")
    _everywhere(parser)
    return parser


def _everywhere(parser: argparse.ArgumentParser) -> None:
    """Take what every command takes, before or after the command's name; suppressed, so that a later default doesn't undo it."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="the settings; else the file that ALDIS_CONFIG names, ./aldis.toml or /etc/aldis/aldis.toml",
    )
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON, for programs")
