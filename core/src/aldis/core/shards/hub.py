"""A gateway's side of the shards: numbers what comes from its sessions, orders what goes to them, answers take-overs.

It never originates, drops or reorders a stanza; what it refuses is late (an older epoch) or a repeat (a number it had).
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from aldis.core.bus.names import router_queue
from aldis.core.bus.port import PREFETCH, Batch
from aldis.core.contracts.base import Message, Origin
from aldis.core.contracts.envelope import Envelope, Flag, Kind
from aldis.core.contracts.rejoin import Rejoin
from aldis.core.contracts.resumption import Enabled, LetGo, Resumed, ResumeFailed
from aldis.core.contracts.sessions import (
    Bind,
    BindRefused,
    Bound,
    CloseSession,
    Deliver,
    FromSession,
    Handled,
    Note,
    Recipient,
    Returned,
    SessionEnd,
    SessionSnapshot,
    Takeover,
    TakeoverAnswer,
    Written,
)
from aldis.core.shards.link import Client, Ended, Link
from aldis.core.shards.link_resumption import LinkResumption, snapshot
from aldis.core.shards.means import Means
from aldis.core.shards.slots import shard_of

PRESENCE: Final = int(Kind.PRESENCE)
CUT_OFF: Final = "the server was cut off from itself; connect again"
REJOIN_AT_ONCE: Final = 64
"""Sessions in one message."""
REPORT_AFTER: Final = 256
"""Stanzas to clients after which the shards are told what is on the sockets, without waiting for the timer."""


class _Shard:
    """What is known of one shard."""

    __slots__ = ("epoch", "recent")

    def __init__(self) -> None:
        self.epoch = 0
        self.recent: deque[tuple[Deliver, float]] = deque()
        """Deliveries whose inputs may come again, with the time they came."""


class Hub:
    """All links of one gateway, and the consumer of its queue."""

    def __init__(self, means: Means, queue: str) -> None:
        self._bus = means.bus
        self._count = means.shards
        self._now = means.now
        self.wall = means.wall
        self._drop = means.drop
        self._repeats_for = means.bus.repeats_for
        self._links: dict[str, Link] = {}
        self._ended: OrderedDict[str, Ended] = OrderedDict()
        """In the order in which they ended."""
        self._shards = [_Shard() for _ in range(means.shards)]
        self._counter = 0
        self._unreported: set[Link] = set()
        self._since_report = 0
        self.cut_off: Callable[[], None] = lambda: None
        """Called when the queue is gone."""
        self.flush: Callable[[], None] = lambda: None
        """Called after each batch, so that what it wrote goes out together."""
        self.resumption = resumption = LinkResumption(means.bus, self._links, self._ended, means.drop, means.now)
        resumption.queue = self.queue = queue
        resumption.opened, resumption.forgotten, resumption.given = self._open, self._forget, self._give

    # --- from clients

    def open(self, account: str, client: Client, peer: str, since: float) -> Link:
        """A link for a stream whose client asked to be authenticated at `since`."""
        self._counter += 1
        link = self._open(f"{self._bus.incarnation}.{self._counter}", account, peer, since)
        link.client = client
        self._links[link.id] = link
        return link

    def _open(self, id: str, account: str, peer: str, since: float) -> Link:  # noqa: A002  the field's name
        return Link(id, account, shard_of(account, self._count), peer, since)

    def bind(self, link: Link, resource: str) -> None:
        """Ask for a resource; the answer is `Client.bound` or `Client.bind_refused`."""
        link.n += 1
        link.binding = link.n
        self._bus.publish(
            link.queue,
            Bind(
                origin=Origin(link.id, link.n),
                generation=link.generation,
                gateway=self.queue,
                account=link.account,
                resource=resource,
                peer=link.peer,
                since=link.since,
            ),
        )

    def origin(self, link: Link) -> Origin:
        """The next number for what the link's client sent; what takes it must be published."""
        link.n += 1
        return Origin(link.id, link.n)

    def publish(self, link: Link, stanza: Envelope) -> None:
        """Send a stanza, stamped and numbered by `origin`, to the session's shard."""
        self._bus.publish(link.queue, FromSession(generation=link.generation, stanza=stanza))

    def presence_flags(self, link: Link, kind: str) -> int:
        """Note what a presence without `to` does to the session; INITIAL if it makes it available."""
        if kind == "":
            initial = not link.available
            link.available = True
            return Flag.INITIAL if initial else 0
        if kind == "unavailable":
            link.available = False
        return 0

    def congested(self, link: Link) -> bool:
        """Should no more be read from this client for now?"""
        return self._bus.congested(link.queue)

    def end(self, link: Link) -> None:
        """The session is over."""
        if self._links.get(link.id) is not link:
            return
        del self._links[link.id]
        self._forget(link, moved=False)
        if link.n == 0:
            return  # it never asked for a resource
        link.n += 1
        link.trim()
        self._bus.publish(
            link.queue,
            SessionEnd(
                origin=Origin(link.id, link.n),
                generation=link.generation,
                jid=link.jid or link.account,
                gateway=self.queue,
                note=link.note,
                unwritten=tuple(
                    stanza if stanza.to else replace(stanza, to=link.jid) for _, _, stanza in link.unwritten if stanza.kind != PRESENCE
                ),
            ),
        )

    def _forget(self, link: Link, moved: bool) -> None:
        """It is here no longer, but what was meant for it may come again; it has `moved` if it goes on with another stream."""
        self._unreported.discard(link)
        if not self._repeats_for:
            return
        now = self._now()
        while self._ended and now - next(iter(self._ended.values())).when >= self._repeats_for:
            self._ended.popitem(last=False)
        self._ended[link.id] = Ended(link, now, moved)

    def acknowledge(self, link: Link, h: int) -> None:
        """The client has so much, as it counts (XEP-0198 §4); raises `HandledCountTooHigh`."""
        counters = link.counters
        if counters is not None:
            counters.acknowledge(h, link.number)
            self._unreported.add(link)

    def report(self) -> None:
        """Tell the shards what has reached the sockets; called every 50 ms, or 256 stanzas, while there is something to tell."""
        reports: dict[str, list[tuple[str, str, int]]] = {}
        self._since_report = 0
        for link in list(self._unreported):
            written = link.trim()
            if not link.unwritten or link.counters is not None:  # an acknowledgement brings it back
                self._unreported.discard(link)
            if written > link.reported:
                link.reported = written
                reports.setdefault(link.queue, []).append((link.account, link.id, written))
        for queue, sessions in reports.items():
            for start in range(0, len(sessions), 256):
                self._bus.publish(queue, Written(gateway=self.queue, sessions=tuple(sessions[start : start + 256])))

    @property
    def unreported(self) -> bool:
        """Is there something for `report` to tell?"""
        return bool(self._unreported)

    @property
    def links(self) -> dict[str, Link]:
        """Every link by id."""
        return self._links

    # --- the consumer of the gateway's queue

    def deliver(self, batch: Batch) -> None:
        """Take a batch for the sessions."""
        for message in batch.messages:
            if type(message) is Deliver:
                self._deliver(message)
            else:
                self._control(message)
        self.flush()
        if self._since_report >= REPORT_AFTER:
            self.report()
        batch.ack()

    def lost(self) -> None:
        """The queue is gone with the connection to the bus: sessions wait for `rejoin`."""
        self.cut_off()

    def rejoin(self, queue: str) -> None:
        """There is another queue: tell every shard which sessions are here, and what each has.

        A stream that waits for an answer, which was lost with the queue, is closed.
        """
        self.resumption.queue = self.queue = queue
        for link in [link for link in self._links.values() if link.binding or link.resuming]:
            link.client.close("internal-server-error", CUT_OFF)
        sessions: dict[str, list[SessionSnapshot]] = {}
        seen = [self._seen(shard.recent) for shard in self._shards]
        for link in self._links.values():
            if link.jid:
                sessions.setdefault(link.queue, []).append(snapshot(link, tuple(seen[link.shard].get(link.id, ()))))
        for shard, snapshots in sessions.items():
            for start in range(0, len(snapshots), REJOIN_AT_ONCE):
                self._bus.publish(shard, Rejoin(gateway=queue, sessions=tuple(snapshots[start : start + REJOIN_AT_ONCE])))

    def give_up(self) -> None:
        """The bus stays away: close the streams; those that can be resumed are kept."""
        for link in list(self._links.values()):
            link.client.close("internal-server-error", CUT_OFF)

    def _deliver(self, message: Deliver) -> None:
        shard = self._shards[message.shard]
        if message.epoch < shard.epoch:
            self._drop("late-epoch")
            return
        shard.epoch = message.epoch
        recent = shard.recent
        now = self._now() if self._repeats_for else 0.0
        while recent:
            oldest, when = recent[0]
            over = oldest.mark <= message.acked if oldest.epoch == message.epoch else message.acked >= PREFETCH
            if not over or now - when < self._repeats_for:
                break
            recent.popleft()
        recent.append((message, now))
        stanza = message.stanza
        links = self._links
        self._since_report += len(message.recipients)
        for recipient in message.recipients:
            link = links.get(recipient.session)
            if link is None:
                self._return(message.shard, stanza, recipient)
                continue
            if recipient.number <= link.number or link.generation != recipient.generation:
                self._drop("repeat")
                continue
            self._give(link, recipient.number, message.effect, stanza, recipient.to or stanza.to)

    def _give(self, link: Link, number: int, effect: str, stanza: Envelope, to: str) -> None:
        link.number = number
        link.given += 1
        link.unwritten.append((number, effect, stanza))
        link.client.stanza(stanza, to)
        self._unreported.add(link)

    def _return(self, shard: int, stanza: Envelope, recipient: Recipient) -> None:
        """The session has ended: its shard decides what becomes of the stanza. Presence is for nobody else."""
        ended = self._ended.get(recipient.session)
        if ended is not None:
            if recipient.number <= ended.number:
                self._drop("repeat")  # it had this one, or has given it back
                return
            ended.number = recipient.number
        if stanza.kind == PRESENCE:
            self._drop("no-session")
            return
        to = recipient.to or stanza.to
        self._bus.publish(router_queue(shard), Returned(account=to.partition("/")[0], stanza=replace(stanza, to=to)))

    def _control(self, message: Message) -> None:
        if isinstance(message, Takeover):
            self._takeover(message)
            return
        if not isinstance(message, Bound | BindRefused | CloseSession | Note | Handled | Enabled | Resumed | ResumeFailed | LetGo):
            self._drop("unknown-message")
            return
        shard = self._shards[message.shard]
        if message.epoch < shard.epoch:
            self._drop("late-epoch")
            return
        shard.epoch = message.epoch
        if isinstance(message, Handled):
            self._handled(message)
            return
        if isinstance(message, Enabled | Resumed | ResumeFailed | LetGo):
            self.resumption.control(message)
            return
        link = self._links.get(message.session)
        if link is None or link.generation != message.generation:
            if isinstance(message, Note) and message.session in self._ended:
                self._ended[message.session].note = message.state
            self._drop("no-session")
            return
        match message:
            case Note():
                link.note = message.state
            case Bound() if message.n == link.binding:
                link.binding = 0
                link.jid = message.jid
                link.client.bound(message.jid)
            case BindRefused() if message.n == link.binding:
                link.binding = 0
                link.client.bind_refused(message.error)
            case CloseSession():
                link.client.close(message.condition, message.text)

    def _handled(self, message: Handled) -> None:
        for session, n in message.sessions:
            link = self._links.get(session)
            known = link or self._ended.get(session)
            if known is None or known.handled >= n:
                continue
            known.handled = n
            if link is not None and 0 < link.wanted <= n:
                link.wanted = 0
                link.client.handled()

    def _takeover(self, message: Takeover) -> None:
        shard = self._shards[message.shard]
        if message.epoch < shard.epoch:
            self._drop("late-epoch")
            return
        shard.epoch = message.epoch
        seen = self._seen(shard.recent)
        links = [link for link in self._links.values() if link.shard == message.shard and link.n]
        self._bus.publish(
            message.reply_to,
            TakeoverAnswer(
                shard=message.shard,
                epoch=message.epoch,
                gateway=self.queue,
                sessions=tuple(snapshot(link, tuple(seen.get(link.id, ()))) for link in links if link.jid),
                binding=tuple(link.id for link in links if not link.jid),
                newest=self._counter,
                ended=tuple(
                    (session, ended.handled)
                    for session, ended in self._ended.items()
                    if ended.shard == message.shard and ended.handled and not ended.moved
                ),
                noted=tuple((session, ended.note) for session, ended in self._ended.items() if ended.shard == message.shard and ended.note),
                moved=tuple((session, tuple(keys)) for session, keys in seen.items() if self._has_moved(session)),
            ),
        )

    def _has_moved(self, session: str) -> bool:
        ended = self._ended.get(session)
        return ended is not None and ended.moved and session not in self._links

    @staticmethod
    def _seen(recent: Sequence[tuple[Deliver, float]] | deque[tuple[Deliver, float]]) -> dict[str, list[tuple[str, int, str]]]:
        seen: dict[str, list[tuple[str, int, str]]] = {}
        for message, _ in recent:
            origin = message.stanza.origin
            for recipient in message.recipients:
                seen.setdefault(recipient.session, []).append((origin.session, origin.n, message.effect))
        return seen
