"""Tell others what became of an account until they have confirmed it, over restarts and however long they are away."""

import asyncio
import contextlib
from collections import deque
from typing import Final

from aldis.core.bus import Batch, Bus, BusError, Subscription
from aldis.core.bus.names import DIRECTORY, router_queue
from aldis.core.contracts.accounts import AccountDeleted, AccountDisabled, AccountForgotten
from aldis.core.contracts.base import Origin
from aldis.core.shards.slots import shard_of
from aldis.core.storage import StorageUnavailable
from aldis.core.xmpp.errors.stanza import JidMalformed
from aldis.directory.context import Context
from aldis.directory.domain.account import addressed
from aldis.directory.domain.notice import BUS, Kind, Notice

_FIRST: Final = 0.1
"""Seconds from a change to its first notice: the answer to who asked for it goes out before his session ends."""
_AGAIN: Final = 1.0
_LONGEST: Final = 60.0
_IDLE: Final = 30.0
"""Seconds between looks for notices that another directory process left behind."""


class _Taken:
    """A receipt: the bus has the notice."""

    __slots__ = ("_notice", "_notices")

    def __init__(self, notices: "Notices", notice: Notice) -> None:
        self._notices = notices
        self._notice = notice

    def hold(self) -> None:
        """One publish is under way."""

    def release(self) -> None:
        """It is confirmed."""
        self._notices.taken(self._notice)


class Notices:
    """The task that sends notices, and the queue where confirmations come in."""

    def __init__(self, ctx: Context, *, first: float = _FIRST, again: float = _AGAIN) -> None:
        self._ctx = ctx
        self._first = first
        self._again = again
        self._queue = f"{DIRECTORY}.{ctx.bus.incarnation}"
        self._wake = asyncio.Event()
        self._batches: deque[Batch] = deque()
        self._confirmed: deque[Notice] = deque()
        self._due: dict[str, tuple[float, float]] = {}
        """By origin: when it is sent again, and how long to wait after that."""
        self._subscription: Subscription | None = None
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Send what an earlier run left unconfirmed, and whatever comes."""
        await self._listen()
        self._wake.set()
        self._task = asyncio.create_task(self._run(), name="directory notices")

    async def stop(self) -> None:
        """Leave what is unconfirmed to the next run; nothing is cancelled in the middle of a transaction."""
        self._stopping.set()
        self._wake.set()
        if self._task is not None:
            await asyncio.wait([self._task])
            self._task = None
        if self._subscription is not None:
            for batch in self._batches:
                batch.ack()  # who confirmed is asked again by the next run
            self._batches.clear()
            await self._subscription.cancel()
            self._subscription = None

    def wake(self) -> None:
        """There is something new to tell."""
        self._wake.set()

    def taken(self, notice: Notice) -> None:
        """The bus has the news that an account is disabled."""
        self._confirmed.append(notice)
        self._wake.set()

    def deliver(self, batch: Batch) -> None:
        """Take confirmations from the bus; acknowledged when they are in the database."""
        self._batches.append(batch)
        self._wake.set()

    def lost(self) -> None:
        """The queue is gone with its connection: listen anew."""
        self._batches.clear()
        self._subscription = None
        self._wake.set()

    async def _listen(self) -> None:
        await self._ctx.bus.declare(self._queue, exclusive=True)
        self._subscription = await self._ctx.bus.consume(self._queue, self)

    async def _run(self) -> None:
        pause = 0.0
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()
                async with asyncio.timeout(self._first):
                    await self._stopping.wait()
            if self._stopping.is_set():
                return
            self._wake.clear()
            try:
                if self._subscription is None:
                    await self._listen()
                await self._confirm()
                pause = await self._send()
            except (BusError, StorageUnavailable) as error:
                self._ctx.log.warning("notices.delayed", reason=str(error))
                pause = self._again
            except Exception:
                self._ctx.log.exception("notices.failed")
                pause = self._again

    async def _confirm(self) -> None:
        """Write down who has confirmed what; a batch is acknowledged once it is committed."""
        while self._batches:
            batch = self._batches[0]
            for message in batch.messages:
                if isinstance(message, AccountForgotten):
                    await self._forgotten(message)
            if self._batches and self._batches[0] is batch:  # not lost meanwhile
                self._batches.popleft()
                batch.ack()
        while self._confirmed:
            notice = self._confirmed[0]
            await self._ctx.accounts.told(notice.account, notice.kind, BUS[0], notice.origin)
            self._confirmed.popleft()

    async def _forgotten(self, message: AccountForgotten) -> None:
        try:
            account = addressed(message.account)  # its domain need not be served any more
        except JidMalformed:
            self._ctx.log.warning("notices.not_an_account", account=message.account[:200], service=message.service)
            return
        await self._ctx.accounts.told(account, Kind.DELETED, message.service)
        self._ctx.changed(account)
        self._ctx.log.info("account.forgotten", account=account.jid, service=message.service)

    async def _send(self) -> float:
        """Send what is due; return the seconds until something is due again."""
        now = self._ctx.clock.now()
        due: dict[str, tuple[float, float]] = {}
        async for notice in self._ctx.accounts.notices():
            at, wait = self._due.get(notice.origin, (now, self._again))
            if at <= now and self._publish(notice):
                at, wait = now + wait, min(2 * wait, _LONGEST)
            due[notice.origin] = at, wait
        self._due = due
        return min((max(at - now, self._first) for at, _ in due.values()), default=_IDLE)

    def _publish(self, notice: Notice) -> bool:
        bus: Bus = self._ctx.bus
        jid = notice.account.jid
        queue = router_queue(shard_of(jid, self._ctx.settings.bus.shards))
        if bus.congested(queue):
            return False
        origin = Origin(notice.origin, 1)
        if notice.kind is Kind.DELETED:
            bus.publish(queue, AccountDeleted(origin=origin, account=jid, reply_to=self._queue, at=notice.at))
        else:
            bus.publish(queue, AccountDisabled(origin=origin, account=jid, at=notice.at), _Taken(self, notice))
        return True
