"""Clients that mean no good: one that never reads, and many that send as fast as they are let."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from typing import Final

from tests.kill.accounts import register
from tests.kill.client import Client, Habits
from tests.kill.deeds import Deed
from tests.kill.ledger import Ledger
from tests.kill.load import Load
from tests.kill.memory import Memory
from tests.kill.one_process import DOMAIN
from tests.kill.running import Running

BODY: Final = "x" * 400
AT_ONCE: Final = 50
HABITS: Final = Habits(ask_every=20, patience=120)


class Flood:
    """Clients beside the load; nobody counts what they send, since nobody promises them speed."""

    def __init__(self, name: str, clients: int, *, doors: Sequence[int], domain: str, chance: random.Random) -> None:
        ledger = Ledger()
        ledger.begin("flood")
        self.clients = [
            Client(n, f"{name}{n}@{domain}", "secret", doors, ledger, random.Random(chance.random()), HABITS) for n in range(clients)
        ]
        self.part = ledger.part
        self.sent = 0

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator["Flood"]:
        """Keep them connected until the block ends."""
        tasks = [asyncio.create_task(client.run()) for client in self.clients]
        try:
            async with asyncio.timeout(60):
                await asyncio.gather(*(client.online.wait() for client in self.clients))
            yield self
        finally:
            for client in self.clients:
                client.stop()
            await asyncio.wait(tasks, timeout=5)
            for task in tasks:
                task.cancel()

    async def pour(self, seconds: float, to: str | None = None) -> None:
        """Send as much as the server takes, to each other or all to one; what it does not acknowledge slows a client down."""
        until = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < until:
            for client in self.clients:
                if client.online.is_set() and len(client.acks.queue) < 5 * AT_ONCE:
                    peer = to or self.clients[client.number ^ 1].account
                    for _ in range(AT_ONCE):
                        client.raw(f"<message to='{peer}' type='chat'><body>{BODY}</body></message>")
                    self.sent += AT_ONCE
                    await asyncio.sleep(0)
            await asyncio.sleep(0.01)


def flooded(processes: Sequence[Running], seconds: float, *, clients: int = 50, deaf: bool) -> Deed:
    """Let so many clients send as fast as they can; to each other, or all to one that never reads."""

    async def deed(load: Load, chance: random.Random) -> None:
        doors = load.clients[0].doors
        flood = Flood("deaf" if deaf else "flood", clients, doors=doors, domain=DOMAIN, chance=chance)
        await register(flood.clients, doors[0])
        async with flood.connected(), Memory(processes).watched() as memory:
            before = memory.most()
            victim = flood.clients[0]
            if deaf:
                victim.pause(reading=False)
            await flood.pour(seconds, victim.account if deaf else None)
            most = memory.most()
        load.ledger.part.remarks += [
            f"{clients} flooders got rid of {flood.sent / seconds:.0f} messages a second; MB before and at most: "
            + ", ".join(f"{name} {before.get(name, 0):.0f} {most[name]:.0f}" for name in sorted(most)),
            "flooders: " + ", ".join(f"{number} × {what}" for what, number in flood.part.conditions.most_common(5)),
        ]

    return deed
