"""What is done to the servers while clients chat."""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from tests.kill.link import Link, State
from tests.kill.load import Load
from tests.kill.running import Running

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
