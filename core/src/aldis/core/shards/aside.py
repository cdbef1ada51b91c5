"""Copies that an owner held when it lost the broker or gave the shard away, kept aside for who owns the shard next.

The broker confirmed them, and may have lost them with a gateway's queue, which does not outlive a connection; their
inputs are acknowledged, so nobody will do that work again. What belongs to an input that is not, will be done again, unless
the gateway that it came from has heard that it is done.
"""

import asyncio
from collections.abc import Iterable

from aldis.core.bus.names import router_queue
from aldis.core.bus.port import Bus, BusError
from aldis.core.contracts.base import Message
from aldis.core.contracts.envelope import Envelope
from aldis.core.contracts.rejoin import Aside, Left, Rejoin
from aldis.core.contracts.resumption import Copy
from aldis.core.contracts.sessions import Bind, FromSession, Returned, Routed, SessionEnd
from aldis.core.shards.sessions import Session
from aldis.core.shards.turn import Turn

AT_ONCE = 64
"""Sessions in one message."""
Held = tuple[str, Left]
"""Copies, with the queue of the gateway that they were sent to, if it may have them."""


def left(sessions: Iterable[Session], turns: Iterable[Turn]) -> tuple[Held, ...]:
    """What is to be kept of the sessions, while these turns are not acknowledged."""
    again: set[tuple[str, int]] = set()
    told: dict[tuple[str, int], tuple[str, int]] = {}
    missing: dict[str, int] = {}
    for turn in turns:
        for message in () if turn.batch is None else turn.batch.messages:
            if isinstance(message, Rejoin) and turn.pending:
                missing.update((snapshot.session, snapshot.number) for snapshot in message.sessions)
            origins = _origins(message)
            if turn.told and isinstance(message, FromSession | SessionEnd | Bind):
                told.update(dict.fromkeys(origins, origins[0]))
            else:
                again.update(origins)
    found = []
    for session in sessions:
        if not session.gateway:
            continue  # it waits for its client, and the database has what it was sent
        had = missing.get(session.id)
        copies = tuple(Copy(*copy) for copy in session.held if copy[0] > (had or 0) and _cause(copy[2]) not in again)
        if copies:
            unsure = tuple((copy.number, *told[cause]) for copy in copies if (cause := _cause(copy.stanza)) in told)
            found.append((session.gateway if had is None else "", Left(session.id, session.jid, copies, unsure)))
    return tuple(found)


def leave(bus: Bus, shard: int, epoch: int, sessions: Iterable[Left], *, ordered: bool) -> None:
    """Send copies to whoever owns the shard next."""
    sessions = tuple(sessions)
    for start in range(0, len(sessions), AT_ONCE):
        bus.publish(router_queue(shard), Aside(epoch=epoch, sessions=sessions[start : start + AT_ONCE], ordered=ordered))


class Asides:
    """What a process held of shards that it lost, until it owns them again or knows that somebody else does."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._kept: dict[int, tuple[int, tuple[Held, ...]]] = {}
        """By shard: the epoch under which this process claimed it last, and what its owner held."""
        self._leaving: set[asyncio.Task[None]] = set()

    def keep(self, shard: int, epoch: int, held: tuple[Held, ...]) -> None:
        """A shard was lost under this epoch."""
        if held:
            self._kept[shard] = epoch, held

    def claimed(self, shard: int, epoch: int) -> None:
        """This process has claimed the shard again."""
        last, held = self._kept.get(shard, (0, ()))
        if held:
            self._kept[shard] = (epoch, held) if epoch == last + 1 else (-1, held)

    async def needed(self, shard: int) -> tuple[list[Left], bool]:
        """What this process, which owns it again, should still have sent; and whether nobody owned it in between. Raises `BusError`."""
        epoch, held = self._kept.get(shard, (0, ()))
        return await self._lost(held), epoch > 0

    def taken(self, shard: int) -> None:
        """The new owner has it."""
        self._kept.pop(shard, None)

    def pass_on(self, shard: int) -> None:
        """The shard is somebody else's for good: what this process held when it lost it goes there."""
        if shard in self._kept:
            task = asyncio.get_running_loop().create_task(self._pass_on(shard, *self._kept.pop(shard)), name=f"leave shard {shard}")
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def _pass_on(self, shard: int, epoch: int, held: tuple[Held, ...]) -> None:
        try:
            leave(self._bus, shard, epoch, await self._lost(held), ordered=False)
        except BusError:
            self._kept.setdefault(shard, (epoch, held))  # until it is back

    async def _lost(self, held: tuple[Held, ...]) -> list[Left]:
        """What a gateway may not have got: a queue that is still there has lost nothing."""
        queues = sorted({gateway for gateway, _ in held if gateway})
        there = {queue for queue in queues if await self._bus.look(queue) is not None}
        return [copies for gateway, copies in held if gateway not in there]

    async def ended(self) -> None:
        """Wait for what is under way."""
        if self._leaving:
            await asyncio.wait(self._leaving)


def _cause(stanza: Envelope) -> tuple[str, int]:
    return stanza.origin.session, stanza.origin.n


def _origins(message: Message) -> tuple[tuple[str, int], ...]:
    match message:
        case FromSession() | Routed() | Returned():
            return (_cause(message.stanza),)
        case SessionEnd():
            own = ((message.origin.session, message.origin.n),)
            return own + tuple(_cause(stanza) for stanza in message.unwritten)
        case Bind():
            return ((message.origin.session, message.origin.n),)
        case _:
            return ()
