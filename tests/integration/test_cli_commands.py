"""The commands beside `aldis user`: settings, migrations, status, version; for people and for programs."""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.integration.launched import Server, Site


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Server]]:
    """A server for tests that don't stop it."""
    site = Site(tmp_path_factory.mktemp("running"), 'domains = ["capulet.lit", "montague.lit"]')
    with site.serving() as server:
        yield site, server


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A place without a server."""
    return Site(tmp_path / "site")


def test_version(site: Site) -> None:
    assert site.aldis("version").stdout == f"aldis {version('aldis-launcher')}\n"
    assert site.json("version") == {"ok": True, "version": version("aldis-launcher")}


def test_without_a_command_the_usage_is_told(site: Site) -> None:
    assert "usage: aldis" in site.aldis(code=2).stderr


def test_status_tells_how_the_server_is(running: tuple[Site, Server]) -> None:
    site, server = running
    status = site.json("status")
    assert status["pid"] == server.process.pid
    assert status["domains"] == ["capulet.lit", "montague.lit"]
    assert [(port["name"], port["port"]) for port in status["listening"]] == [("STARTTLS", site.port), ("TLS", site.tls_port)]
    assert status["sessions"] == 0
    assert status["session_list"] == []
    assert [(shard["shard"], shard["epoch"]) for shard in status["shards"]] == [(0, 1)]
    assert status["shards"][0]["owner"].startswith("r")
    assert status["certificates"][0]["expires_in_seconds"] > 800 * 86_400
    assert status["uptime_seconds"] >= 0
    assert status["data_dir"] == str(site.data)
    assert server.ready["certificates"][0]["sha256"] == status["certificates"][0]["sha256"]


def test_status_for_people(running: tuple[Site, Server]) -> None:
    site, server = running
    text = site.aldis("status").stdout
    assert text.startswith(f"aldis {version('aldis-launcher')}, process {server.process.pid}, up ")
    for words in ("capulet.lit, montague.lit", f"STARTTLS on 127.0.0.1 port {site.port}", "expires in 82", "sessions     0", "epoch 1"):
        assert words in text


def test_status_without_a_server_is_a_failure(site: Site) -> None:
    assert site.aldis("status", code=1).stderr == "aldis: data_dir = data: no server is running there; start one with `aldis serve`\n"
    assert site.json("status", code=1)["error"] == "not-running"
    assert not site.data.exists()


def test_a_server_is_found_by_whatever_names_its_data_directory(running: tuple[Site, Server], site: Site) -> None:
    found, server = running
    assert site.aldis("status", ALDIS_DATA_DIR=str(found.data)).stdout.startswith("aldis ")
    (site.path / "aldis.toml").write_text(f'data_dir = "{found.data}"\n')
    assert site.json("status")["pid"] == server.process.pid
    (site.path / "aldis.toml").rename(site.path / "other.toml")
    assert site.aldis("status", ALDIS_CONFIG="other.toml").returncode == 0
    assert site.aldis("status", "--config", "other.toml").returncode == 0


def test_config_check_names_the_file_that_it_looked_at(site: Site) -> None:
    assert site.aldis("config", "check").stdout == "aldis.toml: no problems\n"
    assert site.json("config", "check") == {"ok": True}
    assert "other.toml" in site.aldis("config", "check", "--config", "other.toml", code=2).stderr


def test_every_wrong_setting_is_named_at_once(site: Site) -> None:
    site.write("domains = []\ndata_dir = 1")
    lines = site.aldis("config", "check", code=2).stderr.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("aldis: d") and ";" in line for line in lines)


def test_config_show_tells_values_and_where_they_come_from(site: Site) -> None:
    shown = site.json("config", "show")["settings"]
    assert shown["c2s.port"] == {"value": site.port, "origin": "aldis.toml"}
    assert shown["limits.roster_items"]["origin"] == "default"
    assert shown["limits.stanza_bytes"]["origin"] == "default"
    assert f"c2s.port = {site.port}  # aldis.toml\n" in site.aldis("config", "show").stdout
    assert "c2s.port = 1234  # ALDIS_C2S__PORT\n" in site.aldis("config", "show", ALDIS_C2S__PORT="1234").stdout


def test_migrate_does_what_its_check_announced(site: Site) -> None:
    pending = site.json("migrate", "--check", code=1)
    assert not pending["ok"]
    assert {file.partition("/")[0] for file in pending["pending"]} == {"shards", "router", "directory"}
    assert not site.data.exists()
    assert site.json("migrate") == {"ok": True, "applied": pending["pending"]}
    assert site.aldis("migrate", "--check").stdout == "nothing to do\n"
    assert site.aldis("migrate").stdout == "nothing to do\n"


def test_migrations_can_be_checked_while_a_server_runs(running: tuple[Site, Server]) -> None:
    assert running[0].json("migrate", "--check") == {"ok": True, "pending": []}


def test_an_account_is_traced_on_request(running: tuple[Site, Server]) -> None:
    site, server = running
    assert "is logged for 5 s" in site.aldis("trace", "juliet@localhost", "--seconds", "5").stdout
    server.wait_for("trace.begun account=juliet@localhost")
    assert site.json("trace", "juliet@localhost", "--seconds", "0")["seconds"] == 0
    server.wait_for("trace.ended account=juliet@localhost")
