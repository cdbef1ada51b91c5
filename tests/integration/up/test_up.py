"""`aldis up`: real processes over the tests' own RabbitMQ and PostgreSQL."""

import asyncio
import os
import re
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from aldis.core.testing.actor import Actor
from tests.integration.launched import free_port
from tests.integration.up.site import Running, UpSite
from tests.support.postgres import Cluster, shared
from tests.support.rabbit import Rabbit

pytestmark = [pytest.mark.needs("initdb", "postgres"), pytest.mark.timeout(180)]


@pytest.fixture
async def site(tmp_path: Path, rabbit: Rabbit) -> AsyncIterator[UpSite]:
    """A site of two gateways, two routers and a directory, not yet started."""
    cluster: Cluster = await asyncio.to_thread(shared)
    async with cluster.database() as url:
        yield UpSite(tmp_path / "site", rabbit.url, url)


@pytest.fixture
def alone(tmp_path: Path) -> UpSite:
    """One whose broker and database are not there."""
    return UpSite(tmp_path / "site", f"amqp://127.0.0.1:{free_port()}/", f"postgresql://aldis@127.0.0.1:{free_port()}/aldis")


async def test_two_clients_on_two_gateways_chat_and_a_killed_router_comes_back(site: UpSite) -> None:
    with site.running() as up:
        for name in ("juliet", "romeo"):
            await asyncio.to_thread(site.aldis, "user", "add", f"{name}@localhost", "--password", name)
        listed = await asyncio.to_thread(site.json, "user", "list")
        assert [account["jid"] for account in listed["accounts"]] == ["juliet@localhost", "romeo@localhost"]

        juliet, romeo = site.actor("juliet", 1), site.actor("romeo", 2)
        await juliet.logs_in("balcony")
        await romeo.logs_in("orchard")
        await says(juliet, romeo, "Romeo?")
        await says(romeo, juliet, "My dear?")

        await status_tells_everything(site)
        await a_stanza_is_followed(site, up, juliet, romeo)

        os.kill(up.child("router.1"), signal.SIGKILL)
        await says(juliet, romeo, "Still there?")
        await asyncio.to_thread(up.wait_for, 'child=router.1 pid={} code="by SIGKILL"'.format(up.child("router.1")))
        await asyncio.to_thread(wait_until_ready, site)
        status = await asyncio.to_thread(site.json, "status")
        assert [child["restarts"] for child in status["children"] if child["name"] == "router.1"] == [1]

        assert await asyncio.to_thread(up.stop) == 0
        for actor in (juliet, romeo):
            await actor.is_told("system-shutdown")
            await actor.wire.close()
        in_order(up.log())
        assert "Traceback" not in up.log()


async def says(one: Actor, other: Actor, body: str) -> None:
    """Send and receive a message."""
    message = f"<message {{}}to='{other.jid}' type='chat' id='{len(body)}'><body>{body}</body></message>"
    await one.sends(message.format(""))
    await other.receives(message.format(f"from='{one.jid}' "))


async def status_tells_everything(site: UpSite) -> None:
    status = await asyncio.to_thread(site.json, "status")
    assert [process["name"] for process in status["processes"]] == ["directory.1", "gateway.1", "gateway.2", "router.1", "router.2"]
    assert [child["ready"] for child in status["children"]] == [True] * 5
    assert not any(process["not_ready"] for process in status["processes"])
    assert status["sessions"] == 2
    assert {session["jid"] for session in status["session_list"]} == {"juliet@localhost/balcony", "romeo@localhost/orchard"}
    assert [port["port"] for port in status["listening"]] == [site.port, site.tls_port, site.port + 2, site.tls_port + 2]
    owners = [shard["process"] for shard in status["shards"]]
    assert sorted(owners) == ["router.1", "router.1", "router.2", "router.2"], "shared out evenly"
    assert all(shard["consumers"] == 1 and shard["waiting"] == 0 and shard["epoch"] >= 1 for shard in status["shards"])
    assert sum(shard["sessions"] for shard in status["shards"]) == 2
    assert status["database_problem"] is None
    text = (await asyncio.to_thread(site.aldis, "status")).stdout
    assert re.search(r"shard +0: epoch \d+, owner router\.[12], \d sessions, \d copies held \(\d+ bytes\), .*0 waiting", text)


async def a_stanza_is_followed(site: UpSite, up: Running, juliet: Actor, romeo: Actor) -> None:
    await asyncio.to_thread(site.aldis, "trace", "juliet@localhost", "--seconds", "30")
    await says(juliet, romeo, "Who follows me?")
    await says(romeo, juliet, "Nobody follows Romeo")
    (trace,) = set(re.findall(r"stanza\.hop.*trace=(\S+)", up.log()))
    events = (await asyncio.to_thread(site.json, "trace", trace, str(up.errors)))["events"]
    assert [event["hop"] for event in events] == ["from client", "sender", "recipient", "to client"]
    assert events[0]["process"] == "gateway.1"
    assert events[-1]["process"] == "gateway.2"
    assert "Who follows me" not in up.log()


def wait_until_ready(site: UpSite) -> None:
    until = time.monotonic() + 40
    while not all(child["ready"] for child in site.json("status")["children"]):
        assert time.monotonic() < until
        time.sleep(0.2)


def in_order(log: str) -> None:
    """Gateways take no more before routers go, and those before the directory."""
    stopped = re.findall(r"process\.stopped +process=(\w+)", log)
    assert [name for name in stopped if name != "up"][-5:] == ["gateway", "gateway", "router", "router", "directory"]
    assert stopped[-1] == "up"


async def test_a_second_one_in_the_same_folder_is_refused_and_children_die_with_the_first(site: UpSite) -> None:
    with site.running("--gateways", "1", "--routers", "1") as up:
        refused = await asyncio.to_thread(site.aldis, "up", code=None)
        assert refused.returncode == 1
        assert f"another server uses it (process {up.process.pid})" in refused.stderr or "another program listens there" in refused.stderr
        serve = await asyncio.to_thread(site.aldis, "serve", code=2)
        assert "bus.url: `aldis serve` is one process" in serve.stderr
        pids = [child["pid"] for child in up.ready["children"]]
        assert len(pids) == 3
        up.process.kill()
        up.process.wait()
        until = time.monotonic() + 10
        while any(psutil.pid_exists(pid) for pid in pids):
            assert time.monotonic() < until, "a child lives on"
            await asyncio.sleep(0.05)


async def test_a_broker_that_is_not_there_is_waited_for_and_named(site: UpSite) -> None:
    site.bus = f"amqp://aldis:secret-word@127.0.0.1:{free_port()}/"
    site.write()
    with site.begun() as up:
        await asyncio.to_thread(up.wait_for, "child.awaited")
        log = up.log()
        assert "bus.awaited process=directory.1" in log.replace("  ", " ")
        assert "child=directory.1" in log
        assert "secret-word" not in log
        status = await asyncio.to_thread(site.aldis, "status", code=1)
        assert "bus.url" in status.stderr
        assert await asyncio.to_thread(up.stop) == 0
        assert "child.keeps_ending" not in up.log()


def test_a_database_that_is_not_there_is_waited_for_and_named(alone: UpSite) -> None:
    with alone.begun() as up:
        up.wait_for("database.awaited")
        assert up.stop() == 0
        assert "child.started" not in up.log()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ('bus.url = ""', "bus.url: is empty; `aldis up` needs a RabbitMQ"),
        ('bus.url = "http://127.0.0.1/"', "bus.url"),
        ('database.url = ""', "database.url: is a file of one process"),
        ("bus.shards = 1", "bus.shards = 1: 2 routers share the shards out"),
        ("up.gateways = 0", "up.gateways = 0"),
        ("up.gatways = 1", "up.gatways (aldis.toml): there is no such setting; did you mean up.gateways?"),
    ],
)
def test_wrong_settings_are_named_before_anything_starts(alone: UpSite, setting: str, said: str) -> None:
    name, _, value = setting.partition(" = ")
    section, _, key = name.partition(".")
    file = alone.path / "aldis.toml"
    text = re.sub(rf"(\[{section}\]\n(?:\w.*\n)*?){key} = .*\n", r"\1", file.read_text())
    file.write_text(text.replace(f"[{section}]\n", f"[{section}]\n{key} = {value}\n"))
    done = alone.aldis("up", code=2)
    assert said in done.stderr
    assert not alone.data.exists()


def test_ports_that_are_taken_are_named_before_anything_starts(alone: UpSite) -> None:
    with socket.create_server(("127.0.0.1", alone.port + 2)):
        done = alone.aldis("up", code=1)
    assert f"c2s.port of gateway.2: cannot listen on 127.0.0.1 port {alone.port + 2}: another program listens there" in done.stderr


def test_numbers_on_the_command_line_have_bounds(alone: UpSite) -> None:
    assert "--gateways 0: must be 1 to 19" in alone.aldis("up", "--gateways", "0", code=2).stderr
