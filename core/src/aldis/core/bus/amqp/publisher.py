"""Publishes batches with confirmations: in order for each queue, again after a refusal or a reconnect, gone if returned."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from random import uniform
from typing import Final

from pamqp import commands

from aldis.core.bus.amqp.channel import Channel
from aldis.core.bus.amqp.connection import Connection
from aldis.core.bus.amqp.content import Content, Properties
from aldis.core.bus.amqp.hooks import Hooks
from aldis.core.bus.amqp.lane import LONGEST_PAUSE, STEP, Lane, Load
from aldis.core.bus.amqp.numbers import Flight
from aldis.core.bus.amqp.pace import GOOD_FOR
from aldis.core.bus.amqp.topology import persistent
from aldis.core.bus.codec import Codec
from aldis.core.bus.names import DEAD
from aldis.core.bus.port import Receipt
from aldis.core.contracts.base import Message
from aldis.core.contracts.bus import Pace

FIRST_PAUSE: Final = 0.02
"""Seconds before what was refused is sent again; it doubles from time to time."""
IDLE_SECONDS: Final = 300.0
"""After which a lane that nothing goes through is forgotten."""
SWEEP_LANES: Final = 1_000
"""With more lanes than this, idle ones are looked for."""


@dataclass(slots=True)
class _Sent:
    """What a confirmation is about; stale once the lane has gone back."""

    lane: Lane
    flight: Flight[Load]


class Publisher:
    """All lanes of one bus, over whichever connection there is."""

    def __init__(self, incarnation: str, prefix: str, codec: Codec, hooks: Hooks) -> None:
        self._incarnation = incarnation
        self._prefix = prefix
        self._codec = codec
        self._hooks = hooks
        self._loop = asyncio.get_running_loop()
        self._lanes: dict[str, Lane] = {}
        self._gaps: dict[str, tuple[float, float]] = {}
        """By queue: what its consumer last asked for, and until when that is heeded."""
        self._count = 0
        self._dirty: list[Lane] = []
        self._channel: Channel | None = None
        self._tag = 0
        self._sent: dict[int, _Sent] = {}
        self._by_number: dict[str, Flight[Load]] = {}
        self._emptied: asyncio.Future[None] | None = None
        self.gone: list[Callable[[str], None]] = []
        self.relief: list[Callable[[str], None]] = []

    # --- from services

    def publish(self, queue: str, message: Message, receipt: Receipt | None) -> None:
        """Let it wait for the end of this turn of the loop, or for its lane."""
        lane = self._lanes.get(queue)
        if lane is None:
            lane = self._open(queue)
        lane.put(message, receipt)
        if not lane.scheduled:
            lane.scheduled = True
            if not self._dirty:
                self._loop.call_soon(self._flush)
            self._dirty.append(lane)

    def _open(self, queue: str) -> Lane:
        if len(self._lanes) >= SWEEP_LANES:
            now = self._loop.time()
            for name in [name for name, lane in self._lanes.items() if lane.idle and now - lane.last > IDLE_SECONDS]:
                del self._lanes[name]
        self._count += 1
        lane = self._lanes[queue] = Lane(queue, f"{self._incarnation}.{self._count}", persistent=persistent(queue))
        lane.gap, lane.gap_until = self._gaps.get(queue, (0.0, 0.0))
        return lane

    def lane(self, queue: str) -> Lane | None:
        """The lane to this queue, if something went there lately."""
        return self._lanes.get(queue)

    def lanes(self) -> Iterator[Lane]:
        """All of them."""
        return iter(self._lanes.values())

    @property
    def unconfirmed(self) -> int:
        """Messages that are not known to have arrived."""
        return sum(lane.unconfirmed for lane in self._lanes.values())

    async def emptied(self) -> None:
        """Return when everything is confirmed."""
        if any(not lane.idle for lane in self._lanes.values()):
            self._emptied = self._loop.create_future()
            await self._emptied

    def pace(self, pace: Pace) -> None:
        """A consumer wants this much time between batches, for as long as it says so again."""
        until = self._loop.time() + GOOD_FOR
        for queue in pace.queues:
            self._gaps[queue] = (pace.gap, until)
            lane = self._lanes.get(queue)
            if lane is not None:
                lane.gap, lane.gap_until = pace.gap, until
        if len(self._gaps) > SWEEP_LANES:
            now = self._loop.time()
            self._gaps = {queue: gap for queue, gap in self._gaps.items() if gap[1] > now}

    # --- connections

    async def attach(self, connection: Connection) -> None:
        """Use this connection from now on; what was under way on the last one goes again, in its order."""
        channel = await connection.channel()
        await channel.ask(commands.Confirm.Select(), commands.Confirm.SelectOk)
        channel.confirm = self._confirmed
        channel.content = self._returned
        self._channel = channel
        self._tag = 0
        self._sent.clear()
        for lane in list(self._lanes.values()):
            self._again(lane)

    def detach(self) -> None:
        """The connection is gone; everything waits for the next."""
        self._channel = None

    # --- out

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        now = self._loop.time()
        for lane in dirty:
            lane.scheduled = False
            self._pump(lane, now)

    def _pump(self, lane: Lane, now: float) -> None:
        """Send what may leave now; see to it that the rest leaves when it may."""
        if self._channel is None or lane.refused:
            return
        window = lane.window
        while lane.messages and not window.full:
            if not lane.full:
                gap = lane.gap if lane.gap and now < lane.gap_until else 0.0
                due = lane.last + (max(gap, STEP) if window.flights else gap)
                if now < due:
                    if not lane.scheduled:
                        lane.scheduled = True
                        self._loop.call_at(due, self._due, lane)
                    return
            messages, size, receipts = lane.take()
            body = self._codec.encode(messages)
            self._hooks.sent(len(messages))
            if lane.queue == DEAD:
                self._hooks.dead(len(messages))
            lane.last = now
            self._send(lane, window.take_off(Load(body, len(messages), size, receipts)))

    def _due(self, lane: Lane) -> None:
        lane.scheduled = False
        self._pump(lane, self._loop.time())

    def _send(self, lane: Lane, flight: Flight[Load]) -> None:
        channel = self._channel
        if channel is None:
            return
        self._tag += 1
        self._sent[self._tag] = _Sent(lane, flight)
        number = f"{lane.producer}/{flight.number}"
        self._by_number[number] = flight
        channel.publish(self._prefix + lane.queue, Properties(message_id=number, persistent=lane.persistent), flight.load.body)

    def _again(self, lane: Lane) -> None:
        """Go back: send everything again that is not confirmed."""
        lane.refused = False
        for flight in lane.window.back():
            flight.load.returned = False
            self._send(lane, flight)
        self._pump(lane, self._loop.time())

    # --- back

    def _returned(self, returned: Content) -> None:
        """There is no such queue; the confirmation that follows means only that (RabbitMQ confirms what it returned)."""
        flight = self._by_number.get(returned.properties.message_id)
        if flight is not None:
            flight.load.returned = True

    def _confirmed(self, tag: int, multiple: bool, good: bool) -> None:
        sent = self._sent
        if not multiple:
            found = sent.pop(tag, None)
            if found is not None:
                self._settle(found, good=good)
            return
        tags = []
        for each in sent:  # in the order of sending
            if each > tag:
                break
            tags.append(each)
        for each in tags:
            found = sent.pop(each, None)
            if found is not None:
                self._settle(found, good=good)

    def _settle(self, found: _Sent, *, good: bool) -> None:
        lane = found.lane
        if not good:
            self._go_back(lane)
            return
        lane.refusals = 0
        over = lane.window.confirm(found.flight)
        if not over:
            return
        returned = False
        for flight in over:
            load = flight.load
            self._by_number.pop(f"{lane.producer}/{flight.number}", None)
            if load.returned:
                returned = True
                self._hooks.dropped(load.count)
        relieved = lane.landed(over)
        self._pump(lane, self._loop.time())
        for flight in over:
            for receipt in flight.load.receipts:
                receipt.release()
        if relieved:
            self.relieved(lane.queue)
        if returned:
            self._is_gone(lane)
        if self._emptied is not None and all(each.idle for each in self._lanes.values()) and not self._emptied.done():
            self._emptied.set_result(None)

    def _go_back(self, lane: Lane) -> None:
        """The broker refused one: wait a little, then send again from there; confirmations of what lies behind it count no more."""
        for tag in [tag for tag, other in self._sent.items() if other.lane is lane]:
            del self._sent[tag]
        lane.window.refused()
        lane.refused = True
        lane.refusals += 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(lane.refusals - 1, 10)) * uniform(0.5, 1.0)  # noqa: S311  no secret
        self._hooks.log.warning("bus.refused", queue=lane.queue, batches=len(lane.window.flights))
        self._loop.call_later(pause, partial(self._after_pause, lane, self._channel))

    def _after_pause(self, lane: Lane, channel: Channel | None) -> None:
        if channel is self._channel and channel is not None:  # else the reconnect has sent it again
            self._again(lane)

    def _is_gone(self, lane: Lane) -> None:
        if lane.idle:
            self._lanes.pop(lane.queue, None)
        for callback in self.gone:
            callback(lane.queue)

    def relieved(self, queue: str) -> None:
        """Tell the edges that this queue takes more again."""
        for callback in self.relief:
            callback(queue)
