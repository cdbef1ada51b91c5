"""`aldis user` as scripts and people call it, with a running server and without one."""

import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.launched import SECONDS, Server, Site

JULIET = "juliet@localhost"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Server]]:
    """A server for tests that don't stop it."""
    site = Site(tmp_path_factory.mktemp("running"))
    with site.serving() as server:
        yield site, server


@pytest.fixture(scope="module", params=["with a server", "without a server"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A place where accounts can be made."""
    if request.param == "with a server":
        found: tuple[Site, Server] = request.getfixturevalue("running")
        return found[0]
    return Site(tmp_path_factory.mktemp("alone"))


def accounts(site: Site, *domain: str) -> dict[str, bool]:
    """List the accounts: is each disabled?"""
    return {account["jid"]: account["disabled"] for account in site.json("user", "list", *domain)["accounts"]}


def test_an_account_is_made_changed_and_deleted(site: Site) -> None:
    assert site.aldis("user", "add", JULIET, "--password", "Rosaline").stdout == f"{JULIET}: added\n"
    assert accounts(site) == {JULIET: False}
    assert site.json("user", "passwd", JULIET, "--password-stdin", stdin="R3\n") == {"ok": True, "action": "passwd", "account": JULIET}
    site.aldis("user", "disable", JULIET)
    assert accounts(site) == {JULIET: True}
    assert site.aldis("user", "list").stdout == f"{JULIET}  disabled\n"
    site.aldis("user", "enable", JULIET)
    assert accounts(site, "localhost") == {JULIET: False}
    site.aldis("user", "delete", JULIET)
    assert accounts(site) == {}


@pytest.mark.parametrize(
    ("arguments", "condition", "words"),
    [
        (("disable", "nobody@localhost"), "item-not-found", "there is no account nobody@localhost"),
        (("add", "nobody@elsewhere.lit", "--password", "x"), "not-allowed", "domains"),
        (("add", "no body@localhost", "--password", "x"), "jid-malformed", "no body@localhost"),
        (("add", "nobody@localhost", "--password", ""), "not-acceptable", "empty"),
        (("list", "elsewhere.lit"), "item-not-found", "elsewhere.lit"),
    ],
)
def test_a_refusal_is_one_line_and_exit_code_1(site: Site, arguments: tuple[str, ...], condition: str, words: str) -> None:
    done = site.aldis("user", *arguments, code=1)
    assert done.stdout == ""
    assert done.stderr.startswith("aldis: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert site.json("user", *arguments, code=1)["error"] == condition


def test_an_account_that_is_there_is_not_made_again(running: tuple[Site, Server]) -> None:
    site, _ = running
    site.aldis("user", "add", "tybalt@localhost", "--password", "x")
    assert "already" in site.aldis("user", "add", "tybalt@localhost", "--password", "y", code=1).stderr
    site.aldis("user", "delete", "tybalt@localhost")


@pytest.mark.parametrize("stdin", ["one\ntwo\n", "x" * 5000])
def test_a_password_on_standard_input_is_one_line(running: tuple[Site, Server], stdin: str) -> None:
    assert "one line" in running[0].aldis("user", "add", JULIET, "--password-stdin", stdin=stdin, code=2).stderr


def test_without_a_terminal_a_password_must_be_given(running: tuple[Site, Server]) -> None:
    done = running[0].aldis("user", "add", JULIET, code=2)
    assert "--password-stdin" in done.stderr
    assert running[0].json("user", "add", JULIET, code=2)["error"] == "no-password"


@pytest.mark.parametrize("arguments", [("add",), ("frobnicate", JULIET), ("list", "a", "b"), ("disable", JULIET, "--password", "x"), ()])
def test_wrong_usage_is_exit_code_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert "usage: aldis" in Site(tmp_path / "site").aldis("user", *arguments, code=2).stderr


def test_on_a_terminal_the_password_is_asked_for_twice_and_not_shown(running: tuple[Site, Server]) -> None:
    site, _ = running
    assert "the two passwords differ" in at_a_terminal(site, "user", "add", "romeo@localhost", answers=["one", "two"])
    shown = at_a_terminal(site, "user", "add", "romeo@localhost", answers=["Mercutio", "Mercutio"])
    assert "romeo@localhost: added" in shown
    assert "Mercutio" not in shown
    site.aldis("user", "delete", "romeo@localhost")


def at_a_terminal(site: Site, *arguments: str, answers: list[str]) -> str:
    """Run a command on a terminal and answer its prompts; what was shown."""
    ours, theirs = pty.openpty()
    process = site.start(*arguments, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown, waiting, until = "", list(answers), time.monotonic() + SECONDS
    while time.monotonic() < until:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                shown += os.read(ours, 4096).decode()
            except OSError:  # Linux's way to say that the other side is closed
                break
        if waiting and shown.rstrip(" ").count(":") > len(answers) - len(waiting) and shown.endswith(": "):
            os.write(ours, waiting.pop(0).encode() + b"\n")
            shown += "\n"
    process.wait(SECONDS)
    os.close(ours)
    return shown


def test_what_a_server_without_it_was_told_is_there_when_it_runs(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    done = site.aldis("user", "add", JULIET, "--password", "x")
    assert f"no server is running; used the database in {site.data}" in done.stderr
    site.aldis("user", "add", "romeo@localhost", "--password", "x")
    site.aldis("user", "delete", "romeo@localhost")
    with site.serving() as server:
        assert accounts(site) == {JULIET: False}
        server.wait_for("account.forgotten account=romeo@localhost service=router")
        site.aldis("user", "add", "romeo@localhost", "--password", "x")


def test_commands_without_a_server_take_turns(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    names = [f"nurse{n}@localhost" for n in range(3)]
    processes = [site.start("user", "add", name, "--password", "x") for name in names]
    for process in processes:
        process.communicate(timeout=SECONDS)
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert accounts(site) == dict.fromkeys(names, False)


def test_a_command_given_while_a_server_starts_or_stops_is_done(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    process = site.start("serve", stderr=subprocess.DEVNULL)
    until = time.monotonic() + SECONDS
    while not (site.data / "aldis.lock").exists() and time.monotonic() < until:
        time.sleep(0.01)
    site.aldis("user", "add", JULIET, "--password", "x")
    process.terminate()
    site.aldis("user", "add", "romeo@localhost", "--password", "x")
    process.communicate(timeout=SECONDS)
    assert set(accounts(site)) == {JULIET, "romeo@localhost"}


def test_the_config_option_may_stand_before_and_after_the_command(tmp_path: Path, running: tuple[Site, Server]) -> None:
    file = str(running[0].path / "aldis.toml")
    (tmp_path / "elsewhere").mkdir()
    site = Site(tmp_path / "elsewhere")
    for arguments in (("--config", file, "user", "list"), ("user", "--config", file, "list"), ("user", "list", "--config", file)):
        site.aldis(*arguments, ALDIS_DATA_DIR=str(running[0].data))
    assert not site.data.exists()


def test_a_reader_that_leaves_early_gets_no_traceback(running: tuple[Site, Server]) -> None:
    site, _ = running
    process = site.start("config", "show")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(SECONDS) == 1
