"""`aldis serve` from its start to its end, however that comes."""

import os
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from aldis.gateway.net.certificates import ensure_self_signed
from tests.integration.launched import ALDIS, SECONDS, Site

WITHOUT_POWERS = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-dac_override,-dac_read_search", "--")
"""Runs a command of root's that may do with files what their modes say (util-linux)."""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A place for a server of its own."""
    return Site(tmp_path / "site")


def refusal(site: Site, *arguments: str, code: int = 1) -> str:
    """Start a server that can't start; the line for people, which is the last one."""
    done = site.aldis("serve", *arguments, code=code)
    assert done.stdout == ""
    *_, last = done.stderr.splitlines()
    assert last.startswith("aldis: ")
    return last


def test_it_says_where_to_connect_and_how_to_add_a_user_and_that_works(site: Site) -> None:
    process = site.start("serve")
    assert process.stdout is not None
    told = []
    for line in process.stdout:
        told.append(line)
        if "stop " in line:
            break
    text = "".join(told)
    assert f"127.0.0.1, port {site.port} (STARTTLS) or {site.tls_port} (TLS), as a user of localhost" in text
    assert "self-signed certificate" in text
    assert str(site.data) in text
    command = text.partition("add user")[2].partition("\n")[0].strip()
    assert command.endswith("user add juliet@localhost")
    program, *arguments = shlex.split(command)
    assert shutil.which(program) == str(ALDIS)
    site.aldis(*arguments, "--password", "x")
    process.send_signal(signal.SIGINT)
    assert "Traceback" not in process.communicate(timeout=SECONDS)[1]
    assert process.returncode == 0


def test_the_first_start_makes_a_private_data_directory_with_all_that_it_needs(site: Site) -> None:
    with site.serving():
        assert site.data.stat().st_mode & 0o777 == 0o700
        modes = {path.name: path.stat().st_mode & 0o777 for path in site.data.iterdir()}
    assert {"aldis.db", "seal.key", "self-signed.crt", "self-signed.key", "control.sock", "aldis.lock"} <= set(modes)
    assert {mode for name, mode in modes.items() if name != "self-signed.crt"} == {0o600}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(site: Site, number: signal.Signals) -> None:
    with site.serving() as server:
        assert server.stop(number) == 0
        assert f"process.stopping reason={number.name}" in server.log()
        assert "process.stopped" in server.log()
        assert "Traceback" not in server.log()
    assert not (site.data / "control.sock").exists()


def test_sighup_loads_the_certificate_again_and_changes_nothing_else(site: Site) -> None:
    with site.serving() as server:
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("reload.done part=certificate")
        assert site.json("status")["pid"] == server.process.pid


def test_after_kill_9_it_starts_again_with_everything_that_was_said_to_be_done(site: Site) -> None:
    with site.serving() as server:
        site.aldis("user", "add", "juliet@localhost", "--password", "x")
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    assert (site.data / "control.sock").is_socket()
    assert site.aldis("status", code=1).stderr.endswith("no server is running there; start one with `aldis serve`\n")
    assert site.aldis("user", "list").stdout == "juliet@localhost\n"
    with site.serving():
        status = site.json("status")
        assert status["shards"][0]["epoch"] == 2
        with sqlite3.connect(site.data / "aldis.db") as database:
            assert database.execute("SELECT count(*) FROM shards_members WHERE kind = 'gateway'").fetchone() == (1,)
        database.close()


def test_a_second_server_on_the_same_data_is_refused(site: Site) -> None:
    with site.serving() as server:
        assert (
            refusal(site)
            == f"aldis: data_dir = data: another server uses it (process {server.process.pid}); stop it, or set another data_dir"
        )
        assert "another server uses it" in site.aldis("migrate", code=1).stderr
        assert site.json("status")["ok"]


def test_a_port_that_is_taken_is_named_with_its_setting(site: Site) -> None:
    with socket.create_server(("127.0.0.1", site.port)):
        assert refusal(site).startswith(f"aldis: c2s.port: cannot listen on 127.0.0.1 port {site.port}: another program listens there")
    with site.serving():
        pass


def test_a_metrics_port_that_is_taken_is_named_with_its_setting(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        file = site.path / "aldis.toml"
        file.write_text(file.read_text().replace("[metrics]\nport = 0", f"[metrics]\nport = {port}"))
        assert (
            refusal(site)
            == f"aldis: metrics.port = {port}: cannot listen on 127.0.0.1: address already in use; set another port, or 0 for none"
        )


def test_several_shards_in_one_process_are_refused(site: Site) -> None:
    site.write("[bus]\nshards = 4")
    assert "bus.shards = 4 (aldis.toml): one process holds 1 shard; leave it out" in refusal(site, code=2)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('domains = ["exa mple"]', "domains"),
        ("data_dir = 5", "data_dir = 5 (aldis.toml): must be text in quotes; use"),
        ('data_dri = "x"', "did you mean data_dir?"),
        ("x = [", "aldis.toml: line "),
        ("[tls]\ncertificate = 'cert.pem'", "tls.key"),
    ],
)
def test_a_wrong_setting_is_one_line_with_its_mend_and_exit_code_2(site: Site, more: str, words: str) -> None:
    site.write(more)
    assert words in refusal(site, code=2)
    assert words in site.aldis("config", "check", code=2).stderr
    assert words in site.aldis("user", "list", code=2).stderr
    assert words in site.json("config", "check", code=2)["problems"][0]
    assert not site.data.exists()


@pytest.mark.parametrize(
    ("certificate", "key", "words"),
    [
        ("missing.crt", "a.key", "tls.certificate: missing.crt does not exist; "),
        ("a.crt", "missing.key", "tls.key: missing.key does not exist; "),
        ("aldis.toml", "a.key", "tls.certificate: aldis.toml is not PEM; "),
        ("a.crt", "aldis.toml", "tls.key: aldis.toml is not a PEM private key; "),
        ("a.crt", "b.key", "tls.key: b.key does not belong to the certificate in a.crt; "),
    ],
)
def test_a_certificate_that_can_not_be_used_is_named_before_anything_is_made(site: Site, certificate: str, key: str, words: str) -> None:
    for name in ("a", "b"):
        made = ensure_self_signed(site.path / name, ["localhost"])
        for path, suffix in zip(made, ("crt", "key"), strict=True):
            path.rename(site.path / f"{name}.{suffix}")
    site.write(f"[tls]\ncertificate = '{certificate}'\nkey = '{key}'")
    assert refusal(site).startswith(f"aldis: {words}")
    assert site.aldis("config", "check", code=2).stderr.startswith(f"aldis: {words}")
    assert not site.data.exists()
    site.write("[tls]\ncertificate = 'a.crt'\nkey = 'a.key'")
    assert site.aldis("config", "check").stdout == "aldis.toml: no problems\n"


@pytest.mark.parametrize("host", ["300.0.0.1", "a" * 64, "a\\u0000b", " "])
def test_a_host_that_is_none_is_named(site: Site, host: str) -> None:
    file = site.path / "aldis.toml"
    file.write_text(file.read_text().replace("127.0.0.1", host))
    for done in (site.aldis("serve", code=1), site.aldis("config", "check", code=2)):
        assert done.stderr.startswith("aldis: c2s.host = ")
        assert done.stderr.count("\n") == 1
    assert not site.data.exists()


def test_a_database_that_is_none_is_named(site: Site) -> None:
    site.data.mkdir(mode=0o700)
    (site.data / "aldis.db").write_text("this is no database, however long it may be " * 100)
    assert refusal(site).startswith("aldis: database.url = sqlite:///data/aldis.db: file is not a database")
    assert "database.url = " in site.aldis("user", "list", code=1).stderr


def test_a_database_of_a_newer_version_is_not_touched(site: Site) -> None:
    site.aldis("migrate")
    with sqlite3.connect(site.data / "aldis.db") as database:
        database.execute("INSERT INTO router_migrations VALUES (9999, 'x', 0)")
    database.close()
    assert "start the newer program" in refusal(site)


def test_a_data_directory_that_can_not_be_made_is_named(site: Site) -> None:
    (site.path / "file").write_text("")
    site.write('data_dir = "file/data"')
    assert refusal(site).startswith("aldis: data_dir = file/data: can't be made: Not a directory;")


def test_a_seal_key_of_the_wrong_size_is_named(site: Site) -> None:
    site.data.mkdir(mode=0o700)
    (site.data / "seal.key").write_bytes(b"short")
    assert "seal.key holds no key" in refusal(site)


def test_a_data_directory_that_lets_nobody_write_is_named(site: Site) -> None:
    """Root writes everywhere but without the capabilities for it, as under systemd's `CapabilityBoundingSet`."""
    site.data.mkdir(mode=0o500)
    done = subprocess.run(
        [*(WITHOUT_POWERS if os.geteuid() == 0 else ()), ALDIS, "serve"],
        cwd=site.path,
        env=site.environ,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.stderr == "aldis: data_dir = data: aldis.lock in it can't be opened: Permission denied; mend its permissions\n"
    assert done.returncode == 1


def test_a_long_path_of_the_data_directory_is_no_hindrance(site: Site) -> None:
    long = site.path / ("d" * 120)
    site.write(f'data_dir = "{long}"')
    with site.serving():
        assert site.json("status")["data_dir"] == str(long)
        site.aldis("user", "add", "juliet@localhost", "--password", "x")


def test_a_signal_while_it_is_starting_ends_it_without_a_traceback(site: Site) -> None:
    for delay in (0.1, 0.3, 0.5):
        process = site.start("serve")
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=SECONDS)
        assert "Traceback" not in errors
        assert process.returncode in (0, 130)


def test_a_standard_output_that_is_closed_does_not_stop_it(site: Site) -> None:
    process = site.start("serve")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert any("process.ready" in line for line in process.stderr)
    process.terminate()
    process.stderr.close()
    assert process.wait(SECONDS) == 0
