"""Clients in pairs that send each other numbered messages at a fixed rate, whatever happens to the server."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from tests.kill.client import LOGIN_SECONDS, Client, Habits
from tests.kill.ledger import Ledger, Part

TICK: Final = 0.01
LOOK: Final = 0.25
SHORT: Final = 8
"""Seconds for which some clients want their sessions kept; the others leave it to the server."""
EVERY: Final = 20
"""One in so many is such a client."""


class Load:
    """So many clients, in pairs, through any of the `doors`."""

    def __init__(self, clients: int, *, rate: float, doors: Sequence[int], domain: str, seed: int) -> None:
        chance = random.Random(seed)
        self.rate = rate
        self.ledger = Ledger()
        self.clients = [
            Client(
                n,
                f"kill{n}@{domain}",
                "secret",
                doors,
                self.ledger,
                random.Random(chance.random()),
                Habits(
                    most=SHORT if n % EVERY == 0 else 0,
                    ask_every=chance.choice((1, 1, 2, 5)),
                    patience=chance.choice((8.0, 8.0, 60.0)),
                ),
            )
            for n in range(clients)
        ]
        self._flows = [(client, peer.account, self.ledger.flow(client.number, peer.number)) for client, peer in self._pairs()]
        chance.shuffle(self._flows)
        self._owed = 0.0
        self._next = 0
        self.sending = False

    def _pairs(self) -> list[tuple[Client, Client]]:
        return [(client, self.clients[client.number ^ 1]) for client in self.clients]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the clients connected until the block ends; they send while `sending` is set."""
        self.ledger.begin("start")
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(client.run()) for client in self.clients]
            beats = [group.create_task(self._send()), group.create_task(self._look())]
            try:
                async with asyncio.timeout(4 * LOGIN_SECONDS):
                    await asyncio.gather(*(client.online.wait() for client in self.clients))
                yield
            finally:
                for beat in beats:
                    beat.cancel()
                for client in self.clients:
                    client.stop()
                await asyncio.wait(tasks, timeout=5)
                for task in tasks:
                    task.cancel()

    def begin(self, name: str, *, may_repeat: bool = False) -> Part:
        """Begin a part, and send."""
        self.sending = True
        return self.ledger.begin(name, may_repeat=may_repeat)

    async def settle(self, seconds: float) -> None:
        """Send no more, and wait until everybody is back and everything has arrived, or nothing has moved for so long."""
        self.sending = False
        loop = asyncio.get_running_loop()
        least, until = self._unsettled(), loop.time() + seconds
        while least and loop.time() < until:
            await asyncio.sleep(0.1)
            if (left := self._unsettled()) < least:
                least, until = left, loop.time() + seconds

    def _unsettled(self) -> int:
        """How much is not as it should be at the end: clients away, stanzas not acknowledged, messages that have not come."""
        away = sum(not client.online.is_set() for client in self.clients)
        return away + sum(len(client.acks.queue) for client in self.clients) + self.ledger.open()

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            await asyncio.sleep(TICK)
            now = loop.time()
            self._owed += (now - last) * self.rate if self.sending else 0.0
            last = now
            while self._owed >= 1:
                self._owed -= 1
                client, account, flow = self._flows[self._next]
                self._next = (self._next + 1) % len(self._flows)
                client.say(account, flow)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            now = asyncio.get_running_loop().time()
            for client in self.clients:
                client.tick(now)
