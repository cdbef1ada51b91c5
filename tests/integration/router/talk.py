"""People who talk all the time, and who notice what is lost, repeated or reordered, and for how long it stalls."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from tests.integration.router.conftest import Client


class Host(Protocol):
    """Where they are."""

    async def client(self, account: str, resource: str, hub: int = 0) -> Client: ...


class Talk:
    """Two users on two gateways who send each other numbered messages all the time."""

    def __init__(self, one: Client, other: Client, patience: float) -> None:
        self._patience = patience
        self.pair = (one, other)
        self.sent = 0
        self.longest = 0.0
        """Seconds from sending a message to its arrival, at most."""
        self._stop = False

    async def run(self) -> None:
        one, other = self.pair
        while not self._stop:
            self.sent += 1
            began = time.perf_counter()
            for sender, receiver in ((one, other), (other, one)):
                sender.sends("message", "chat", receiver.jid, f"<body>{self.sent}</body>")
            for client in self.pair:
                try:
                    await client.until(lambda client=client: self._has(client), self._patience)
                except TimeoutError:
                    ended = [each.closed for each in self.pair]
                    raise AssertionError(f"{client.jid} waits for {self.sent}: {one.got[-3:]}, {other.got[-3:]}, {ended}") from None
            self.longest = max(self.longest, time.perf_counter() - began)
            await asyncio.sleep(0.01)

    def _has(self, client: Client) -> bool:
        return any(f"<body>{self.sent}</body>" in line for line in reversed(client.got))

    def stop(self) -> None:
        self._stop = True

    def check(self) -> None:
        """Everything came once and in order."""
        for client in self.pair:
            bodies = [line.partition("<body>")[2].partition("<")[0] for line in client.got if line.startswith("message")]
            said = [str(n) for n in range(1, self.sent + 1)]
            wrong = next((n for n, (heard, wanted) in enumerate(zip(bodies, said, strict=False)) if heard != wanted), len(said))
            assert bodies == said, f"{client.jid} of {self.sent}: … {client.got[max(wrong - 3, 0) : wrong + 12]}"


@asynccontextmanager
async def talking(fleet: Host, pairs: int = 6, patience: float = 8) -> AsyncIterator[list[Talk]]:
    """Pairs who talk while the block runs; afterwards nothing was lost, repeated or reordered."""
    talks = []
    for n in range(pairs):
        clients = [await fleet.client(f"{name}{n}", "r", hub) for hub, name in enumerate(("romeo", "juliet"))]
        for client in clients:
            client.sends("presence")
            await client.receives(f"presence - {client.jid}")
        talks.append(Talk(clients[0], clients[1], patience))
    running = [asyncio.ensure_future(talk.run()) for talk in talks]
    try:
        yield talks
        await asyncio.sleep(0.05)
        for talk in talks:
            talk.stop()
        await asyncio.gather(*running)
    finally:
        for task in running:
            task.cancel()
    for talk in talks:
        talk.check()


def longest(talks: list[Talk]) -> float:
    """Seconds that a message took at most since this was asked last."""
    found = max(talk.longest for talk in talks)
    for talk in talks:
        talk.longest = 0.0
    return found
