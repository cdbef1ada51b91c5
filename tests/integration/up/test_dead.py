"""`aldis dead`: letters on a real broker, listed, shown, replayed and dropped by the real command."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aldis.core.bus.amqp.address import parse
from aldis.core.bus.amqp.bus import AmqpBus
from aldis.core.bus.amqp.hooks import Hooks, NoLog
from aldis.core.bus.codec import Codec
from aldis.core.bus.names import DEAD
from aldis.core.contracts.base import Message
from aldis.core.contracts.bus import DeadLetter
from tests.integration.launched import Site, free_port
from tests.support.bus_suite import Keeper, stanza
from tests.support.rabbit import Rabbit

QUEUE = "aldis.router.0"


class Letters:
    """A site with a bus on which letters can be put aside."""

    def __init__(self, site: Site, bus: AmqpBus) -> None:
        self.site = site
        self.bus = bus

    async def put(self, queue: str, message: Message, reason: str) -> None:
        """Put a batch of one message aside."""
        self.bus.publish(DEAD, DeadLetter(queue=queue, at=1_700_000_000.0, reason=reason, batch=Codec().encode([message])))

    async def dead(self, *words: str, code: int = 0) -> str:
        """Run the command; what it said."""
        done = await asyncio.to_thread(self.site.aldis, "dead", *words, code=code)
        return done.stdout + done.stderr

    async def waiting(self, count: int) -> None:
        """Wait until so many lie there, and nobody holds them."""
        async with asyncio.timeout(20):
            while (state := await self.bus.look(DEAD)) is None or state.messages != count:
                await asyncio.sleep(0.05)


@pytest.fixture
async def letters(tmp_path: Path, rabbit: Rabbit) -> AsyncIterator[Letters]:
    """Three letters: two can go back, one's queue is gone."""
    prefix = f"dead{os.getpid()}-{tmp_path.name}."
    site = Site(tmp_path / "site", f'[bus]\nurl = "{rabbit.url}"\nprefix = "{prefix}"\n')
    bus = AmqpBus(parse(rabbit.url), prefix, "o1", Hooks(log=NoLog()))
    await bus.start()
    for queue in (DEAD, QUEUE):
        await bus.declare(queue)
    found = Letters(site, bus)
    for n, queue in ((1, QUEUE), (2, QUEUE), (3, "aldis.router.77")):
        await found.put(queue, stanza(n), f"reason {n}")
    await found.waiting(3)
    yield found
    await bus.close()


async def test_letters_are_listed_shown_replayed_and_dropped(letters: Letters) -> None:
    listed = (await letters.dead("list")).splitlines()
    assert [line.split("  ")[1:] for line in listed] == [
        ["2023-11-14T22:13:20Z", QUEUE, "1 messages", "reason 1"],
        ["2023-11-14T22:13:20Z", QUEUE, "1 messages", "reason 2"],
        ["2023-11-14T22:13:20Z", "aldis.router.77", "1 messages", "reason 3"],
    ]
    first, second, third = (line.split("  ")[0] for line in listed)
    shown = await letters.dead("show", first)
    assert " from " in shown
    assert "trace 00-" in shown

    keeper = Keeper()
    await letters.bus.consume(QUEUE, keeper)
    assert await letters.dead("replay", first) == f"{first}: replayed\n"
    async with asyncio.timeout(20):
        while keeper.ids != [1]:
            await asyncio.sleep(0.02)
    assert "aldis.router.77" in await letters.dead("replay", third, code=1)
    await letters.waiting(2)
    assert await letters.dead("drop", second) == f"{second}: dropped\n"
    await letters.waiting(1)
    assert "there is no such letter" in await letters.dead("drop", first, code=1)
    assert await letters.dead("drop", "--all") == f"{third}: dropped\n"
    await letters.waiting(0)
    assert await letters.dead("list") == "nothing was put aside\n"
    assert "needs the id" in await letters.dead("replay", code=2)


def test_one_process_has_none_and_a_broker_that_is_away_is_named(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    assert "one process has no dead letters" in site.aldis("dead", "list", code=1).stderr
    site.write(f'[bus]\nurl = "amqp://127.0.0.1:{free_port()}/"\n')
    assert "bus.url" in site.aldis("dead", "list", code=1).stderr
