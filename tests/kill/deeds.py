"""What is done to the servers while clients chat."""

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from tests.kill.link import Link, State
from tests.kill.load import Load
from tests.kill.running import Running
from tests.support.postgres import Server as Postgres
from tests.support.rabbit import Rabbit

Deed = Callable[[Load, random.Random], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and how long: a bounded round, or a soak."""

    kills: int = 1
    gap: float = 4.0
    """Seconds from one blow to the next, for everything to be whole again; random, up to half as much again."""
    stop: float = 6.0
    """Seconds for which a process is stopped."""
    settle: float = 30.0

    @property
    def bounded(self) -> bool:
        """Whether it is a round that every run of the tests can afford."""
        return self.kills == 1

    def times(self, least: int) -> int:
        """How many blows where the soak wants `least`."""
        return min(least, self.kills)


async def wait(pace: Pace, chance: random.Random) -> None:
    """Let some time pass."""
    await asyncio.sleep(chance.uniform(pace.gap, pace.gap * 1.5))


async def kill_and_restart(process: Running, chance: random.Random, *, away: float = 0.3) -> None:
    """Kill a process, and start it again as a supervisor does."""
    await process.kill()
    await asyncio.sleep(chance.uniform(away, away * 2))
    process.start()
    await process.ready()


def calm(seconds: float) -> Deed:
    """Do nothing."""

    async def deed(_load: Load, _chance: random.Random) -> None:
        await asyncio.sleep(seconds)

    return deed


def kills(processes: Sequence[Running], times: int, pace: Pace, *, away: float = 0.3) -> Deed:
    """Kill one of the processes at a random moment, again and again."""

    async def deed(_load: Load, chance: random.Random) -> None:
        for n in range(times):
            await asyncio.sleep(chance.uniform(0.5, 1.5))
            await kill_and_restart(processes[n % len(processes)], chance, away=away)
            await wait(pace, chance)

    return deed


def stops(process: Running, pace: Pace) -> Deed:
    """Stop a process and let it go on later, when others may have taken its place."""

    async def deed(_load: Load, chance: random.Random) -> None:
        await asyncio.sleep(chance.uniform(0.5, 1.5))
        process.signal(signal.SIGSTOP)
        await asyncio.sleep(pace.stop)
        process.signal(signal.SIGCONT)
        await wait(pace, chance)

    return deed


def cuts(link: Link, seconds: float, pace: Pace) -> Deed:
    """Cut a process's way to the broker for a while."""

    async def deed(_load: Load, chance: random.Random) -> None:
        await asyncio.sleep(chance.uniform(0.5, 1.5))
        link.set(State.CUT)
        await asyncio.sleep(seconds)
        link.set(State.OPEN)
        await wait(pace, chance)

    return deed


def held_and_killed(process: Running, link: Link, state: State, times: int, pace: Pace) -> Deed:
    """Hold up what a process publishes, and kill it with that unconfirmed: what it promised before it was sure of it is lost."""

    async def deed(_load: Load, chance: random.Random) -> None:
        for _ in range(times):
            await asyncio.sleep(chance.uniform(0.5, 1.5))
            link.set(state)
            await asyncio.sleep(0.5)
            await process.kill()
            link.set(State.CUT)
            await asyncio.sleep(0.3)
            link.set(State.OPEN)
            process.start()
            await process.ready()
            await wait(pace, chance)

    return deed


def lost_connections(times: int, gap: float) -> Deed:
    """Cut clients' connections, one after the other."""

    async def deed(load: Load, chance: random.Random) -> None:
        for _ in range(times):
            chance.choice(load.clients).cut()
            await asyncio.sleep(gap)

    return deed


def too_late(seconds: float) -> Deed:
    """Keep clients away for longer than they wanted their sessions to be kept, and let them come back."""

    async def deed(load: Load, _chance: random.Random) -> None:
        absent = [client for client in load.clients if client.habits.most]
        for client in absent:
            client.stay_away()
        await asyncio.sleep(max(client.habits.most for client in absent) + seconds)
        for client in absent:
            client.come_back()
        await asyncio.sleep(1)

    return deed


def away_while_router_dies(gateway: Running, routers: Sequence[Running], later: float, pace: Pace) -> Deed:
    """Kill a gateway, whose clients stay away; later the routers that keep their sessions; and let all come back elsewhere."""

    async def deed(load: Load, chance: random.Random) -> None:
        await asyncio.sleep(chance.uniform(0.5, 1.5))
        absent = [client for client in load.clients if client.door in gateway.ports]
        await gateway.kill()
        for client in absent:
            client.stay_away()
        await asyncio.sleep(later)
        for router in routers:
            await kill_and_restart(router, chance)
        for client in absent:
            client.come_back()
        await wait(pace, chance)
        gateway.start()
        await gateway.ready()

    return deed


def broker_killed(rabbit: Rabbit, pace: Pace) -> Deed:
    """Kill RabbitMQ, and start it again."""

    async def deed(_load: Load, chance: random.Random) -> None:
        await asyncio.sleep(chance.uniform(0.5, 1.5))
        await asyncio.to_thread(rabbit.kill)
        await asyncio.sleep(chance.uniform(0.2, 1.0))
        await asyncio.to_thread(rabbit.start, os.getpid())
        await wait(pace, chance)

    return deed


def broker_stopped(rabbit: Rabbit, seconds: float, pace: Pace) -> Deed:
    """Let RabbitMQ take and give nothing for a while, without a word."""

    async def deed(_load: Load, chance: random.Random) -> None:
        await asyncio.sleep(chance.uniform(0.5, 1.5))
        rabbit.freeze()
        await asyncio.sleep(seconds)
        rabbit.thaw()
        await wait(pace, chance)

    return deed


def database_stopped(postgres: Postgres, seconds: float, pace: Pace) -> Deed:
    """Stop PostgreSQL in order, and start it again."""

    async def deed(_load: Load, chance: random.Random) -> None:
        await asyncio.sleep(chance.uniform(0.5, 1.5))
        await asyncio.to_thread(postgres.stop)
        await asyncio.sleep(seconds)
        postgres.launch()
        await asyncio.to_thread(postgres.wait)
        await wait(pace, chance)

    return deed


def joins_and_leaves(router: Running, pace: Pace) -> Deed:
    """Let one more router join, and leave in order."""

    async def deed(_load: Load, chance: random.Random) -> None:
        router.start()
        await router.ready()
        await wait(pace, chance)
        await router.end()
        await wait(pace, chance)

    return deed
