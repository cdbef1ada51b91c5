"""Backup and restore as the manual says: the database goes back in time under a broker that does not."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.up.site import UpSite
from tests.integration.up.test_up import says
from tests.support.postgres import program, shared
from tests.support.rabbit import Rabbit

pytestmark = [pytest.mark.needs("initdb", "postgres", "pg_dump", "pg_restore"), pytest.mark.timeout(240)]


@pytest.fixture
async def site(tmp_path: Path, rabbit: Rabbit) -> AsyncIterator[UpSite]:
    """A site of one gateway and one router, not yet started."""
    cluster = await asyncio.to_thread(shared)
    async with cluster.database() as url:
        yield UpSite(tmp_path / "site", rabbit.url, url)


def postgres(name: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs."""
    path = program(name)
    assert path is not None
    subprocess.run([path, *arguments], check=True)


async def test_what_was_backed_up_comes_back_and_no_epoch_of_since_is_reached_again(site: UpSite, tmp_path: Path) -> None:
    backup = str(tmp_path / "aldis.dump")
    few = ("--gateways", "1", "--routers", "1")
    with site.running(*few) as up:
        for name in ("juliet", "romeo"):
            await asyncio.to_thread(site.aldis, "user", "add", f"{name}@localhost", "--password", name)
        await asyncio.to_thread(postgres, "pg_dump", "--format=custom", f"--file={backup}", site.database)
        await asyncio.to_thread(site.aldis, "user", "add", "tybalt@localhost", "--password", "tybalt")
        os.kill(up.child("router.1"), signal.SIGKILL)
        await asyncio.to_thread(up.wait_for, "epoch=2")
        refused = await asyncio.to_thread(site.aldis, "migrate", "--after-restore", code=1)
        assert "processes use this database" in refused.stderr
        assert "stop them" in refused.stderr
        assert await asyncio.to_thread(up.stop) == 0

    await asyncio.to_thread(postgres, "pg_restore", "--clean", "--if-exists", "--single-transaction", f"--dbname={site.database}", backup)
    assert "give one of them" in (await asyncio.to_thread(site.aldis, "migrate", "--check", "--after-restore", code=2)).stderr
    done = await until_nobody_is_there(site)
    assert "raised every epoch" in done

    with site.running(*few):
        status = await asyncio.to_thread(site.json, "status")
        assert [shard["epoch"] > 1_000_000 for shard in status["shards"]] == [True] * 4
        users = await asyncio.to_thread(site.json, "user", "list")
        assert [account["jid"] for account in users["accounts"]] == ["juliet@localhost", "romeo@localhost"]
        juliet, romeo = site.actor("juliet", 1), site.actor("romeo", 1)
        await juliet.logs_in("balcony")
        await romeo.logs_in("orchard")
        await says(juliet, romeo, "Where were we?")
        for actor in (juliet, romeo):
            await actor.wire.close()


async def until_nobody_is_there(site: UpSite) -> str:
    """Try as the message says: the processes of the backup count as running until their leases lapse."""
    async with asyncio.timeout(60):
        while True:
            done = await asyncio.to_thread(site.aldis, "migrate", "--after-restore", code=None)
            if done.returncode == 0:
                return done.stdout
            assert "wait 10 s and try again" in done.stderr
            await asyncio.sleep(1)
