"""What the `aldis` command does where its words can't go, or when it is interrupted before it said any."""

import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.launched import ALDIS, SECONDS, Site

FULL = Path("/dev/full")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A place without a server."""
    return Site(tmp_path / "site")


def shell(site: Site, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of a shell, in which `aldis` is the command."""
    return subprocess.run(
        ["sh", "-c", f'aldis() {{ "{ALDIS}" "$@"; }}; {line}'],
        cwd=site.path,
        env=site.environ,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("command", ["config show", "config check", "version", "migrate --check", "user list", "--help"])
def test_a_full_disk_under_standard_output_is_one_line(site: Site, command: str) -> None:
    done = shell(site, f"aldis {command} >/dev/full")
    assert done.stderr.splitlines()[-1] == "aldis: standard output can't be written: No space left on device"
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert done.returncode == 1


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_a_failure_that_can_not_be_printed_as_json_is_told_all_the_same(site: Site) -> None:
    done = shell(site, "aldis --json config check --config missing.toml >/dev/full")
    assert done.returncode == 2
    assert [line.partition(":")[2][:13] for line in done.stderr.splitlines()] == [" missing.toml", " standard out"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("aldis user list >&-", 0),
        ("aldis user list >&- 2>&-", 0),
        ("aldis config show >&-", 0),
        ("aldis --json config check --config missing.toml >&-", 2),
        ("aldis config check --config missing.toml 2>&-", 2),
        ("aldis user add juliet@localhost --password-stdin <&- >&- 2>&-", 1),
        ("aldis config show | head -0; true", 0),
    ],
)
def test_a_closed_stream_is_served_with_silence(site: Site, line: str, code: int) -> None:
    done = shell(site, line)
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr in ("", "aldis: no server is running; used the database in " + str(site.data) + "\n")


def test_ctrl_c_while_modules_load_ends_it_without_a_word(site: Site) -> None:
    """From a moment after the interpreter itself has started, before which the command has no say."""
    for command in (["serve"], ["config", "check"]):
        for step in range(6):
            process = site.start(*command)
            time.sleep(0.06 + 0.05 * step)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=SECONDS)
            assert "Traceback" not in errors
            assert process.returncode in (0, 130, -signal.SIGINT), errors


def test_a_hostile_argument_stays_on_its_line(site: Site) -> None:
    done = site.aldis("user", "add", "a\x1b[2J\nb@localhost", "--password", "x", code=1)
    *_, line = done.stderr.splitlines()
    assert "a\\u001b[2J\\nb@localhost" in line
    assert done.stderr.replace("\n", "").isprintable()
